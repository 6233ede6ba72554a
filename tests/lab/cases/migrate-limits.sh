# `xl migrate --bandwidth` and `--max-downtime`, which stock xl does not have: memory is copied no faster than allowed; a
# guest that writes faster than that is given up and goes on here; one of which little is left is suspended at once.
#: profile = "deterministic"
#: timeout = 600
. /lab/lib.sh
is_ours || skip "stock xl has no limits"

host_state > before
linux limited pvh | sed -e 's/^memory = .*/memory = 96/' -e 's/ quiet/ quiet dirty=1000 beat=0.01/' > limited.cfg
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

# Each round copies some hundreds of pages, which takes 30 ms: in that time as many are written.
echo "== too little time, and too slow"
tick=$(last_tick limited)
status_is 1 migrate --bandwidth 30 --max-downtime 1
cat err
grep -q 'after 30 rounds the guest would have to stand still for .* ms, and 1 ms are allowed' err || fail "the reason is not told"
[ "$(rounds)" = 30 ] || fail "$(rounds) rounds"
goes_on limited "$tick"
nothing_left running

echo "== enough time"
tick=$(last_tick limited)
old=$(stockxl domid limited)
migrate --bandwidth 30 --max-downtime 5000
[ $took -ge 3000 ] || fail "96 MiB in $took ms is more than 30 MB a second"
[ "$(rounds)" = 1 ] || fail "$(rounds) rounds: the rest would have taken far less than 5 s"
[ "$(stockxl domid limited)" != "$old" ] || fail "it has the same number"
goes_on limited "$tick"
run xl destroy limited
nothing_left before
