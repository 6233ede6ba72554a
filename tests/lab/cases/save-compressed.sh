# `xl save --compress` and its progress as JSON, and `xl migrate --compress`: the guest goes on where it was, the file is a
# fraction of its memory, and stock xl says that it cannot read it. What cannot be written is told by its cause.
#: timeout = 500
. /lab/lib.sh

is_ours || skip "stock xl compresses nothing"

host_state > before
linux packed pvh > packed.cfg
start_ticking packed
for method in zstd:1 lz4; do
    tick=$(last_tick packed)
    xl save --compress "$method" -o json packed packed.save > events
    python3 -c 'import json, sys; [print(json.loads(line)["step"]) for line in sys.stdin]' < events | uniq
    size=$(stat -c %s packed.save)
    echo "$method: $((size >> 20)) MiB of a guest of 128 MiB"
    [ $size -lt $((64 << 20)) ] || fail "hardly smaller"
    ! stockxl restore packed.save 2> err || fail "stock xl read it"
    grep 'need newer xl' err
    head -c $((size / 2)) packed.save > cut.save
    ! run xl restore cut.save || fail "a file that was cut is restored"
    nothing_left before
    run xl restore packed.save
    goes_on packed "$tick"
done

# cannot_be_written WORDS COMMAND...: it fails and says why; the guest goes on.
cannot_be_written() {
    local tick status=0 words=$1
    tick=$(last_tick packed)
    "${@:2}" 2> err || status=$?
    cat err
    [ $status -eq 1 ] || fail "exit status $status"
    grep -q "$words" err || fail "stderr does not say \"$words\""
    goes_on packed "$tick"
}
mkdir small
mount -t tmpfs -o size=4m tmpfs small
cannot_be_written 'compressing the stream: No space left on device' xl save --compress lz4 packed small/packed.save
[ -z "$(ls -A small)" ] || fail "left: $(ls -A small)"
umount small
(
    wait_for 60 pgrep -f 'libxl-stream-compress zstd'
    kill -9 "$(pgrep -f 'libxl-stream-compress zstd')"
) &
cannot_be_written 'libxl-stream-compress failed .*SIGKILL' xl save --compress zstd packed packed.save
wait

tick=$(last_tick packed)
run xl migrate --compress zstd:1 -s "" packed "xl migrate-receive"
goes_on packed "$tick"
run xl destroy packed
nothing_left before
