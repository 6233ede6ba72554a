# Hotplug scripts, run by xl create: a guest is reached over a bridge, a route and NAT, and writes to an iSCSI disk, by
# stock xl with stock's scripts and by this xl with this tree's, here to an NBD disk too, which stock's script cannot. They
# change the host in the same way, and take all of it back. Open vSwitch, which is not here, is called as by stock's script.
#: timeout = 500
. /lab/lib.sh

# Stock's scripts as they are in Xen: Debian has switched off what handles the packet filter.
cp -r /usr/lib/xen-4.17/scripts stock
sed -i '/^handle_iptable()/,/^}/{/^  return 0$/d}' stock/vif-common.sh
scripts_of() {
    if [ "$1" = xl ] && is_ours; then echo /etc/xen/scripts; else echo "$PWD/stock"; fi
}

bridge xenbr0 10.9.0.1
host_state > before

# A packet filter for bridges, so that vif-bridge is run; without one its work is done in process. nf_tables, which
# iptables uses otherwise, would make cases after this one run scripts too.
update-alternatives --set iptables /usr/sbin/iptables-legacy > /dev/null
filters="xt_physdev br_netfilter xt_tcpudp iptable_filter"
modprobe -a $filters

# The interfaces that guests reach: dom0 over its route, and a host outside over NAT.
outside() {
    ip netns exec outside "$@"
}
ip link add dom0 type dummy
ip addr add 10.9.1.1/24 dev dom0
ip link set dom0 up
ip netns add outside
ip link add uplink type veth peer name eth0 netns outside
ip addr add 10.8.0.1/24 dev uplink
ip link set uplink up
outside ip addr add 10.8.0.2/24 dev eth0
outside ip link set eth0 up
outside ip route add 10.9.2.0/24 via 10.8.0.1
echo 1 > /proc/sys/net/ipv4/ip_forward

# Programs in place of those that are not here: stock's ifconfig, and one that notes its calls.
ifconfig_for_stock
cat > bin/ovs-vsctl << END
#!/bin/sh
echo "ovs-vsctl \$*" >> $PWD/calls
END
chmod +x bin/ovs-vsctl

# An iSCSI target of the kernel's, with one disk, and the initiator's daemon.
iqn=iqn.2026-11.example:disk
target=/sys/kernel/config/target/iscsi/$iqn/tpgt_1
core=/sys/kernel/config/target/core/fileio_0/disk
start_target() {
    modprobe -a iscsi_tcp iscsi_target_mod target_core_file
    mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
    mkdir -p $core $target/lun/lun_0 $target/np/127.0.0.1:3260
    echo "fd_dev_name=$PWD/iscsi.img,fd_dev_size=4194304" > $core/control
    echo 1 > $core/enable
    ln -s $core $target/lun/lun_0/disk
    for attribute in generate_node_acls=1 demo_mode_write_protect=0 authentication=0; do
        echo "${attribute#*=}" > "$target/attrib/${attribute%=*}"
    done
    echo 1 > $target/enable
    echo "InitiatorName=$iqn-initiator" > /etc/iscsi/initiatorname.iscsi
    iscsid
    wait_for 10 pidof iscsid
}

stop_target() {
    iscsiadm -m node -o delete
    pkill -x iscsid
    rm -r /run/lock/iscsi
    rm $target/lun/lun_0/disk
    rmdir $target/np/127.0.0.1:3260 $target/lun/lun_0 $target ${target%/*} $core ${core%/*}
}
image iscsi.img
start_target

modprobe nbd nbds_max=2
image nbd.img
qemu-nbd --fork --persistent --format=raw --pid-file="$PWD/nbd.pid" --bind=127.0.0.1 --port=10809 --export-name=web nbd.img

# change: what a script changes on this host, and what it tells the backend.
change() {
    local domid=$1
    {
        ip -4 -o addr show | awk '/vif/ { print $2, $4 }'
        ip route | grep vif || true
        grep . /proc/sys/net/ipv4/conf/vif*/proxy_arp
        ls /sys/class/net/xenbr0/brif
        iptables-save | grep vif || true
        xenstore-ls -fp | grep -E "^/local/domain/0/backend/(vif|vbd)/$domid/[0-9]+/(hotplug|physical)" | grep -v /51728/
        iscsiadm -m session | sed 's/tcp: .[0-9]*. //'
    } | sed "s/vif$domid\./vifDOMID./g; s/,r$domid)/,rDOMID)/; s#/$domid/#/DOMID/#" | sort -u # stock lets packets out twice
}

