# A create that fails says why on stderr, exits as stock xl does and leaves nothing; the next create works.
#: timeout = 600
. /lab/lib.sh

tiny_pv good > good.cfg
head -c 100000 "$tiny_pv_kernel" > truncated
head -c 5000000 /boot/vmlinuz > truncated-bzimage
echo "not a kernel" > text

config() {
    printf 'name = "bad"\ntype = "%s"\nkernel = "%s"\nmemory = %s\n' "$1" "$2" "$3"
}

# fails TITLE WORD: creating bad.cfg fails like stock's, mentions WORD, leaves nothing.
fails() {
    local title=$1 word=$2 stock=0 ours=0
    echo "== $title"
    stockxl create bad.cfg > /dev/null 2>&1 || stock=$?
    stockxl destroy bad 2> /dev/null || true
    host_state > before
    timeout 60 xl create bad.cfg > out 2> err < /dev/null || ours=$?
    cat err
    [ "$ours" -ne 0 ] || fail "$title: created"
    [ "$ours" -eq "$stock" ] || fail "$title: exit status $ours, stock's is $stock"
    ! is_ours || grep -q -- "$word" err || fail "$title: stderr does not say \"$word\""
    nothing_left before
}

for kind in pv pvh; do
    config $kind /nonexistent/kernel 32 > bad.cfg
    fails "$kind: kernel missing" /nonexistent/kernel
    config $kind "$PWD/text" 32 > bad.cfg
    fails "$kind: not a kernel" "text"
    config $kind "$PWD/truncated" 32 > bad.cfg
    fails "$kind: kernel truncated" "truncated"
    config $kind "$PWD/truncated-bzimage" 128 > bad.cfg
    fails "$kind: compressed kernel truncated" "truncated"
    config $kind "$tiny_pv_kernel" 100000 > bad.cfg
    fails "$kind: not enough memory" "memory"
done
tiny_pv bad > bad.cfg
sed -i 's#^kernel#ramdisk = "/nonexistent/ramdisk"\nkernel#' bad.cfg
fails "ramdisk missing" /nonexistent/ramdisk

tiny_pv bad > bad.cfg
echo 'disk = ["/nonexistent/disk.img,raw,xvda,w"]' >> bad.cfg
fails "disk missing" /nonexistent/disk.img
sed -i 's#^disk.*#vif = ["bridge=none7"]#' bad.cfg
fails "bridge missing" 'bridge "none7" does not exist'
printf '#!/bin/sh\nxenstore-write "$XENBUS_PATH/hotplug-error" "the tape is full"\nexit 1\n' > tape
chmod +x tape
truncate -s 1M disk.img
sed -i "s#^vif.*#disk = ['format=raw,vdev=xvda,script=$PWD/tape,target=$PWD/disk.img']#" bad.cfg
fails "disk's script fails" "the tape is full"

# Stock xl makes this domain, with a QEMU that serves no disk.
if is_ours; then
    echo "== disk is a directory"
    sed -i "s#^disk.*#disk = ['/tmp,raw,xvda,w']#" bad.cfg
    host_state > before
    ! xl create -q bad.cfg 2> err || fail "created"
    cat err
    grep -q "/tmp is a directory" err || fail "stderr does not say so"
    nothing_left before
fi

echo "== name in use"
stockxl create -q -p good.cfg
sed 's/"good"/"bad"/' good.cfg > bad.cfg
stockxl rename good bad
host_state > before
status=0
timeout 60 xl create bad.cfg > out 2> err || status=$?
cat err
[ $status -ne 0 ] || fail "a second domain of the same name was created"
! is_ours || grep -q bad err || fail "stderr does not name the domain"
nothing_left before
stockxl destroy bad

run xl create -q good.cfg
run xl destroy good
