# Stock libxl saves and restores PV and PVH guests through our libxl-save-helper as through its own, whichever of the
# two wrote the file. Ours has given up all rights that it does not need while it does so.
#: timeout = 300
. /lab/lib.sh

stock=$(ls /usr/lib/xen-*/bin/libxl-save-helper)
ours=/usr/local/lib/xen/bin/libxl-save-helper
[ -x $ours ] || ours=$stock
watched="" # the kind of guest and whose helper
! is_ours || watched="pvh ours"

is_confined() {
    pid=$(pgrep -f "^$ours --$1") && grep -q '^Seccomp:.2' "/proc/$pid/status"
}

# confined MODE: waits for our helper in this mode and writes down what it may do. The stream stands still meanwhile.
confined() {
    wait_for 90 is_confined "$1"
    grep -E '^(NoNewPrivs|Seccomp):' "/proc/$pid/status"
    find "/proc/$pid/fd" -type l -printf '%l\n' | sed 's/:.*//' | sort | uniq -c
} > "confined.$1"

mkfifo pipe
host_state > before
for kind in pv pvh; do
    linux moved $kind > moved.cfg
    start_ticking moved
    for pair in "ours stock" "stock ours"; do
        read -r writer reader <<< "$pair"
        echo "== $kind: $writer writes, $reader reads"
        tick=$(last_tick moved)
        to=moved.save from=moved.save
        if [ "$kind $writer" = "$watched" ]; then
            to=pipe
            { confined save-domain && cat > moved.save; } < pipe &
        fi
        LIBXL_SAVE_HELPER=${!writer} run stockxl save moved $to
        wait
        gone moved || fail "saved, but still there"
        if [ "$kind $reader" = "$watched" ]; then
            from=pipe
            { head -c 20000000 moved.save && confined restore-domain && tail -c +20000001 moved.save; } > pipe &
        fi
        LIBXL_SAVE_HELPER=${!reader} run stockxl restore $from
        wait
        goes_on moved "$tick"
    done
    run stockxl destroy moved
    nothing_left before
done

if is_ours; then
    for mode in save restore; do
        echo "== while it worked at a $mode"
        cat confined.$mode-domain
        grep -q '^NoNewPrivs:.1' confined.$mode-domain || fail "it may gain rights"
        grep -q '^Seccomp:.2' confined.$mode-domain || fail "it may make any system call"
        ! grep -q socket confined.$mode-domain || fail "a connection of libxl is open in it"
    done
fi
