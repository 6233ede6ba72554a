# `xl save` and `xl restore`: each xl reads what the other wrote; a guest goes on where it was, under the same UUID and
# configuration.
#: timeout = 300
. /lab/lib.sh

# What stays the same of a guest wherever it goes: all of `xl list -l` but its number.
description() {
    stockxl list -l moved | grep -v -e '"domid"' -e '_memkb'
}

host_state > before
for kind in pv pvh; do
    linux moved $kind > moved.cfg
    start_ticking moved
    description > description.before
    for pair in "xl stockxl" "stockxl xl" "xl xl"; do
        read -r writer reader <<< "$pair"
        echo "== $kind: $writer writes, $reader reads"
        tick=$(last_tick moved)
        run "$writer" save moved moved.save
        gone moved || fail "saved, but still there"
        run "$reader" restore moved.save
        goes_on moved "$tick"
        description > description.after
        same "list -l" description.before description.after
    done
    run xl destroy moved
    nothing_left before
done
