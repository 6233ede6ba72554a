# A guest that is saved may stay: running after `xl save -c`, paused after `xl save -p`. `xl suspend` and `xl resume` work
# alone. The guest's monitor sees all that and does its work at the end.
#: timeout = 300
. /lab/lib.sh

host_state > before
for kind in pv pvh; do
    linux stays $kind > stays.cfg
    start_ticking stays
    # From here on it has our monitor.
    run xl save stays stays.save
    run xl restore stays.save
    echo "== $kind: save -c"
    tick=$(last_tick stays)
    run xl save -c stays stays.save
    goes_on stays "$tick"
    echo "== $kind: save -p"
    run xl save -p stays stays.save
    run stockxl list stays > listed
    grep -qE ' [r-][b-]p--- ' listed || fail "not paused: $(cat listed)"
    tick=$(last_tick stays)
    run xl unpause stays
    goes_on stays "$tick"
    if is_ours; then
        echo "== $kind: suspend and resume"
        run xl suspend stays
        run stockxl list stays > listed
        grep -qE ' [r-][b-]-s' listed || fail "not suspended: $(cat listed)"
        tick=$(last_tick stays)
        run xl resume stays
        goes_on stays "$tick"
        run xl shutdown stays
        wait_for 30 gone stays
    else
        # The monitor of stock xl is gone.
        run xl destroy stays
    fi
    nothing_left before
done
