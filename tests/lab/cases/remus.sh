# Remus: a guest's copy is kept up to date by `xl remus` and `xl migrate-receive -r`, this tree's and stock xl's, which has this
# tree's save helper too, and takes over when the guest is lost. The other end goes away, or the sender is stopped: one of the
# two runs, never both.
#: timeout = 700
. /lab/lib.sh
. /lab/remus.sh

ours=/usr/local/lib/xen/bin/libxl-save-helper
[ -x $ours ] || ours=$(ls /usr/lib/xen-*/bin/libxl-save-helper)

# Stock xl with this tree's save helper.
helped() {
    LIBXL_SAVE_HELPER=$ours stockxl "$@"
}

host_state > before
linux kept pvh > kept.cfg
start_ticking kept xl # stock xl's monitor would end when the guest is suspended
pairs=("xl:stockxl" "stockxl:xl")
! is_long || pairs+=("helped:LIBXL_SAVE_HELPER=$ours stockxl")
for pair in "${pairs[@]}"; do
    sender=${pair%%:*} receiver=${pair#*:}
    echo "== $sender sends, $receiver receives"
    tick=$(last_tick kept)
    replicated $sender -F -n -d -i 500 -s "" kept "$receiver migrate-receive -r -e"
    wait_for 60 ticked_beyond kept "$tick"
    lose_guest kept
    status=0
    wait $sending || status=$?
    told
    [ $status -eq 0 ] || fail "the sender's status is $status"
    wait_for 30 exists kept
    goes_on_from_before kept "$tick"
    # Stock xl asks the guest that is gone to suspend itself once more.
    if [ $sender != xl ] || ! is_ours; then xenstore-rm "/local/domain/$lost" 2> /dev/null || true; fi
    ! xenstore-exists "/local/domain/$lost" || fail "nodes of the lost guest are left"
done
host_state > running

is_ours || { stockxl destroy kept; nothing_left before; exit; }

echo "== nobody reads"
tick=$(last_tick kept)
replicated xl -F -b -n -d kept
kill -TERM $sending
status_is 1 wait $sending
told
wait_for 60 ticked_beyond kept "$((tick + 2))"
nothing_left running

echo "== the receiver is killed: the guest runs on, of its copy nothing is left"
replicated xl -F -n -d -s "" kept "exec xl migrate-receive -r -e"
tick=$(last_tick kept)
pkill -KILL -f '^xl migrate-receive'
status_is 1 wait $sending
told
wait_for 60 ticked_beyond kept "$((tick + 2))"
nothing_left running

# stopped STATUS KILL-ARGUMENT...: the copy runs, the guest is paused.
stopped() {
    local tick wanted=$1 copy
    shift
    echo "== the sender is stopped: kill $*"
    set -m # a process group of its own, as a command in a terminal has
    replicated xl -F -n -d -s "" kept "xl migrate-receive -r -e"
    set +m
    tick=$(last_tick kept)
    kill "${@/SENDER/$sending}"
    status_is "$wanted" wait $sending
    told
    wait_for 10 is_paused kept
    wait_for 60 exists kept--incoming # the name is taken
    wait_for 60 ticked_beyond kept "$((tick + 2))"
    copy=$(last_tick kept)
    is_paused kept || fail "it goes on beside its copy"
    run xl destroy kept
    run xl rename kept--incoming kept
    goes_on_from_before kept "$copy"
}

is_paused() {
    stockxl list "$1" | grep -qE ' [r-][b-]p-'
}

! is_long || stopped 1 -TERM SENDER
stopped 1 -INT -- -SENDER
stopped 137 -KILL SENDER
echo "== what is not safe has to be allowed, what is not built is told"
cp kept.cfg disk.cfg
truncate -s 1M disk.img
printf 'name = "disk"\ndisk = ["%s/disk.img,raw,xvda,w"]\n' "$PWD" >> disk.cfg
run xl create -q -p disk.cfg
host_state > running
refused() {
    echo "\$ xl remus $1"
    local status=0
    # Words are split on purpose.
    xl remus $1 2> err || status=$?
    cat err
    [ $status -eq 1 ] || fail "the status is $status"
    grep -q -e "$2" err || fail "not for its reason"
    nothing_left running
}
refused "-n kept nowhere" "has to be allowed (-F)"
refused "-b kept" "has to be allowed (-F)"
refused "disk nowhere" "-d does without"
refused "-c kept nowhere" "COLO"
refused "-N script kept nowhere" "-n does without"
status_is 2 xl remus kept
xl destroy disk
xl destroy kept
nothing_left before
