# A guest of more than 2 GiB is saved and restored: it gets an extent of 1 GiB whole, has as much memory as before, and
# goes on where it was. One that had given memory up does not get it back.
#: profile = "large"
#: timeout = 300
. /lab/lib.sh
is_ours || skip "stock xl gives single pages"

free() {
    xl info | sed -n 's/^free_memory *: //p'
}
is_free() {
    [ "$(free)" -ge "$1" ]
}
memory() {
    stockxl list large | awk 'NR == 2 { print $3 }'
}

host_state > before
before=$(free)
linux large pvh | sed 's/memory = 128/memory = 2304/' > large.cfg
start_ticking large

# restored: it is saved and restored, and has as much memory as before; `log` is what the restore told.
restored() {
    local tick memory
    tick=$(last_tick large)
    memory=$(memory)
    run xl save --compress zstd:1 large large.save
    wait_for 20 is_free "$before"
    run xl -vv restore large.save > log 2>&1 || { cat log; fail "not restored"; }
    grep 'Extents of 1 GiB' log || true
    goes_on large "$tick"
    [ "$(memory)" = "$memory" ] || fail "it had $memory MiB, and has $(memory)"
}

restored
grep -q 'Extents of 1 GiB: 1' log || fail "no whole extent"
run xl mem-set large 2000
has_given_up() {
    [ "$(memory)" -le 2001 ]
}
wait_for 60 has_given_up
restored
run xl destroy large
nothing_left before
wait_for 20 is_free "$before"
