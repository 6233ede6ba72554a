# `xl migrate --bandwidth` and `--max-downtime`, which stock xl does not have: memory is copied no faster than allowed; a
# guest that writes faster than that is given up and goes on here; one of which little is left is suspended at once.
#: timeout = 600
. /lab/lib.sh
is_ours || skip "stock xl has no limits"

host_state > before
linux limited pvh | sed 's/ quiet/ quiet dirty=1000/' > limited.cfg
start_ticking limited
host_state > running

# rounds: how many the last migration has told of.
rounds() {
    grep -c '^{"step":"Written during iteration ' progress
}

# migrate OPTION...: its progress is in a file, its time in milliseconds in `took`.
migrate() {
    local began
    began=$(date +%s%3N)
    run xl migrate -o json "$@" -s "" limited "xl migrate-receive" > progress 2> err || return
    took=$(($(date +%s%3N) - began))
    cat err
    echo "$(rounds) rounds in $took ms"
}

# Each round copies the thousand pages, which takes 400 ms: in that time they are written again.
echo "== too little time, and too slow"
tick=$(last_tick limited)
status_is 1 migrate --bandwidth 10 --max-downtime 1
cat err
grep -q 'after 30 rounds the guest would have to stand still for .* ms, and 1 ms are allowed' err || fail "the reason is not told"
[ "$(rounds)" = 30 ] || fail "$(rounds) rounds"
goes_on limited "$tick"
nothing_left running

echo "== enough time"
tick=$(last_tick limited)
old=$(stockxl domid limited)
migrate --bandwidth 20 --max-downtime 5000
# 128 MiB less what the guest's kernel gave back.
[ $took -ge 5000 ] || fail "faster than 20 MB a second"
[ "$(rounds)" = 1 ] || fail "$(rounds) rounds: the rest would have taken far less than 5 s"
[ "$(stockxl domid limited)" != "$old" ] || fail "it has the same number"
goes_on limited "$tick"
run xl destroy limited
nothing_left before
