# Stock libxl saves and restores PV and PVH guests through our libxl-save-helper as through its own, whichever of the
# two wrote the file.
#: timeout = 300
. /lab/lib.sh

stock=$(ls /usr/lib/xen-*/bin/libxl-save-helper)
ours=/usr/local/lib/xen/bin/libxl-save-helper
[ -x $ours ] || ours=$stock

host_state > before
for kind in pv pvh; do
    linux moved $kind > moved.cfg
    start_ticking moved
    for pair in "ours stock" "stock ours"; do
        read -r writer reader <<< "$pair"
        echo "== $kind: $writer writes, $reader reads"
        tick=$(last_tick moved)
        LIBXL_SAVE_HELPER=${!writer} run stockxl save moved moved.save
        gone moved || fail "saved, but still there"
        LIBXL_SAVE_HELPER=${!reader} run stockxl restore moved.save
        goes_on moved "$tick"
    done
    run stockxl destroy moved
    nothing_left before
done
