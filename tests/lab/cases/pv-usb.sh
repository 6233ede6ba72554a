# PV USB that dom0's kernel serves: controllers and two devices of the host (the machine's mouse, which has no driver, and its
# stick, which has one) are created with a guest, come and go while it runs, and go with it; at each point the nodes, lists,
# stored configuration and drivers are the same with both xl, and so is what is written to Linux. Each xl detaches the
# other's. What Linux refuses is taken back. Linux 6.1 has no usbback: another driver stands in its place by that name, and
# its part in xenstore is played.
#: profile = "usb"
#: timeout = 900
[ -n "${own_mounts-}" ] || own_mounts=1 exec unshare -m bash -eEuo pipefail "$0"
. /lab/lib.sh

modprobe -a xhci-pci usb-storage usbsevseg
product() {
    grep -l -x "$1" /sys/bus/usb/devices/*/idVendor
}
has_driver() {
    [ -e "/sys/bus/usb/devices/$1:1.0/driver" ]
}
wait_for 20 product 0627
wait_for 20 product 46f4
mouse=$(basename "$(dirname "$(product 0627)")")
stick=$(basename "$(dirname "$(product 46f4)")")
wait_for 20 has_driver "$stick"
address() {
    echo "hostbus=$(cat "/sys/bus/usb/devices/$1/busnum") hostaddr=$(cat "/sys/bus/usb/devices/$1/devnum")"
}
of_mouse=$(address "$mouse")
of_stick=$(address "$stick")

# The driver of 7-segment displays takes any device that it is told to.
mkdir drivers
for driver in /sys/bus/usb/drivers/*; do
    mkdir "drivers/${driver##*/}"
    mount --bind "$driver" "drivers/${driver##*/}"
done
mkdir drivers/usbback
mount --bind drivers/usbsevseg drivers/usbback
for id in "0627 0001" "46f4 0001"; do echo "$id" > drivers/usbback/new_id; done
! has_driver "$mouse" || echo "$mouse:1.0" > drivers/usbback/unbind
mount --rbind drivers /sys/bus/usb/drivers
serve_small 0 vusb
xenstore-write /libxl/usbback "" # it stays once made
host_state > before

