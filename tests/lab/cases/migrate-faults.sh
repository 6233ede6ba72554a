# A migration whose other end goes away or cannot take the guest: it runs on where it is, nothing of it is left there.
#: timeout = 500
. /lab/lib.sh

host_state > before
linux stays pvh > stays.cfg
start_ticking stays xl # stock xl's monitor would end when the guest is suspended
host_state > running

# stays COMMAND [OPTION...]: a migration over this transport fails, in words.
stays() {
    local tick status=0
    echo "== $*"
    tick=$(last_tick stays)
    timeout 90 xl migrate -s "" "${@:2}" stays "$1" 2> err || status=$?
    cat err
    [ $status -eq 1 ] || fail "exit status $status"
    goes_on stays "$tick"
    wait_for 20 gone stays--incoming
    nothing_left running
    [ "$(xenstore-read "$(xenstore-read "/local/domain/$(stockxl domid stays)/vm")/name")" = stays ] || fail "its /vm node"
}

stays "echo Permission denied"
# The way there is cut: in the configuration, and in the memory.
stays "head -c 300 | xl migrate-receive"
stays "head -c 20000000 | xl migrate-receive"
# The receiver's save helper is killed at its work.
cat > killer <<'END'
(
    until pid=$(pgrep -f 'libxl-save-helper --restore-domain'); do sleep 0.2; done
    sleep 1
    kill -9 $pid
) &
exec xl migrate-receive
END
stays "sh killer"
# The way back is cut before the copy may start.
stays "xl migrate-receive | head -c 54"

# Nobody reads what is sent.
stays "echo xl migration receiver ready, send binary domain data.; sleep 20" --timeout 2
grep -q 'the time that it may take is over' err || fail "not for its time"

echo "== the sender is told to end"
tick=$(last_tick stays)
xl migrate -s "" stays "xl migrate-receive" 2> err &
sender=$!
wait_for 30 pgrep -f 'libxl-save-helper --save-domain'
kill $sender
! wait $sender || fail "it has migrated"
cat err
goes_on stays "$tick"
nothing_left running

echo "== the way back is cut once the copy may start"
tick=$(last_tick stays)
status=0
xl migrate -s "" stays "xl migrate-receive | dd bs=1 count=88 status=none" 2> err || status=$?
cat err
[ $status -eq 1 ] || fail "exit status $status"
goes_on stays "$tick"
stockxl list
[ "$(stockxl list stays--migratedaway | awk 'NR == 2 { print $5 }')" = ---ss- ] || fail "two copies run" # suspended
run xl destroy stays--migratedaway
goes_on stays "$(last_tick stays)"
run xl destroy stays
nothing_left before
