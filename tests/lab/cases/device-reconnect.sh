# A guest lets go of its disks and its interface and wants them again, as at a kexec. Meanwhile the backends (Linux' and
# QEMU's) are closed and wait, with all that they are connected to, and neither xl nor xl gc takes them for gone; then they
# are ready again. What the guest has let go of can be detached, and attached anew.
#: timeout = 400
. /lab/lib.sh
. /lab/driver-domain.sh

bridge xenbr0 10.9.0.1
for name in raw extra; do image $name.img; done
qemu-img convert -O qcow2 extra.img disk.qcow2
host_state > before

# A guest with the frontends' drivers that runs what it is told.
mkdir tree
(
    cd tree
    zcat /boot/guest.gz | busybox cpio -i --quiet
    cp /lab/driver-init init
    chmod 755 init
    find . | busybox cpio -o -H newc --quiet | gzip -1 > ../guest.gz
)
rm -r tree
{
    driver_domain again guest.gz
    printf 'disk = ["%s/raw.img,raw,xvda,w", "%s/disk.qcow2,qcow2,xvdb,w"]\n' "$PWD" "$PWD"
    echo 'vif = ["mac=00:16:3e:11:22:33"]'
} > again.cfg
rm -f /var/log/xen/console/guest-again.log
run xl create -q again.cfg
wait_for 150 is_up again
domid=$(stockxl domid again)

# all_are STATE DEVICE...: whether these backends are in this state, and online.
all_are() {
    local state=$1 device
    shift
    for device in "$@"; do
        [ "$(xenstore-read "/local/domain/0/backend/$device/"{state,online} | tr '\n' ' ')" = "$state 1 " ] || return 1
    done
}
raw=vbd/$domid/51712 image=qdisk/$domid/51728 vif=vif/$domid/0
drivers=/sys/bus/xen/drivers
ping_it="ip addr add 10.9.0.2/24 dev eth0; ip link set eth0 up; ping -c 1 -W 20 10.9.0.1"

# Unbinds the drivers that are bound.
let_go() {
    in_driver again "cd $drivers; for one in vbd/vbd-* vif/vif-*; do [ ! -e \$one ] || echo \${one#*/} > \${one%/*}/unbind; done"
    wait_for 20 all_are 6 $raw $image $vif
}

wait_for 60 all_are 4 $raw $image $vif
! is_ours || xl gc # the lock of a console that an earlier case ended
losetup -a > loops
for round in 1 2; do
    let_go
    losetup -a | diff loops -
    [ "$(ls /sys/class/net/xenbr0/brif)" = "vif$domid.0" ] || fail "the interface has left its bridge"
    for list in block-list network-list; do
        stockxl $list again > stockxl.list
        xl $list again > xl.list
        same "$list, let go" stockxl.list xl.list
    done
    ! is_ours || [ -z "$(xl gc -n)" ] || fail "there is something for xl gc: $(xl gc -n)"
    in_driver again "echo vif-0 > $drivers/vif/bind"
    wait_for 20 all_are 4 $vif
    in_driver again "$ping_it"
    # Linux' blkfront comes back with a new kernel only; what that says first is said in its place.
    for disk in 51712 51728; do xenstore-write /local/domain/$domid/device/vbd/$disk/state 1; done
    wait_for 20 all_are 2 $raw $image
    for disk in 51712 51728; do xenstore-write /local/domain/$domid/device/vbd/$disk/state 6; done
done

# Detached while it is let go of, by either; attached again by the other.
let_go
run xl block-detach again xvda
run stockxl block-detach again xvdb
run xl network-detach again 0
[ -z "$(losetup -a)" ] || fail "a loop device is left"
run stockxl block-attach again "$PWD/raw.img,raw,xvda,w"
run xl block-attach again "$PWD/disk.qcow2,qcow2,xvdb,w"
run stockxl network-attach again mac=00:16:3e:11:22:33 bridge=xenbr0
wait_for 30 all_are 4 $raw $image $vif
in_driver again "$ping_it"
for disk in /dev/xvda /dev/xvdb; do
    in_driver again "dd if=$disk of=$disk bs=1M count=1 seek=1 conv=fsync; echo 3 > /proc/sys/vm/drop_caches"
    in_driver again "cmp -n 1048576 $disk $disk 0 1048576"
done
run xl destroy again
nothing_left before
