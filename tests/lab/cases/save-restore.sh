# `xl save` and `xl restore`: each xl reads what the other wrote; a guest goes on where it was, under the same UUID and
# configuration; -c and -p leave it running and paused, with its monitor; suspend and resume work alone.
#: timeout = 400
. /lab/lib.sh

# What stays the same of a guest wherever it goes: all of `xl list -l` but its number.
description() {
    stockxl list -l moved | grep -v -e '"domid"' -e '_memkb'
}

host_state > before
for kind in pv pvh; do
    linux moved $kind > moved.cfg
    start_ticking moved
    description > description.before
    for pair in "xl stockxl" "stockxl xl" "xl xl"; do
        read -r writer reader <<< "$pair"
        echo "== $kind: $writer writes, $reader reads"
        tick=$(last_tick moved)
        run $writer save moved moved.save
        gone moved || fail "saved, but still there"
        run $reader restore moved.save
        goes_on moved "$tick"
        description > description.after
        same "list -l" description.before description.after
    done
    # The last reader was ours: its monitor is there.
    echo "== $kind: save -c"
    tick=$(last_tick moved)
    run xl save -c moved moved.save
    goes_on moved "$tick"
    echo "== $kind: save -p"
    run xl save -p moved moved.save
    run stockxl list moved > listed
    grep -qE ' [r-][b-]p--- ' listed || fail "not paused: $(cat listed)"
    tick=$(last_tick moved)
    run xl unpause moved
    goes_on moved "$tick"
    if is_ours; then
        echo "== $kind: suspend and resume"
        run xl suspend moved
        run stockxl list moved > listed
        grep -qE ' [r-][b-]-s' listed || fail "not suspended: $(cat listed)"
        tick=$(last_tick moved)
        run xl resume moved
        goes_on moved "$tick"
        # Its monitor has seen all that and still does its work.
        run xl shutdown moved
        wait_for 30 gone moved
    else
        run xl destroy moved
    fi
    nothing_left before
done
