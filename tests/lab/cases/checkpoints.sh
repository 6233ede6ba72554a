# Stock xl's Remus through this tree's save helper: what ours writes stock's takes in, and the other way about. When the guest
# is lost, its copy goes on from the last checkpoint.
#: timeout = 400
. /lab/lib.sh

stock=$(ls /usr/lib/xen-*/bin/libxl-save-helper)
ours=/usr/local/lib/xen/bin/libxl-save-helper
[ -x $ours ] || ours=$stock

some_checkpoints() {
    [ "$(grep -c 'Checkpointed save' remus.out)" -ge 3 ]
}

# protect WRITER READER: begins, to end with the guest.
protect() {
    LIBXL_SAVE_HELPER=${!1} stockxl remus -F -n -d -i 500 -s "" kept \
        "LIBXL_SAVE_HELPER=${!2} stockxl migrate-receive -r -e" > remus.out 2>&1 &
    sender=$!
}

# A guest of this kind is lost, and goes on, for each pair of helpers.
lost() {
    local pair writer reader tick domid
    linux kept "$1" > kept.cfg
    start_ticking kept
    for pair in "ours stock" "stock ours"; do
        read -r writer reader <<< "$pair"
        echo "== $1: $writer writes, $reader reads"
        tick=$(last_tick kept)
        protect "$writer" "$reader"
        wait_for 120 some_checkpoints
        wait_for 60 ticked_beyond kept "$tick"
        tick=$(last_tick kept)
        domid=$(stockxl domid kept)
        stockxl destroy kept
        wait $sender || true
        # Stock xl asks the guest that is gone to suspend itself once more.
        xenstore-rm "/local/domain/$domid" 2> /dev/null || true
        cat remus.out
        wait_for 30 exists kept
        goes_on_from_before kept "$tick"
    done
    stockxl destroy kept
}

host_state > before
lost pvh
nothing_left before

# Only Xen's shadow paging logs what a PV guest writes, and Debian's Xen has none: then there are no checkpoints of it.
if stockxl info | grep -q '^virt_caps.* shadow'; then
    lost pv
else
    linux kept pv > kept.cfg
    start_ticking kept
    for writer in ours stock; do
        echo "== pv: $writer writes"
        tick=$(last_tick kept)
        protect $writer stock
        wait $sender || true
        cat remus.out
        [ $writer = stock ] || ! is_ours || grep -q 'it has no shadow paging), so it can have no checkpoints' remus.out
        goes_on kept "$tick"
    done
    stockxl destroy kept
fi
nothing_left before
