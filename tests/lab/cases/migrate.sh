# `xl migrate`: each xl sends to the other, on one host, while the guest runs; it goes on where it was, without a tick
# missing, and there is one of it.
#: timeout = 500
. /lab/lib.sh

# move SENDER RECEIVER
move() {
    local tick old
    echo "== $1 sends, $2 receives"
    tick=$(last_tick moved)
    old=$(stockxl domid moved)
    run "$1" migrate -s "" moved "$2 migrate-receive"
    [ "$(stockxl domid moved)" != "$old" ] || fail "it has the same number"
    gone moved--migratedaway || fail "two copies"
    goes_on moved "$tick"
}

host_state > before
linux moved pvh > moved.cfg
start_ticking moved
move xl stockxl
move stockxl xl
move xl xl
run xl destroy moved
nothing_left before

# Debian's Xen has no shadow paging, so stock xl moves no PV guest there; ours suspends it first.
if is_ours; then
    linux moved pv > moved.cfg
    start_ticking moved
    move xl stockxl
    run xl destroy moved
    nothing_left before
fi
