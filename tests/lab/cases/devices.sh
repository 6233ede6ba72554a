# A guest with a file disk and a bridged interface: the nodes are stock xl's, the disk holds what was written, the guest
# answers, and nothing is left when it goes, whoever made it and whoever destroys it.
#: timeout = 500
. /lab/lib.sh

bridge xenbr0 10.9.0.1
image disk.img
host_state > before

devices() {
    printf 'disk = ["%s/disk.img,raw,xvda,w"]\n' "$PWD"
    printf 'vif = ["mac=00:16:3e:11:22:33,mtu=1400,rate=10Mb/s"%s]\n' "${1:-}"
}

{ tiny_pv layout; devices; } > layout.cfg
for program in stockxl xl; do
    run $program create -q -p layout.cfg
    domid=$(stockxl domid layout)
    xenstore_of "$domid" > $program.xenstore
    userdata_of "$domid" > $program.userdata
    ip -o link show master xenbr0 | sed -E 's/^[0-9]+: vif[0-9]+\./vif/' > $program.bridge
    stockxl destroy layout
    nothing_left before
done
same "xenstore" stockxl.xenstore xl.xenstore
same "stored configuration" stockxl.userdata xl.userdata
same "interfaces on the bridge" stockxl.bridge xl.bridge

{ linux io pvh; devices ', "mac=00:16:3e:11:22:34,bridge=xenbr0"'; } > io.cfg
rm -f /var/log/xen/console/guest-io.log
run xl create -q io.cfg
wait_for 120 is_up io
wait_for 60 says io disks: xvda
wait_for 60 says io interfaces: eth0 eth1
wait_for 60 ping -c 1 -W 1 10.9.0.2
is_copied disk.img || fail "what the guest wrote is not in the image"
run xl destroy io
nothing_left before

stockxl create -q -p layout.cfg
run xl destroy layout
nothing_left before

# An operator's own script is run, with what it is told by stock xl's.
printf '#!/bin/sh\nexec >> %s/calls\necho "$@"; env | grep -E "^(XENBUS_|vif|netdev|script|INTERFACE)" | sort\n' "$PWD" > own
printf 'xenstore-write "$XENBUS_PATH/hotplug-status" connected\n' >> own
chmod +x own
{ tiny_pv own; printf 'vif = ["script=%s/own,mac=00:16:3e:11:22:33"]\n' "$PWD"; } > own.cfg
for program in stockxl xl; do
    $program create -q -p own.cfg
    $program destroy own
    sed -E 's#vif[0-9]+\.#vif#; s#vif/[0-9]+/#vif/#' calls > $program.calls
    rm calls
done
same "calls of a script" stockxl.calls xl.calls
nothing_left before
