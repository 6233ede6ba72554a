# PV USB that QEMU serves: controllers and a device of the host (the machine's mouse) are created with a
# guest and come and go while it runs; QEMU is called as by stock xl, the nodes, lists, statuses and the stored
# configuration are the same, each xl detaches the other's. What cannot be is told before anything is changed.
#: profile = "usb"
#: timeout = 300
. /lab/lib.sh

host_state > before
modprobe xhci-pci
mouse() {
    grep -l -x 0627 /sys/bus/usb/devices/*/idVendor
}
wait_for 20 mouse
mouse=$(dirname "$(mouse)")
bus=$(cat "$mouse/busnum")
address=$(cat "$mouse/devnum")
device="type=hostdev,hostbus=$bus,hostaddr=$address"
waits() {
    [ "$(xenstore-read "/local/domain/0/backend/qusb/$1/$2/state")" = 2 ]
}

# state NAME: all that is known of USB.
state() {
    local domid
    domid=$(stockxl domid usb)
    xenstore_of "$domid" | grep -E 'usb' > "$1.xenstore"
    userdata_of "$domid" > "$1.userdata"
    stockxl usb-list usb > "$1.stock-list"
    xl usb-list usb > "$1.our-list"
}

{ tiny_pv usb; echo "usbctrl = [\"type=qusb,version=1,ports=3\", \"version=2\"]"; echo "usbdev = [\"$device,controller=1,port=2\"]"; } > usb.cfg
for program in stockxl xl; do
    if [ $program = xl ]; then other=stockxl; else other=xl; fi
    run $program create -q -p usb.cfg
    domid=$(stockxl domid usb)
    for number in 0 1; do wait_for 20 waits "$domid" $number; done
    tr '\0' '\n' < "/proc/$(xenstore-read "/local/domain/$domid/image/device-model-pid")/cmdline" |
        sed "s/-$domid\b/-DOMID/; s/^$domid$/DOMID/; s#/var/run/#/run/#" > $program.qemu
    state $program.created
    run $other usbdev-detach usb 1 2
    state $program.empty
    run $program usbdev-attach usb hostbus=$bus hostaddr=$address
    state $program.plugged
    run $program usbctrl-attach usb ports=2
    wait_for 20 waits "$domid" 2
    state $program.more
    run $other usbdev-detach usb 0 1
    run $program usbdev-attach usb hostbus=$bus hostaddr=$address controller=2
    state $program.last
    {
        for call in "usbctrl-attach usb version=3" "usbctrl-attach usb ports=32" "usbctrl-attach usb nonsense=1" \
            "usbctrl-detach usb 9" "usbdev-attach usb hostbus=99 hostaddr=99" "usbdev-attach usb hostbus=$bus hostaddr=1" \
            "usbdev-attach usb hostbus=$bus hostaddr=$address" "usbdev-detach usb 0 1" "usb-list usb surplus"; do
            status=0
            $program $call > /dev/null 2>> $program.errors || status=$?
            echo "$call: $status"
        done
    } > $program.statuses
    state $program.refused
    $other destroy usb
    nothing_left before
done
for point in created empty plugged more last refused; do
    for what in xenstore userdata stock-list our-list; do
        same "$point: $what" stockxl.$point.$what xl.$point.$what
    done
    same "$point: lists" xl.$point.stock-list xl.$point.our-list
done
same "call of QEMU" stockxl.qemu xl.qemu
same "statuses" stockxl.statuses xl.statuses
cat xl.errors xl.last.our-list
is_ours || exit 0

# A controller goes with what is plugged in; the guest has no driver that would let go of it.
run xl create -q -p usb.cfg
run xl usbctrl-detach usb 1
[ "$(xl usb-list -o json usb | grep -c '"type": "qusb"')" = 1 ]
run xl usbdev-attach usb hostbus=$bus hostaddr=$address
run xl destroy usb

# They come and go, by turns of the two; under software emulation once, fifty times with `cargo lab test --long`. The
# guest lets go of nothing, so each removal takes its whole time. What was detached stays in the stored configuration with
# either xl, whose reader goes by xenstore: it is the same after each round, and the lists show nothing of it.
run xl create -q -p usb.cfg
domid=$(stockxl domid usb)
run xl usbdev-detach usb 1 2
state none
xl list -l usb > none.long
round=0
while more_rounds $round 50; do
    round=$((round + 1))
    if [ $((round % 2)) = 1 ]; then one=xl other=stockxl; else one=stockxl other=xl; fi
    $one usbctrl-attach usb ports=2
    wait_for 20 waits "$domid" 2
    $one usbdev-attach usb hostbus=$bus hostaddr=$address controller=2
    state attached
    ! cmp -s none.our-list attached.our-list || fail "the controller is not listed"
    $other usbdev-detach usb 2 1
    $other usbctrl-detach usb 2
    state now
    [ -e first.userdata ] || cp now.userdata first.userdata
    cmp first.userdata now.userdata
    for what in xenstore stock-list our-list; do cmp none.$what now.$what; done
    xl list -l usb | cmp none.long -
done
echo "$round rounds of 50"
run xl destroy usb

# A device without a controller gets one, and a QEMU.
{ tiny_pv usb; echo "usbdev = [\"$device\"]"; } > alone.cfg
run xl create -q -p alone.cfg
xl usb-list usb
xl usb-list usb | grep -q 'Port 1: Bus' || fail "the device is not plugged in"
sed 's/"usb"/"second"/' alone.cfg > second.cfg
! xl create -q -p second.cfg 2> err || fail "a device has two guests"
cat err
grep -q 'usbdev 0 (usbdev=): domain [0-9]* has USB device' err
run xl destroy usb

# Of two guests that are to get it at the same time one does.
for name in one two; do
    { tiny_pv $name; echo 'usbctrl = ["type=qusb"]'; } > $name.cfg
    run xl create -q -p $name.cfg
done
for name in one two; do
    { ! xl usbdev-attach $name hostbus=$bus hostaddr=$address || echo $name >> got; } &
done
wait
[ "$(wc -l < got)" = 1 ] || fail "the device went to $(cat got)"
xl usb-list "$(cat got)" | grep 'Port 1: Bus'
for name in one two; do run xl destroy $name; done

{ tiny_pv plain; } > plain.cfg
run xl create -q -p plain.cfg
! xl usbctrl-attach plain 2> err || fail "a controller that nothing serves"
cat err
grep -q 'QEMU would serve it' err
run xl destroy plain
sed 's/version=1/version=1,type=pv/; s/type=qusb,//' usb.cfg > pv.cfg
! xl create -q -p pv.cfg 2> err || fail "a controller that the kernel does not serve"
cat err
grep -q 'usbctrl 0 (usbctrl=): type=pv: this kernel has no backend' err
nothing_left before
