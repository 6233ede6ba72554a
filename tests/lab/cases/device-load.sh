# Devices of each kind come and go while the guest reads and writes another disk: disks from a file, from a block device and
# by QEMU, an interface on a bridge, a keyboard, a trusted platform module, a display, a sound card; interfaces on a route
# and NAT, whose scripts are slow, in every fifth round, or in all with `cargo lab test --long`. Now and then one xl detaches
# what the other attached. After each round nothing of them is left; all that the guest read is what it had written. Fifty
# rounds, or as many as there is time for: under software emulation a few, but for `cargo lab test --long`.
#: timeout = 500
. /lab/lib.sh

bridge xenbr0 10.9.0.1
image root.img
# So small that the guest has done with them at once.
truncate -s 64K extra.img device.img
for name in first extra; do qemu-img create -q -f qcow2 $name.qcow2 64K; done
host_state > nothing

# What they are attached to: a block device, an interface with a route, a domain that serves the small ones.
device=$(losetup -f --show device.img)
ip link add dom0 type dummy
ip addr add 10.9.1.1/24 dev dom0
ip link set dom0 up
ifconfig_for_stock
small_server

# The guest has a disk that QEMU serves, so that there is a QEMU. Linux does not give back all memory that it had for a
# device: in a guest of 128 MiB it was at its end after forty rounds.
linux busy pv | sed -e 's/quiet/quiet load=xvda/' -e 's/^memory = .*/memory = 512/' > busy.cfg
echo "disk = [\"$PWD/root.img,raw,xvda,w\", \"$PWD/first.qcow2,qcow2,xvde,w\"]" >> busy.cfg
rm -f /var/log/xen/console/guest-busy.log
run xl create -q busy.cfg
wait_for 150 is_up busy
domid=$(stockxl domid busy)

load() {
    grep -a -o '^load: [0-9]* rounds' /var/log/xen/console/guest-busy.log | tail -n 1 | grep -o '[0-9]*'
}

uuid=c0ffee00-0000-4000-8000-000000000002
# attach PROGRAM, detach PROGRAM: one device of each kind.
attach() {
    $1 block-attach busy "$PWD/extra.img,raw,xvdb,w"
    $1 block-attach busy "phy:$device,xvdc,w"
    $1 block-attach busy "$PWD/extra.qcow2,qcow2,xvdd,w"
    $1 network-attach busy mac=00:16:3e:11:22:44 bridge=xenbr0
    $1 vkb-attach busy backend=server backend-type=linux unique-id=keys
    $1 vtpm-attach busy backend=server uuid=$uuid
    $1 vdispl-attach busy backend=server connectors=left:640x480
    $1 vsnd-attach busy "card, backend=server, short-name=card" "pcm, name=p" "stream, unique-id=s, type=c"
}

detach() {
    local disk
    for disk in xvdb xvdc xvdd; do $1 block-detach busy $disk; done
    $1 network-detach busy 0
    $1 vkb-detach busy 0
    $1 vtpm-detach busy $uuid
    $1 vdispl-detach busy 0
    $1 vsnd-detach busy 0
}

attach_scripted() {
    $1 network-attach busy mac=00:16:3e:11:22:45 script=vif-route ip=10.9.1.2 gatewaydev=dom0
    $1 network-attach busy mac=00:16:3e:11:22:46 script=vif-nat ip=10.9.2.2
}

detach_scripted() {
    $1 network-detach busy 1
    $1 network-detach busy 2
}

# uses DEVICE...: whether the guest has connected to all of them.
uses() {
    local states
    states=$(xenstore-read $(printf "/local/domain/$domid/device/%s/state " "$@"))
    [ -z "${states//[$'\n4']/}" ]
}

# gone_again: waits until only the guest's own devices are there: the drivers take a moment to let an interface go.
gone_again() {
    nothing_left busy.before
    xl list -l busy | diff configured - || fail "round $round: a device is left in the configuration"
}

stockxl sched-credit2 -d 0 -w 2560 # the guest would else have half of the CPU
wait_for 60 load
before_load=$(load)
host_state > busy.before
xl list -l busy > configured
began=$SECONDS scripted=0 exchanged=0
round=0
while more_rounds $round 50; do
    round=$((round + 1))
    case $((round % 10)) in
        2) one=xl other=stockxl ;;
        4) one=stockxl other=xl ;;
        *) one=xl other=xl ;;
    esac
    [ $one = $other ] || exchanged=$((exchanged + 1))
    attach $one
    wait_for 30 uses vbd/51728 vbd/51744 vbd/51760 vif/0
    if is_long || [ $((round % 5)) = 3 ]; then
        scripted=$((scripted + 1))
        attach_scripted $one
        wait_for 30 uses vif/1 vif/2
        detach_scripted $other
    fi
    detach $other
    gone_again
done
echo "$round rounds of 50 in $((SECONDS - began)) s; in $scripted of them a route" \
    "and NAT, in $exchanged the two took turns; meanwhile the guest wrote and read $(($(load) - before_load)) blocks"
ticks=$(last_tick busy)
wait_for 30 ticked_beyond busy "$ticks"
if grep -a '^load:.*\(wrong\|cannot\)' /var/log/xen/console/guest-busy.log; then fail "the guest's data are wrong"; fi
[ "$(load)" -gt "$before_load" ] || fail "the guest does not write any more"
stockxl sched-credit2 -d 0 -w 256
run xl destroy busy
end_small_server
ip link del dom0
losetup -d "$device"
nothing_left nothing
