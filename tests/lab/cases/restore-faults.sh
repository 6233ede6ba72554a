# What can go wrong with `xl restore`: a file that is damaged or ends too early, at any record, a save helper that is
# killed, no memory, a name in use. Each is one clear error; nothing is left of what was restored so far.
#: timeout = 600
. /lab/lib.sh

linux saved pvh > saved.cfg
host_state > before
start_ticking saved
run xl save saved good.save

# refused FILE [STATE]: it is not restored, and nothing of it is left.
refused() {
    local status=0
    timeout 60 xl restore "$1" > out 2> err || status=$?
    cat err
    [ $status -eq 1 ] || fail "$1: exit status $status"
    nothing_left "${2:-before}"
}

# Where the records begin, and after which ones: of the many PAGE_DATA two.
size=$(stat -c %s good.save)
ends="PAGE_DATA $((size / 2))"
if is_ours; then
    ends=$(/usr/local/lib/xen/bin/dump-stream --json good.save | python3 -c '
import json, sys
last, pages = None, 0
for part in map(json.loads, sys.stdin):
    if last and (last != "PAGE_DATA" or pages in (1, 20) or part["record"] != last):
        print(last.replace(" ", "-"), part["offset"])
    last = part["record"]
    pages += last == "PAGE_DATA"')
fi
cp good.save cut.save
while read -r record length; do
    echo "== it ends after $record, with $length of $size bytes"
    truncate -s "$length" cut.save
    refused cut.save
    ! is_ours || [ "$(grep '^xl: ' err | grep -c -v '^xl: note:')" = 1 ] || fail "not one error"
done < <(printf 'the-last-byte-but-one %s\n%s\nhalf-of-the-configuration 300\nnothing 47\n' $((size - 1)) "$ends" | sort -k 2 -n -r)

for at in 0 33 37; do
    echo "== byte $at changed"
    head -c 100000 good.save > changed.save
    printf '\377' | dd of=changed.save bs=1 seek=$at conv=notrunc status=none
    refused changed.save
done

# Another process kills the save helper.
killed_midway
mkfifo way
for signal in KILL TERM; do
    echo "== the save helper gets SIG$signal"
    sh midway restore $signal < good.save > way &
    refused way
    wait
done

if is_ours; then
    echo "== ^C while the stream stands still"
    { head -c 20000000 good.save; sleep 30; } > way &
    status=0
    timeout -k 20 -s INT 5 xl restore way 2> err || status=$?
    cat err
    grep -q "interrupted" err || fail "not interrupted (status $status)"
    nothing_left before
    wait

    echo "== xl itself is killed while the stream stands still"
    { head -c 20000000 good.save; sleep 30; } > way &
    timeout -s KILL 5 xl restore way 2> err || true
    cat err
    nothing_left before
    grep -q 'was killed: the domain is removed' err || fail "nobody says so"
    kill $!
fi

echo "== no memory"
hog 100
host_state > hogged
refused good.save hogged
stockxl destroy hog

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
