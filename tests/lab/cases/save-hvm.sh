# An HVM guest is saved and suspended: its QEMU stops with it, and goes on with it or has its state saved. Stock xl creates
# and restores such guests.
#: timeout = 600
. /lab/lib.sh
. /lab/remus.sh

host_state > before
linux mover hvm > mover.cfg
printf 'vnc = 0\nnographic = 1\n' >> mover.cfg
rm -f /var/log/xen/console/guest-mover.log
run stockxl create -q -p mover.cfg
run xl unpause mover # its QEMU too, which stock xl has started with its devices at rest
wait_for 240 is_up mover
wait_for 60 last_tick mover

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

if is_ours; then
    echo "== stock saves and restores through this tree's save helper"
    export LIBXL_SAVE_HELPER=/usr/local/lib/xen/bin/libxl-save-helper
    tick=$(last_tick mover)
    run stockxl save mover mover.save
    run stockxl restore mover.save
    goes_on mover "$tick"
    unset LIBXL_SAVE_HELPER

    echo "== its copy, which stock xl keeps, takes over when it is lost"
    tick=$(last_tick mover)
    replicated xl -F -n -d -i 1000 -s "" mover "stockxl migrate-receive -r -e"
    wait_for 60 ticked_beyond mover "$tick"
    lose_guest mover
    wait $sending
    told
    wait_for 60 exists mover
    goes_on_from_before mover "$tick"
fi

run xl destroy mover
nothing_left before
