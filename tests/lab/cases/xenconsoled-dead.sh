# While xenconsoled is dead a create fails, says why and leaves nothing; the next create works.
#: timeout = 90
. /lab/lib.sh

tiny_pv mute > mute.cfg
pid=$(cat /run/xenconsoled.pid)
program=$(readlink "/proc/$pid/exe")
host_state > before

kill "$pid"
wait_for 10 sh -c "! kill -0 $pid"
status=0
xl create -q mute.cfg 2> err || status=$?
"$program" --pid-file=/run/xenconsoled.pid --log=all # for the other cases, whatever comes
cat err
[ $status -eq 3 ] || fail "exit status $status"
! is_ours || grep -q "xenconsoled is not running" err || fail "stderr does not say so"
nothing_left before

run xl create -q mute.cfg
run xl destroy mute
nothing_left before
