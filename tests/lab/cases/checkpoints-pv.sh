# A stream with checkpoints of a PV guest: this tree's save helper takes it in as stock's does. Its sender is played, as Debian's
# Xen cannot log what a PV guest writes, which either xl tells. The guest goes on from the last whole checkpoint.
#: timeout = 600
. /lab/lib.sh
. /lab/remus.sh

stock=$(ls /usr/lib/xen-*/bin/libxl-save-helper)
ours=/usr/local/lib/xen/bin/libxl-save-helper
[ -x $ours ] || ours=$stock
log=/var/log/xen/console/guest-kept.log

# The ticks that came after so many.
ticks_after() {
    grep -a -o '^tick [0-9]*' $log | tail -n +$(($1 + 1)) | grep -o '[0-9]*$'
}

host_state > before
holder kept pv > kept.cfg
start_ticking kept
if ! stockxl info | grep -q '^virt_caps.* shadow'; then
    for program in stockxl xl; do
        echo "== $program sends"
        tick=$(last_tick kept)
        status_is 1 $program remus -F -n -d -s "" kept "stockxl migrate-receive -r -e" 2> remus.out
        told
        [ $program = stockxl ] || ! is_ours || grep -q 'it has no shadow paging), so it can have no checkpoints' remus.out
        goes_on kept "$tick"
    done
fi
readers=(ours)
! is_long || readers+=(stock)
for reader in "${readers[@]}"; do
    echo "== $reader reads"
    run stockxl save -c kept first
    wait_for 60 ticked_beyond kept $(($(last_tick kept) + 3))
    tick=$(last_tick kept)
    run stockxl save -c kept second
    wait_for 60 ticked_beyond kept $(($(last_tick kept) + 2))
    stockxl destroy kept
    sleep 1 # its last words
    ticks=$(grep -a -c '^tick' $log)
    python3 /lab/checkpointed.py first second > stream
    rm first second
    LIBXL_SAVE_HELPER=${!reader} stockxl migrate-receive -r -e < stream > receive.out 2>&1 || true
    cat receive.out
    goes_on_from_before kept "$(last_tick kept)"
    again=$(ticks_after "$ticks" | head -n 1)
    [ "$again" -ge "$tick" ] || fail "it goes on from tick $again, but the last checkpoint came after $tick"
    still_holds kept "$(last_tick kept)"
done
stockxl destroy kept
nothing_left before
