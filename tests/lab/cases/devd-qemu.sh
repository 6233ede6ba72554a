# `xl devd` starts QEMU in a driver domain for a guest whose disk QEMU serves, and ends it with the disk. It is killed and
# started again while the guest reads and writes. When the driver domain has died, the guest's devices can be detached, and
# attached again from domain 0 and from the driver domain that takes its place.
#: timeout = 600
. /lab/lib.sh
. /lab/driver-domain.sh
is_ours || skip "stock xl is linked to libraries that the driver domain has not"

bridge xenbr0 10.9.0.1
host_state > before
driver_ramdisk driver.gz /usr/libexec/xen-qemu-system-i386
driver_domain driver driver.gz | sed 's/memory = 160/memory = 320/' > driver.cfg
{
    linux web pv | sed 's/quiet/quiet load=xvda/'
    printf 'disk = ["format=raw,vdev=xvda,access=w,backend=driver,backendtype=qdisk,target=/disk.img",\n'
    printf '        "format=raw,vdev=xvdb,access=w,backend=driver,target=/more.img"]\n'
    printf 'vif = ["mac=00:16:3e:11:22:33,backend=driver,bridge=xenbr0"]\n'
} > web.cfg

service=/etc/init.d/xendriverdomain pidfile=/run/xen/xldevd.pid
start_driver() {
    rm -f /var/log/xen/console/guest-driver.log
    run xl create -q driver.cfg
    wait_for 150 is_up driver
    in_driver driver "$service start"
}

# qemus NUMBER: the driver domain runs so many.
qemus() {
    in_driver driver "[ \$(ps | grep -c '[x]en-domid') = $1 ]"
}

rounds() {
    grep -a -o '^load: [0-9]* rounds' /var/log/xen/console/guest-web.log | tail -n 1 | grep -o '[0-9]*'
}

rounds_beyond() {
    [ "$(rounds)" -gt "$1" ]
}

has_disk() {
    grep -a '^disks:' /var/log/xen/console/guest-web.log | tail -n 1 | grep -q "$1"
}

has_no_interface() {
    says web interfaces: 'eth*'
}

start_driver
rm -f /var/log/xen/console/guest-web.log
run xl create -q web.cfg
wait_for 150 is_up web
wait_for 60 has_disk 'xvda xvdb'
qemus 1
wait_for 30 rounds
for time in 1 2 3; do
    in_driver driver "kill -9 \$(cat $pidfile); sleep 0.2; $service start"
    qemus 1
    wait_for 30 rounds_beyond "$(rounds)"
done
run xl block-attach web format=raw,vdev=xvdc,access=w,backend=driver,target=/third.img # there is no such file
run xl block-detach -f web xvdc
wait_for 60 rounds_beyond "$(rounds)"
if grep -a '^load:.*\(wrong\|cannot\)' /var/log/xen/console/guest-web.log; then fail "the guest's data are wrong"; fi
echo "the guest wrote and read $(rounds) blocks"
in_driver driver 'cat /var/log/xen/xldevd.log'
run xl block-detach web xvda
# At once: the QEMU of the last disk is about to end.
run xl block-attach web format=raw,vdev=xvdd,access=w,backend=driver,backendtype=qdisk,target=/disk.img
wait_for 60 has_disk xvdd

# The driver domain dies. What it served can be taken away; this domain serves the guest instead, then another one does.
# (Linux never lets go of a disk with data on their way to a dead backend.)
image own.img
run xl destroy driver
run xl block-detach web xvdb
run stockxl block-detach web xvdd
run xl network-detach web 0
wait_for 60 has_no_interface # or the next one would get another name, and another address
run xl network-attach web mac=00:16:3e:11:22:44 bridge=xenbr0
run xl block-attach web "$PWD/own.img,raw,xvdc,w"
wait_for 60 has_disk xvdc
wait_for 30 ping -c 1 -W 1 10.9.0.2
run xl block-detach web xvdc
run xl network-detach web 0
wait_for 60 has_no_interface
is_copied own.img || fail "the guest did not write to the disk of this domain"

start_driver
run xl block-attach web format=raw,vdev=xvde,access=w,backend=driver,backendtype=qdisk,target=/disk.img
run xl network-attach web mac=00:16:3e:11:22:55 backend=driver bridge=xenbr0
wait_for 60 has_disk xvde
in_driver driver 'until ping -c 1 -W 1 10.9.0.2; do sleep 0.5; done > /dev/null'
qemus 1
run xl destroy web
wait_for 20 qemus 0
run xl destroy driver
nothing_left before
