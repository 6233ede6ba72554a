# Disks and interfaces come and go while a guest runs: what one xl attaches the other detaches, lists and stored
# configurations are equal, and nothing is left. What cannot be attached says why, with stock's status.
#: timeout = 600
. /lab/lib.sh

bridge xenbr0 10.9.0.1
image root.img
image extra.img
truncate -s 1M busy.img
host_state > before

{
    linux hot pv
    printf 'disk = ["%s/root.img,raw,xvda,w"]\nvif = ["mac=00:16:3e:11:22:33"]\n' "$PWD"
} > hot.cfg
rm -f /var/log/xen/console/guest-hot.log
run xl create -q hot.cfg
wait_for 150 is_up hot
domid=$(stockxl domid hot)

# round PROGRAM OTHER: attached by one, detached by the other.
round() {
    run "$1" block-attach hot "$PWD/extra.img,raw,xvdb,w"
    run "$1" network-attach hot mac=00:16:3e:11:22:44 bridge=xenbr0
    wait_for 60 says hot disks: xvda xvdb
    wait_for 60 says hot interfaces: eth0 eth1
    userdata_of "$domid" > "$1.userdata"
    for list in block-list network-list; do
        stockxl $list hot > stockxl.list
        xl $list hot > xl.list
        same "$list" stockxl.list xl.list
    done
    run "$2" block-detach hot xvdb
    run "$2" network-detach hot 1
    wait_for 60 says hot disks: xvda
    wait_for 60 says hot interfaces: eth0
    [ "$(losetup --noheadings | wc -l)" = 1 ] || fail "a loop device is left"
}
round xl stockxl
is_copied extra.img || fail "what the guest wrote is not in the image"
round stockxl xl
same "stored configuration" stockxl.userdata xl.userdata

# refused WORD COMMAND...: fails as stock's does; says WORD; leaves the domain as it was.
refused() {
    local word=$1 stock=0 ours=0
    shift
    stockxl "$@" > /dev/null 2>&1 || stock=$?
    xenstore_of "$domid" > xenstore.before
    userdata_of "$domid" > userdata.before
    xl "$@" > out 2> err || ours=$?
    cat err
    [ "$ours" -ne 0 ] && [ "$ours" -eq "$stock" ] || fail "$*: exit status $ours, stock's is $stock"
    ! is_ours || grep -q -- "$word" err || fail "$*: stderr does not say \"$word\""
    ! is_ours || same "xenstore after $*" xenstore.before <(xenstore_of "$domid")
    ! is_ours || same "stored configuration after $*" userdata.before <(userdata_of "$domid")
}
refused "no disk xvdz" block-detach hot xvdz
refused "no interface 7" network-detach hot 7
refused "none.img" block-attach hot "$PWD/none.img,raw,xvdc,w"
run xl block-attach hot "$PWD/busy.img,raw,xvdd,w"
wait_for 60 says hot disks: xvda xvdd
refused "in use by domain\|already" block-attach hot "$PWD/busy.img,raw,xvdd,w"

run xl destroy hot
nothing_left before
