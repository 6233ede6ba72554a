# What processes that crashed leave behind (a domain half built; devices, nodes and files of a dead domain; locks)
# `xl gc -n` lists and `xl gc` removes. Guests that live, a domain that is being built and locks that are held stay.
#: timeout = 600
. /lab/lib.sh
is_ours || skip "stock xl has no gc"

bridge xenbr0 10.9.0.1
image disk.img
image dead.img
host_state > before

{ tiny_pv live; printf 'disk = ["%s/disk.img,raw,xvda,w"]\nvif = [""]\n' "$PWD"; } > live.cfg
run xl create -q live.cfg
tiny_pvh stock > stock.cfg
run stockxl create -q -p stock.cfg
[ -z "$(xl gc)" ] || fail "guests that live are left over"
host_state > alive

# A create that hangs in a script.
printf '#!/bin/sh\n[ "$1" = offline ] || { echo $$ > %s/hangs; exec sleep 1000; }\n' "$PWD" > hang
chmod +x hang
{ tiny_pv half; printf 'vif = ["script=%s/hang"]\n' "$PWD"; } > half.cfg
xl create -q half.cfg 2> /dev/null &
creator=$!
wait_for 30 test -s hangs
xl gc -n 2> note > list
[ ! -s list ] || fail "a domain that is being built is left over: $(cat list)"
cat note
grep -q "process $creator (xl) may be building it" note
kill -9 $creator "$(cat hangs)"
wait $creator || true

# A domain that died without its toolstack.
uuid=c0ffee00-0000-4000-8000-000000000099
loop=$(losetup -f --show dead.img)
backend=/local/domain/0/backend/vbd/99/51712
frontend=/local/domain/99/device/vbd/51712
xenstore-write /local/domain/99/name dead /libxl/99/type pv /vm/$uuid/name dead \
    $frontend/backend $backend $frontend/backend-id 0 $frontend/state 1 $frontend/virtual-device 51712 \
    $backend/frontend $frontend $backend/frontend-id 99 $backend/online 1 $backend/state 1 $backend/params "$PWD/dead.img" \
    $backend/script /etc/xen/scripts/block $backend/type phy $backend/mode w $backend/node "$loop"
for file in userdata-d.99.$uuid.libxl-json userdata-l.99.$uuid.domain-userdata-lock qemu-save.99; do
    touch /var/lib/xen/$file
done
touch /var/lock/xenconsole.99
mkdir -p /run/xen-hotplug
touch /run/xen-hotplug/block-stale
flock /run/xen-hotplug/block-held sleep 1000 &
holder=$!
wait_for 10 test -e /run/xen-hotplug/block-held

half=$(stockxl domid half)
xl gc -n | sed "s/domain $half:/domain HALF:/" > list
sort > expected << END
domain HALF: half built, it never ran and no process works on it
devices and xenstore nodes of domain 99: there is no such domain
xenstore node /vm/$uuid: no domain has this UUID
/var/lib/xen/userdata-d.99.$uuid.libxl-json: domain 99 is gone
/var/lib/xen/qemu-save.99: domain 99 is gone
/var/lock/xenconsole.99: domain 99 is gone
/var/lib/xen/userdata-l.99.$uuid.domain-userdata-lock: no process holds this lock
/run/xen-hotplug/block-stale: no process holds this lock
END
sort -o list list
same "left over" expected list
exists half || fail "xl gc -n removed a domain"

run xl gc
[ -z "$(xl gc)" ] || fail "there is still something: $(xl gc)"
nothing_left alive
[ ! -e /run/xen-hotplug/block-stale ] || fail "a stale lock is left"
[ ! -e /var/lock/xenconsole.99 ] || fail "the lock of a dead domain's console is left"
[ -e /run/xen-hotplug/block-held ] || fail "a lock that is held is gone"
kill $holder
rm /run/xen-hotplug/block-held

run xl block-list live
run xl destroy live
run xl destroy stock
nothing_left before