drivers() {
    for device in $mouse $stick; do
        if has_driver "$device"; then
            driver=$(readlink "/sys/bus/usb/devices/$device:1.0/driver")
            driver=${driver##*/}
            echo "$device: ${driver/usbsevseg/usbback}"
        else
            echo "$device: no driver"
        fi
    done
}
drivers > drivers.before
cat drivers.before
grep -q "^$stick: usb-storage" drivers.before

# state NAME: all that is known of USB.
state() {
    local domid
    domid=$(stockxl domid usb)
    xenstore_of "$domid" > "$1.xenstore"
    xenstore-ls -fp /libxl/usbback > "$1.remembered"
    userdata_of "$domid" > "$1.userdata"
    drivers > "$1.drivers"
    stockxl usb-list usb > "$1.stock-list"
    xl usb-list usb > "$1.our-list"
}

# traced NAME PROGRAM ARGUMENTS...: what it writes to drivers.
traced() {
    local name=$1
    shift
    echo "\$ $*"
    strace -y -e trace=write -o strace.out "$@"
    sed -n -E 's/^write\([0-9]+<(.*(bind|unbind))>/\1/p' strace.out >> "$name.written"
}

# refusing FILE COMMAND...: runs it while nothing can be written to this file of a driver.
refusing() {
    local file=/sys/bus/usb/drivers/$1 status=0
    shift
    mount --bind /dev/full "$file"
    "$@" || status=$?
    umount "$file"
    echo "without $file: $status" >> "$1.statuses"
}

comma() {
    echo "${1// /,}"
}
{ tiny_pv usb; echo "usbctrl = [\"type=pv,version=1,ports=3\", \"version=2\"]"; echo "usbdev = [\"type=hostdev,$(comma "$of_stick"),controller=1,port=2\"]"; } > usb.cfg
for program in stockxl xl; do
    if [ $program = xl ]; then other=stockxl; else other=xl; fi
    traced $program $program create -q -p usb.cfg
    state $program.created
    traced $program.other $other usbdev-detach usb 1 2
    state $program.empty
    traced $program $program usbdev-attach usb $of_stick
    state $program.plugged
    run $program usbdev-attach usb $of_mouse controller=1
    state $program.both
    run $program usbctrl-attach usb type=pv ports=2
    state $program.more
    run $other usbctrl-detach usb 0
    state $program.less
    refusing usbback/bind $program usbdev-attach usb $of_stick controller=2
    state $program.not-bound
    run $program usbdev-attach usb $of_stick controller=2
    refusing usbsevseg/unbind $program usbdev-detach usb 2 1
    state $program.not-unbound
    run $program usbdev-detach usb 1 1
    traced $program $program usbdev-detach usb 2 1
    run $program usbdev-attach usb $of_stick controller=2 port=2
    for call in "usbctrl-attach usb type=pv version=3" "usbctrl-attach usb type=pv ports=32" "usbctrl-detach usb 9" \
        "usbdev-attach usb $of_stick" "usbdev-attach usb $of_mouse controller=2 port=2" "usbdev-detach usb 1 1" \
        "usbdev-attach usb hostbus=1 hostaddr=1"; do
        status=0
        $program $call > /dev/null 2>> $program.errors || status=$?
        echo "$call: $status" >> $program.statuses
    done
    state $program.refused
    $other destroy usb
    drivers | cmp drivers.before -
    nothing_left before
done
# Stock xl keeps in the stored configuration what it could not attach.
! is_ours || cp stockxl.less.userdata stockxl.not-bound.userdata
for point in created empty plugged both more less not-bound not-unbound refused; do
    for what in xenstore remembered userdata drivers stock-list our-list; do
        same "$point: $what" stockxl.$point.$what xl.$point.$what
    done
    same "$point: lists" xl.$point.stock-list xl.$point.our-list
done
same "what is written to drivers" stockxl.written xl.written
same "what the other writes to drivers" xl.other.written stockxl.other.written
same "statuses" stockxl.statuses xl.statuses
cat xl.written xl.statuses xl.errors xl.refused.our-list xl.created.remembered
grep -q usbback xl.created.drivers
is_ours || exit 0

# What a killed xl has left half done goes with the guest: here the stick has lost its driver, and usbback has not got it.
run xl create -q -p usb.cfg
run xl usbdev-detach usb 1 2
xenstore-write "/local/domain/0/backend/vusb/$(stockxl domid usb)/0/port/1" "$stick"
encoded=${stick//./_}
xenstore-write "/libxl/usbback/$encoded/$encoded@1_0/driver_path" /sys/bus/usb/drivers/usb-storage
echo "$stick:1.0" > /sys/bus/usb/drivers/usb-storage/unbind
xenstore-write "/local/domain/0/backend/vusb/$(stockxl domid usb)/1/port/2" 9-9 # this one has been unplugged from the host
run xl destroy usb
drivers | cmp drivers.before -
nothing_left before

# They come and go, by turns of the two.
run xl create -q -p usb.cfg
run xl usbdev-detach usb 1 2
state none
round=0
while more_rounds $round 20; do
    round=$((round + 1))
    if [ $((round % 2)) = 1 ]; then one=xl other=stockxl; else one=stockxl other=xl; fi
    $one usbctrl-attach usb type=pv ports=2
    $one usbdev-attach usb $of_stick controller=2
    $other usbctrl-detach usb 2
    state now
    for what in xenstore remembered drivers stock-list our-list; do cmp none.$what now.$what; done
done
echo "$round rounds of 20"
run xl destroy usb

# A device without a controller gets one of usbback's. A backend that does not get ready is told, and nothing stays.
{ tiny_pv usb; echo "usbdev = [\"$(comma "$of_stick")\"]"; } > alone.cfg
run xl create -q -p alone.cfg
xl usb-list usb | tee list
grep -q ' pv .*' list
grep -q 'Port 1: Bus' list
kill -- -$serving
state before
! xl usbctrl-attach usb type=pv 2> err || fail "a controller that nothing serves"
cat err
grep -q 'is its driver loaded' err
state after
for what in xenstore remembered userdata drivers; do cmp before.$what after.$what; done
run xl destroy usb
drivers | cmp drivers.before -
nothing_left before
