# A migration whose other end goes away or cannot take the guest: it runs on where it is, nothing of it is left there.
# (migrate-cuts has all places where the connection can be cut.)
#: timeout = 600
. /lab/lib.sh

host_state > before
linux stays pvh > stays.cfg
start_ticking stays xl # stock xl's monitor would end when the guest is suspended
host_state > running

no_receiver() {
    ! pgrep -f migrate-receive
}

# stays COMMAND [OPTION...]: a migration over this transport fails, in words.
stays() {
    local tick status=0
    echo "== $*"
    tick=$(last_tick stays)
    timeout 90 xl migrate -s "" "${@:2}" stays "$1" 2> err || status=$?
    cat err
    [ $status -eq 1 ] || fail "exit status $status"
    goes_on stays "$tick"
    wait_for 20 no_receiver
    nothing_left running
    [ "$(xenstore-read "$(xenstore-read "/local/domain/$(stockxl domid stays)/vm")/name")" = stays ] || fail "its /vm node"
}

stays "echo Permission denied"
# Either side's save helper is killed at its work.
killed_midway
for mode in save restore; do
    for signal in KILL TERM; do
        stays "sh midway $mode $signal | xl migrate-receive"
    done
done
# The target has no memory for the guest, or another one has its copy's name.
hog 100
host_state > running
stays "xl migrate-receive"
stockxl destroy hog
tiny_pvh stays--incoming > tiny.cfg
stockxl create -q -p tiny.cfg
host_state > running
stays "xl migrate-receive"
stockxl destroy stays--incoming
host_state > running
# Nobody reads what is sent.
stays "echo xl migration receiver ready, send binary domain data.; sleep 20" --timeout 2
grep -q 'the time that it may take is over' err || fail "not for its time"

# refused COMMAND...: another process has the guest.
refused() {
    ! xl "$@" 2> second.err || fail "xl $* while the guest is moved"
    cat second.err
    grep -q 'by another process' second.err || fail "the cause is not told"
}

for signal in TERM HUP KILL; do
    echo "== the sender gets SIG$signal; meanwhile nobody else may save the guest or let it go on"
    tick=$(last_tick stays)
    xl migrate -s "" --bandwidth 5 stays "xl migrate-receive" 2> err &
    sender=$!
    wait_for 30 pgrep -f 'libxl-save-helper --save-domain'
    refused save -c stays second.save
    refused resume stays
    kill -$signal $sender
    ! wait $sender || fail "it has migrated"
    cat err
    goes_on stays "$tick"
    nothing_left running
done

echo "== the sender is killed when it has given the name free, before it gives the guest away"
python3 /lab/slow-xenstored.py "$PWD/slow" 100 &
slow=$!
wait_for 20 test -S slow
mkfifo words
exec 3<> words
tick=$(last_tick stays)
XENSTORED_PATH=$PWD/slow xl migrate -s "" stays "env -u XENSTORED_PATH xl migrate-receive 2> /dev/null" 2> words &
sender=$!
until read -r line <&3 && [[ $line = *"acknowledged transfer"* ]]; do :; done
yes >&3 & # it cannot say that it gives permission
filling=$!
wait_for 60 exists stays--migratedaway
kill -KILL $sender $filling
cat words > heard &
hearing=$!
status_is 137 wait $sender
wait_for 60 exists stays
kill $slow $hearing
grep -a 'was killed' heard
! grep -a 'permission' heard || fail "it has given the guest away"
goes_on stays "$tick"
nothing_left running

run xl destroy stays
nothing_left before
