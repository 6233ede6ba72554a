# A disk and an interface come and go, again and again, while the guest reads and writes another disk: what either xl
# attached the other detaches; all that was read is what was written; nothing is left.
#: timeout = 300
. /lab/lib.sh
rounds=6

bridge xenbr0 10.9.0.1
image root.img
image extra.img
host_state > before

linux busy pv | sed 's/quiet/quiet load=xvda/' > busy.cfg
echo "disk = [\"$PWD/root.img,raw,xvda,w\"]" >> busy.cfg
rm -f /var/log/xen/console/guest-busy.log
run xl create -q busy.cfg
wait_for 150 is_up busy
domid=$(stockxl domid busy)

load() {
    grep -a -o '^load: [0-9]* rounds' /var/log/xen/console/guest-busy.log | tail -n 1 | grep -o '[0-9]*'
}

# uses DEVICE: whether the guest has connected to it.
uses() {
    [ "$(xenstore-read "/local/domain/$domid/device/$1/state")" = 4 ]
}

wait_for 20 load
before_load=$(load)
for ((round = 1; round <= rounds; round++)); do
    # By turns.
    if [ $((round % 2)) = 1 ]; then one=xl other=stockxl; else one=stockxl other=xl; fi
    $one block-attach busy "$PWD/extra.img,raw,xvdb,w"
    $one network-attach busy mac=00:16:3e:11:22:44 bridge=xenbr0
    wait_for 20 uses vbd/51728
    wait_for 20 uses vif/0
    $other block-detach busy xvdb
    $other network-detach busy 0
    [ "$(losetup -a | wc -l)" = 1 ] || fail "round $round: a loop device is left"
    [ -z "$(ls /sys/class/net/xenbr0/brif)" ] || fail "round $round: an interface is left"
done
echo "$rounds rounds in $SECONDS s; meanwhile the guest wrote and read $(($(load) - before_load)) blocks"
ticks=$(last_tick busy)
wait_for 20 ticked_beyond busy "$ticks"
if grep -a '^load:.*\(wrong\|cannot\)' /var/log/xen/console/guest-busy.log; then fail "the guest's data are wrong"; fi
[ "$(load)" -gt "$before_load" ] || fail "the guest does not write any more"
run xl destroy busy
nothing_left before
