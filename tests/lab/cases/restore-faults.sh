# What can go wrong with `xl restore`: a file that is damaged or ends too early, a name in use. Each is one clear error;
# nothing is left of what was restored so far.
#: timeout = 300
. /lab/lib.sh

linux saved pvh > saved.cfg
host_state > before
start_ticking saved
run xl save saved good.save
# refused FILE: it is not restored, and nothing of it is left.
refused() {
    local status=0
    timeout 60 xl restore "$1" > out 2> err || status=$?
    cat err
    [ $status -eq 1 ] || fail "$1: exit status $status"
    nothing_left before
}
size=$(stat -c %s good.save)
for length in 47 300 1500 $((size / 2)) $((size - 1)); do
    echo "== the first $length of $size bytes"
    head -c "$length" good.save > cut.save
    refused cut.save
done
for at in 0 33 37; do
    echo "== byte $at changed"
    head -c 100000 good.save > changed.save
    printf '\377' | dd of=changed.save bs=1 seek=$at conv=notrunc status=none
    refused changed.save
done

echo "== name in use"
tiny_pvh saved > tiny.cfg
stockxl create -q -p tiny.cfg
domid=$(stockxl domid saved)
status=0
xl restore good.save 2> err || status=$?
cat err
[ $status -eq 1 ] || fail "exit status $status"
[ "$(stockxl domid saved)" = "$domid" ] || fail "the other one is gone"
stockxl destroy saved
nothing_left before
