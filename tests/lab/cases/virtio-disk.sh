# Virtio disks, which a program beside QEMU serves, here played, in dom0 and in another domain: the nodes, the stored
# configuration, the lists and the statuses are stock xl's, and each xl destroys the other's guest. That an x86 guest finds no
# such disk is told, and is an error of `xl check` and `xl create --strict`; so is a backend that does not get ready.
#: timeout = 600
. /lab/lib.sh

host_state > before
serve_small 0 virtio_disk
here=$serving
small_server
image disk.img
image other.img

disks="disk = [\"$PWD/disk.img,raw,xvda,specification=virtio\",
    \"$PWD/other.img,raw,xvdb,ro,backendtype=standalone,specification=virtio\",
    \"backend=server,vdev=sda1,specification=virtio,backendtype=standalone,format=raw,target=/there/disk.img\"]"
for type in pv pvh; do
    { tiny_$type virtio; echo "$disks"; } > $type.cfg
    for program in stockxl xl; do
        if [ $program = xl ]; then other=stockxl; else other=xl; fi
        made=$program.$type
        run $program create -q -p $type.cfg 2> $made.errors || { cat $made.errors; fail "not created"; }
        domid=$(stockxl domid virtio)
        xenstore_of "$domid" > $made.xenstore
        userdata_of "$domid" > $made.userdata
        for by in stockxl xl; do
            $by block-list virtio | sed "s/\b$domid\b/DOMID/g" > $made.$by-list
            $by list -l virtio > $made.$by-long
        done
        same "$type of $program: block-list" $made.stockxl-list $made.xl-list
        same "$type of $program: list -l" $made.stockxl-long $made.xl-long
        for call in "block-detach virtio xvda" "block-detach --force virtio xvda" "block-detach virtio xvdc" \
            "block-attach virtio $PWD/disk.img,raw,xvdc,specification=virtio" \
            "block-attach virtio $PWD/disk.img,raw,xvdc,backendtype=standalone"; do
            status=0
            $program $call > $made.out 2>> $made.errors || status=$?
            cat $made.out
            echo "$call: $status"
        done > $made.statuses
        xenstore_of "$domid" > $made.later
        $program create -n $type.cfg 2> /dev/null | grep -v '"uuid"' > $made.dry
        run $other destroy virtio
    done
    for what in xenstore userdata stockxl-list xl-list statuses later dry; do
        same "$type: $what" stockxl.$type.$what xl.$type.$what
    done
done
cat xl.pv.xl-list xl.pv.statuses xl.pv.errors
if is_ours; then
    grep -q 'pv.cfg.*warning: a virtio disk is found in the device tree' xl.pv.errors

    # Stock xl lists no disks of a guest that has both kinds.
    { tiny_pv virtio; echo "disk = [\"$PWD/disk.img,raw,xvda,specification=virtio\", \"$PWD/other.img,raw,xvdb,r\"]"; } > both.cfg
    run xl create -q -p both.cfg
    stockxl block-list virtio
    xl block-list virtio | tee both
    [ "$(stockxl block-list virtio | wc -l)" = 1 ]
    [ "$(wc -l < both)" = 3 ]
    [ "$(xl list -l virtio | grep -c pdev_path)" = 2 ]
    run xl block-detach --force virtio xvdb
    run xl destroy virtio
fi

# Nothing serves the disk.
kill -- -$here
{ tiny_pv virtio; echo "disk = [\"$PWD/disk.img,raw,xvda,specification=virtio\"]"; } > virtio.cfg
for program in stockxl xl; do
    status=0
    $program create -q -p virtio.cfg > $program.out 2> $program.errors || status=$?
    echo "status $status" >> $program.out
done
same "without a backend" stockxl.out xl.out
cat xl.errors
end_small_server
nothing_left before
is_ours || exit 0
grep -q 'disk xvda: its backend did not get ready within 10 seconds' xl.errors
for call in "create --strict virtio.cfg" "check virtio.cfg"; do
    ! xl $call > out 2>&1 || fail "xl $call has no error"
    cat out
    grep -q 'virtio.cfg.*error: a virtio disk is found in the device tree' out
done
nothing_left before
