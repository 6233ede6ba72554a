# Disks, and a shared directory, that QEMU serves: QEMU is called as by stock xl, and the nodes are the same; a guest
# writes to raw, qcow2 and vhd images; they come and go while it runs, by force and while it is paused too. What QEMU
# cannot open is told, and nothing is left when a guest goes.
#: timeout = 300
. /lab/lib.sh

host_state > before
image raw.img
qemu-img convert -O qcow2 raw.img disk.qcow2
qemu-img convert -O vpc -o force_size=on raw.img disk.vhd
cp disk.qcow2 extra.qcow2
disks() {
    printf 'disk = ["%s/raw.img,raw,xvda,w,backendtype=qdisk",\n' "$PWD"
    printf '"%s/disk.qcow2,qcow2,xvdb,w", "%s/disk.vhd,vhd,xvdc,w"]\n' "$PWD" "$PWD"
}

# waits DOMID: whether QEMU waits for the frontends of all that it serves.
waits() {
    for device in qdisk/"$1"/51712 qdisk/"$1"/51728 qdisk/"$1"/51744 9pfs/"$1"/0; do
        [ "$(xenstore-read "/local/domain/0/backend/$device/state")" = 2 ] || return 1
    done
}

{ tiny_pv layout; disks; echo 'p9 = ["tag=share,path=/tmp,security_model=none"]'; } > layout.cfg
for program in stockxl xl; do
    run $program create -q -p layout.cfg
    domid=$(stockxl domid layout)
    pid=$(xenstore-read "/local/domain/$domid/image/device-model-pid")
    wait_for 20 waits "$domid"
    { xenstore_of "$domid"; xenstore-ls -fp "/local/domain/0/device-model/$domid"; } |
        sed -E "s#device-model-pid = \"[0-9]*\"#device-model-pid = \"VARIES\"#; s#device-model/$domid#device-model/DOMID#; s#,n$domid\)#,nDOMID)#" > $program.xenstore
    userdata_of "$domid" > $program.userdata
    tr '\0' '\n' < "/proc/$pid/cmdline" | sed "s/-$domid\b/-DOMID/; s/^$domid$/DOMID/; s#/var/run/#/run/#" > $program.qemu
    tr '\0' '\n' < "/proc/$pid/environ" | grep ^XEN_ >> $program.qemu
    [ "$(ps -o sid= "$pid" | tr -d ' ')" = "$pid" ] || fail "QEMU is not a session of its own"
    [ -e /var/log/xen/qemu-dm-layout.log ] || fail "QEMU has no log"
    if [ $program = xl ]; then stockxl destroy layout; else xl destroy layout; fi
    nothing_left before
done
same "xenstore" stockxl.xenstore xl.xenstore
same "stored configuration" stockxl.userdata xl.userdata
same "call of QEMU" stockxl.qemu xl.qemu

{ linux io pvh; disks; } > io.cfg
rm -f /var/log/xen/console/guest-io.log
run xl create -q io.cfg
wait_for 120 is_up io
wait_for 60 says io disks: xvda xvdb xvdc
run xl block-attach io "$PWD/extra.qcow2,qcow2,xvdd,w"
wait_for 60 says io disks: xvda xvdb xvdc xvdd
run stockxl block-detach io xvdc
wait_for 60 says io disks: xvda xvdb xvdd
run stockxl block-attach io "$PWD/disk.vhd,vhd,xvdc,w"
wait_for 60 says io disks: xvda xvdb xvdc xvdd
run xl block-detach io xvdd
wait_for 60 says io disks: xvda xvdb xvdc
stockxl block-list io | sed 1d | cut -d' ' -f1-4 > stockxl.list
xl block-list io | sed 1d | cut -d' ' -f1-4 > xl.list
same "block-list" stockxl.list xl.list

# What is taken by force, or from a guest that is paused and cannot let go, QEMU closes all the same.
pid=$(xenstore-read "/local/domain/$(stockxl domid io)/image/device-model-pid")
closed() {
    [ -z "$(readlink "/proc/$pid/fd"/* | grep "$1")" ]
}
run xl block-detach -f io xvdc
wait_for 5 closed disk.vhd
wait_for 60 says io disks: xvda xvdb
xl pause io
start=$SECONDS
run xl block-detach io xvdb
[ $((SECONDS - start)) -lt 8 ] || fail "a paused guest was waited for"
wait_for 5 closed disk.qcow2
xl unpause io
wait_for 60 says io disks: xvda
run xl destroy io
nothing_left before
for format in raw:raw.img qcow2:disk.qcow2 qcow2:extra.qcow2 vpc:disk.vhd; do
    qemu-img convert -f "${format%:*}" -O raw "${format#*:}" copy.img
    is_copied copy.img || fail "what the guest wrote is not in ${format#*:}"
    rm copy.img
done
is_ours || exit 0

# refused WORDS COMMAND...: fails and says WORDS.
refused() {
    local words=$1
    shift
    ! run "$@" 2> err || fail "$* does not fail"
    cat err
    grep -q -- "$words" err || fail "it does not say: $words"
}
cp raw.img broken.qcow2
{ tiny_pv broken; echo "disk = [\"$PWD/broken.qcow2,qcow2,xvda,w\"]"; } > broken.cfg
refused "disk xvda: .*Image is not in qcow2 format" xl create -q broken.cfg
sed 's/broken.qcow2/none.qcow2/' broken.cfg > none.cfg
refused "none.qcow2: No such file" xl create -q none.cfg
{ tiny_pv plain; } > plain.cfg
run xl create -q -p plain.cfg
refused "QEMU would serve it" xl block-attach plain "$PWD/disk.qcow2,qcow2,xvda,w"
run xl destroy plain
nothing_left before