disks=xvda
for program in stockxl xl; do
    echo "== $program"
    if [ $program = xl ] && is_ours; then disks="xvda xvdb"; fi
    image iscsi.img
    scripts=$(scripts_of $program)
    {
        linux net pv | sed "s/quiet/quiet gateway=10.9.2.129 reach=10.8.0.2/"
        echo "vif = [\"mac=00:16:3e:11:22:30,script=$scripts/vif-bridge,bridge=xenbr0\","
        echo "\"mac=00:16:3e:11:22:31,script=$scripts/vif-route,ip=10.9.1.2,gatewaydev=dom0\","
        echo "\"mac=00:16:3e:11:22:32,script=$scripts/vif-nat,ip=10.9.2.2\"]"
        echo "disk = [\"vdev=xvda,access=w,script=$scripts/block-iscsi,target=iqn=$iqn,portal=127.0.0.1\"]"
        [ "$disks" = xvda ] || echo "disk += [\"vdev=xvdb,access=w,script=$scripts/block-nbd,target=127.0.0.1:10809:web\"]"
    } > net.cfg
    rm -f /var/log/xen/console/guest-net.log
    echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
    run $program create -q net.cfg
    domid=$(stockxl domid net)
    change "$domid" > $program.change
    wait_for 120 is_up net
    for address in 10.9.0.2 10.9.1.2 10.9.2.2; do
        wait_for 30 ping -c 1 -W 1 $address
        echo "$address answers"
    done
    wait_for 30 says net reached 10.8.0.2
    wait_for 30 says net disks: $disks
    if [ $program = xl ] && is_ours; then
        # What is refused the session does not end it.
        ! run xl block-attach net "vdev=xvdc,access=r,script=$scripts/block-iscsi,target=iqn=$iqn,portal=127.0.0.1" 2> err ||
            fail "a target has two sessions"
        grep "$iqn has a session already" err
        iscsiadm -m session
    fi
    echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables # the rules go all the same
    run $program destroy net
    is_copied iscsi.img || fail "what the guest wrote is not in the iSCSI target"
    ! iptables-save | grep vif || fail "rules of the packet filter are left"
    ! iscsiadm -m session || fail "the iSCSI session is left"
done
wait_for 10 sh -c '[ ! -e /sys/block/nbd0/pid ]'
! is_ours || is_copied nbd.img || fail "what the guest wrote is not in what the NBD server serves"
cat xl.change
same "what the scripts change" stockxl.change xl.change
stop_target
kill "$(cat nbd.pid)"
wait_for 10 sh -c "! kill -0 $(cat nbd.pid)"

echo "== vif-openvswitch"
for program in stockxl xl; do
    : > calls
    script=$(scripts_of $program)/vif-openvswitch
    {
        tiny_pv switched
        echo "vif = [\"mac=00:16:3e:11:22:33,script=$script,bridge=ovsbr0\","
        echo "\"mac=00:16:3e:11:22:34,script=$script,bridge=ovsbr0.7\", \"mac=00:16:3e:11:22:35,script=$script,bridge=ovsbr0:7:8\"]"
    } > ovs.cfg
    run $program create -q -p ovs.cfg
    ip -o link show | sed -nE "s/^[0-9]+: (vif[0-9.]+: <[^>]*>).*(link.ether [^ ]*).*/\1 \2/p"
    run $program destroy switched
    # Stock's quotes, and the order of interfaces and of independent words, do not matter.
    tr -d '"' < calls | sed -E "s/vif[0-9]+\./vifDOMID./g; s/(uuid=)[^ ]*/\1UUID/" | tr ' ' '\n' | sort -u > $program.switch
done
same "calls of ovs-vsctl" stockxl.switch xl.switch

ip link del dom0
ip link del uplink
ip netns del outside
echo 0 > /proc/sys/net/ipv4/ip_forward
# Not modprobe -r, which takes the bridges with it.
rmmod nbd $filters
update-alternatives --auto iptables > /dev/null
nothing_left before
