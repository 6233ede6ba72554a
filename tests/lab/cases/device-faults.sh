# Devices that cannot come to be, at creation and attached later: one error, which names the device and says why; stock xl's
# exit status; nothing left, and nothing for xl gc. With a xenstored that answers late all works. What create-failures
# shows is not repeated here.
#: timeout = 600
. /lab/lib.sh

bridge xenbr0 10.9.0.1
truncate -s 1M disk.img
tiny_pv server > server.cfg
tiny_pv guest > guest.cfg
{ tiny_pv holder; echo "disk = [\"$PWD/disk.img,raw,xvda,w\"]"; echo 'vif = ["bridge=xenbr0,vifname=web0"]'; } > holder.cfg
host_state > nothing
for name in server guest holder; do stockxl create -q -p $name.cfg; done
host_state > before

# script NAME LINE: what connects a disk or an interface; it has nothing to disconnect.
script() {
    printf '#!/bin/sh\ncase $1 in remove | offline) exit 0 ;; esac\n%s\n' "$2" > "$1"
    chmod +x "$1"
}
script three 'exit 3'
script tape 'xenstore-write "$XENBUS_PATH/hotplug-error" "the tape is full" "$XENBUS_PATH/hotplug-status" error; exit 1'
script hang 'exec sleep 1000'

# try NAME COMMAND...: in the background; its status goes to NAME.status, its words to NAME.err.
try() {
    local name=$1
    shift
    {
        local status=0
        timeout 120 "$@" > /dev/null 2> "$name.err" < /dev/null || status=$?
        echo $status > "$name.status"
    } &
    tries+=($!)
}

# told NAME: that ours failed as stock's did, with one error that says WORDS.
told() {
    local ours stock
    ours=$(cat "xl-$1.status") stock=$(cat "stockxl-$1.status")
    echo "$1: status $ours, stock's $stock"
    sed "s/^/  /" "xl-$1.err"
    is_ours || return 0
    [ "$ours" = "${status:-$stock}" ] || fail "$1: exit status $ours, stock's is $stock"
    [ "$(wc -l < "xl-$1.err")" = 1 ] || fail "$1: this is not one error"
    grep -q -- "$words" "xl-$1.err" || fail "$1: it does not say: $words"
}

# fails TITLE WORDS create|attach|both KIND DEVICE: by both programs, all at once; each has a guest of its own.
fails() {
    local words=$2 verbs=$3 kind=$4 device=$5 program tries=() verb
    echo "== $1"
    [ "$verbs" != both ] || verbs="attach create"
    sed 's/"guest"/"stock"/' guest.cfg > stock.cfg
    stockxl create -q -p stock.cfg
    for program in stockxl xl; do
        for verb in $verbs; do
            case $verb:$kind in
                create:disk) { tiny_pv "bad-$program"; echo "disk = ['$device']"; } > $program.cfg ;;
                create:vif) { tiny_pv "bad-$program"; echo "vif = ['$device']"; } > $program.cfg ;;
            esac
            target=guest
            [ $program = xl ] || target=stock
            case $verb:$kind in
                create:*) try $program-create $program create -q -p $program.cfg ;;
                attach:disk) try $program-attach $program block-attach $target "$device" ;;
                attach:vif) try $program-attach $program network-attach $target ${device//,/ } ;;
            esac
        done
    done
    wait "${tries[@]}"
    stockxl destroy stock
    stockxl destroy bad-stockxl 2> /dev/null || true # where stock xl sees nothing wrong
    for verb in $verbs; do told $verb; done
    is_ours || return 0
    nothing_left before
    [ -z "$(xl gc -n)" ] || fail "there is something for xl gc: $(xl gc -n)"
}

disk=format=raw,vdev=xvdb,access=w
fails "a script fails" "disk xvdb: $PWD/three: it failed (exit status: 3)" both disk "$disk,script=$PWD/three,target=$PWD/disk.img"
fails "a script says why" "disk xvdb: $PWD/tape: the tape is full" attach disk "$disk,script=$PWD/tape,target=$PWD/disk.img"
fails "no such image" "disk xvdb: /nonexistent/disk.img: No such file" attach disk "$disk,target=/nonexistent/disk.img"
fails "no such bridge" 'bridge "none7" does not exist' attach vif bridge=none7
fails "another interface has the name" "web0 (vifname=)" both vif bridge=xenbr0,vifname=web0
! is_ours || ip -o link show dev web0 up | grep web0 || fail "the other interface was taken out of use"
holder=$(stockxl domid holder)
fails "another guest writes to the image" "disk.img: it is in use by domain $holder; only readers can share" both disk "$disk,target=$PWD/disk.img"
ln disk.img link.img
fails "another guest writes to what is to be read by another name" "it is in use by domain $holder" attach disk "format=raw,vdev=xvdb,access=r,target=$PWD/link.img"
server=$(stockxl domid server)
fails "the backend's domain does not answer" "disk xvdb: .*does domain $server run, with its backend driver loaded" both disk "$disk,backend=server,target=/disk.img"
fails "a script hangs" "hang did not end within 40 seconds" both vif "script=$PWD/hang"
# Stock xl leaves it to QEMU, which says nothing to it.
status=1
fails "the image is a directory" "/tmp is a directory" attach disk "$disk,target=/tmp"
stockxl destroy holder

echo "== a slow xenstored"
python3 /lab/slow-xenstored.py "$PWD/slow" 50 &
slow=$!
wait_for 20 test -S slow
{ tiny_pv late; printf 'disk = ["%s/disk.img,raw,xvda,w"]\nvif = [""]\n' "$PWD"; } > late.cfg
truncate -s 1M more.img
for call in "create -q -p late.cfg" "block-attach late $PWD/more.img,raw,xvdb,w" "network-attach late bridge=xenbr0" \
    "block-detach -f late xvdb" "network-detach late 1" "destroy late"; do
    start=$(date +%s%3N)
    XENSTORED_PATH=$PWD/slow xl $call
    echo "xl $call: $(($(date +%s%3N) - start)) ms"
done
kill $slow
stockxl destroy guest
stockxl destroy server
nothing_left nothing
! is_ours || [ -z "$(xl gc -n)" ] || fail "there is something for xl gc: $(xl gc -n)"
