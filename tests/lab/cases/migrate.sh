# `xl migrate`: each xl sends to the other, on one host, while the guest runs; it goes on where it was, without a tick
# missing, with what is in its memory, its CPUs and its xenstore nodes, and there is one of it.
#: timeout = 600
. /lab/lib.sh

# Both are on one host, where they share /vm/UUID (docs/migration.md); where stock xl takes part it is gone from then on.
nodes() {
    moved_xenstore_of "$(stockxl domid moved)" | grep -v "^$stocks"
}

# move SENDER RECEIVER
move() {
    local tick old
    echo "== $1 sends, $2 receives"
    stocks=/vm/
    [ "$1 $2" != "xl xl" ] || stocks=none
    tick=$(last_tick moved)
    old=$(stockxl domid moved)
    nodes > nodes.before
    stockxl list -l moved | grep -v -e '"domid"' > description.before
    run "$1" migrate -s "" moved "$2 migrate-receive"
    [ "$(stockxl domid moved)" != "$old" ] || fail "it has the same number"
    gone moved--migratedaway || fail "two copies"
    goes_on moved "$tick"
    still_holds moved "$(last_tick moved)"
    stockxl list -l moved | grep -v -e '"domid"' > description.after
    same "list -l" description.before description.after
    nodes > nodes.after
    same "xenstore" nodes.before nodes.after
}

host_state > before
holder moved pvh > moved.cfg
start_ticking moved
move xl xl
move xl stockxl
move stockxl xl
run xl destroy moved
nothing_left before

# Debian's Xen has no shadow paging, so stock xl moves no PV guest there; ours suspends it first.
if is_ours; then
    holder moved pv > moved.cfg
    start_ticking moved
    move xl xl
    move xl stockxl
    run xl destroy moved
    nothing_left before
fi
