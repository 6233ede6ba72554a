# A driver domain whose init scripts start `xl devd` serves disks and an interface to a guest: made while devd ran, while
# it was dead, and before it started; by either xl. What goes leaves nothing there, and the end of the driver domain
# leaves nothing here.
#: timeout = 600
. /lab/lib.sh
. /lab/driver-domain.sh
is_ours || skip "stock xl is linked to libraries that the driver domain has not"

host_state > before
driver_ramdisk driver.gz
driver_domain driver driver.gz > driver.cfg
{
    linux web pv
    printf 'disk = ["format=raw,vdev=xvda,access=w,backend=driver,target=/disk.img"]\n'
    printf 'vif = ["backend=driver,bridge=xenbr0,mac=00:16:3e:11:22:33"]\n'
} > web.cfg

# loops NUMBER: the driver domain has so many loop devices.
loops() {
    in_driver driver "[ \$(ls -d /sys/block/loop*/loop 2> /dev/null | wc -l) = $1 ]"
}

rm -f /var/log/xen/console/guest-{driver,web}.log
run xl create -q driver.cfg
wait_for 150 is_up driver
service=/etc/init.d/xendriverdomain pidfile=/run/xen/xldevd.pid
in_driver driver "$service status; [ \$? = 3 ]"
in_driver driver "$service start && $service status && cp $pidfile /first"
in_driver driver "$service start && cmp $pidfile /first"
if in_driver driver "xl devd -p $pidfile" > second; then fail "a second devd starts"; fi
cat second
grep -q "devd: pidfile $pidfile: process [0-9]* runs already" second

run xl create -q web.cfg
wait_for 150 is_up web
wait_for 60 says web disks: xvda
wait_for 60 says web interfaces: eth0
in_driver driver 'ping -c 1 -W 20 10.9.0.2'
in_driver driver 'sync; cmp -n 1048576 /disk.img /disk.img 0 1048576'
loops 1

# Made while no devd runs; what was connected before stays so.
in_driver driver "kill -9 \$(cat $pidfile); sleep 0.2; $service status; [ \$? = 3 ]"
run stockxl block-attach web format=raw,vdev=xvdb,access=w,backend=driver,target=/more.img
in_driver driver "$service start && $service status" # the pidfile is stale
wait_for 60 says web disks: xvda xvdb
loops 2
run xl block-detach web xvdb
wait_for 60 says web disks: xvda
loops 1
run stockxl network-detach web 0
wait_for 60 says web interfaces: 'eth*'
in_driver driver '[ -z "$(ls /sys/class/net/xenbr0/brif)" ]'

# Why a device cannot be connected is told where the toolstack finds it.
run xl block-attach web format=raw,vdev=xvdc,access=w,backend=driver,target=/none.img
error=/local/domain/$(stockxl domid driver)/backend/vbd/$(stockxl domid web)/51744/hotplug-error
wait_for 20 xenstore-read "$error"
xenstore-read "$error" | grep -F 'disk xvdc: /none.img: No such file or directory'

in_driver driver "$service stop && [ ! -e $pidfile ] && cat /var/log/xen/xldevd.log"
openrc=/etc/init.d/openrc/xendriverdomain
in_driver driver "$openrc start && $openrc status && kill -9 \$(cat $pidfile); sleep 0.2; $openrc status; [ \$? = 3 ]"
in_driver driver "$openrc start && $openrc status && $openrc stop; while [ -e $pidfile ]; do sleep 0.1; done"
run xl destroy driver
run xl destroy web
nothing_left before
