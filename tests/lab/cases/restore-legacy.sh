# A file that Xen before 4.6 wrote: either xl restores it by either convert-legacy-stream, and the guest goes on. One that
# ends too early is one clear error; nothing is left.
#: timeout = 300
. /lab/lib.sh

# Another converter than its own, for either xl.
stocks=/usr/lib/xen-4.17/bin/convert-legacy-stream
ours=/usr/local/lib/xen/bin/convert-legacy-stream
# Debian's package does not tell stock's where its modules are.
export PYTHONPATH=/usr/lib/xen-4.17/lib/python

host_state > before
linux old pv > old.cfg
start_ticking old

# restored READER...: the guest is saved, and restored from what an older Xen would have written.
restored() {
    local tick
    tick=$(last_tick old)
    xl save old old.save
    python3 /lab/legacy.py old.save old.legacy
    run "$@" restore old.legacy
    goes_on old "$tick"
}

restored stockxl
restored xl
if is_ours; then
    restored env LIBXL_CONVERT_HELPER=$ours stockxl
    restored env LIBXL_CONVERT_HELPER=$stocks xl
fi
run xl destroy old

head -c 20000000 old.legacy > cut.legacy
status=0
xl restore cut.legacy 2> err || status=$?
cat err
[ $status -ne 0 ] || fail "a file that was cut is restored"
! is_ours || grep -q 'converting the stream: the stream ends at byte' err || fail "the cause is not told"
nothing_left before
