# A disk and an interface come and go while a guest runs: what our xl attaches the guest uses and stock xl detaches; the
# lists are equal, and nothing is left.
#: timeout = 600
. /lab/lib.sh

bridge xenbr0 10.9.0.1
image root.img
image extra.img
host_state > before

{
    linux hot pv
    printf 'disk = ["%s/root.img,raw,xvda,w"]\nvif = ["mac=00:16:3e:11:22:33"]\n' "$PWD"
} > hot.cfg
rm -f /var/log/xen/console/guest-hot.log
run xl create -q hot.cfg
wait_for 150 is_up hot

# Attached by ours, detached by stock's.
run xl block-attach hot "$PWD/extra.img,raw,xvdb,w"
run xl network-attach hot mac=00:16:3e:11:22:44 bridge=xenbr0
wait_for 60 says hot disks: xvda xvdb
wait_for 60 says hot interfaces: eth0 eth1
for list in block-list network-list; do
    stockxl $list hot > stockxl.list
    xl $list hot > xl.list
    same "$list" stockxl.list xl.list
done
run stockxl block-detach hot xvdb
run stockxl network-detach hot 1
wait_for 60 says hot disks: xvda
wait_for 60 says hot interfaces: eth0
[ "$(losetup -a | wc -l)" = 1 ] || fail "a loop device is left"
is_copied extra.img || fail "what the guest wrote is not in the image"

run xl destroy hot
nothing_left before
