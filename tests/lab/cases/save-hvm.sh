# An HVM guest and its QEMU are saved, suspended and sent while it runs: QEMU stops with the guest, and its state travels.
# Stock xl creates and restores it.
#: timeout = 600
. /lab/lib.sh

host_state > before
linux mover hvm > mover.cfg
printf 'vnc = 0\nnographic = 1\n' >> mover.cfg
start_ticking mover

echo "== save -c"
tick=$(last_tick mover)
run xl save -c mover mover.save
goes_on mover "$tick"

if is_ours; then
    echo "== suspend and resume"
    run xl suspend mover
    run stockxl list mover > listed
    grep -qE ' [r-][b-]-s' listed || fail "not suspended: $(cat listed)"
    tick=$(last_tick mover)
    run xl resume mover
    goes_on mover "$tick"
fi

echo "== save, stock restores"
tick=$(last_tick mover)
run xl save mover mover.save
gone mover || fail "it stays"
if is_ours; then
    /usr/local/lib/xen/bin/verify-stream-v2 --in mover.save --format xl || fail "no good stream"
    /usr/local/lib/xen/bin/dump-stream mover.save | grep -q EMULATOR_CONTEXT || fail "without QEMU's state"
fi
run stockxl restore mover.save
goes_on mover "$tick"

echo "== sends, stock receives"
tick=$(last_tick mover)
run xl migrate -s "" mover "stockxl migrate-receive"
goes_on mover "$tick"

run xl destroy mover
nothing_left before
