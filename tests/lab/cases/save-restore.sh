# `xl save` and `xl restore`: each xl reads what the other wrote, and so do both verify-stream-v2; a guest goes on where it
# was, with what is in its memory, its CPUs and its xenstore nodes, under the same UUID and configuration.
#: timeout = 600
. /lab/lib.sh

# Debian's package does not tell stock's tool where its modules are.
export PYTHONPATH=/usr/lib/xen-4.17/lib/python
verifiers=/usr/lib/xen-4.17/bin/verify-stream-v2
! is_ours || verifiers+=" /usr/local/lib/xen/bin/verify-stream-v2"

# What stays the same of a guest wherever it goes: all of `xl list -l` but its number.
description() {
    stockxl list -l moved | grep -v -e '"domid"' -e '_memkb'
}

host_state > before
for kind in pv pvh; do
    holder moved $kind > moved.cfg
    start_ticking moved
    description > description.before
    moved_xenstore_of "$(stockxl domid moved)" > nodes.before
    for pair in "xl stockxl" "stockxl xl" "xl xl"; do
        read -r writer reader <<< "$pair"
        echo "== $kind: $writer writes, $reader reads"
        tick=$(last_tick moved)
        run "$writer" save moved moved.save
        gone moved || fail "saved, but still there"
        for verify in $verifiers; do
            $verify --in moved.save --format xl > verified 2>&1 || fail "$verify refuses it: $(cat verified)"
        done
        run "$reader" restore moved.save
        goes_on moved "$tick"
        still_holds moved "$(last_tick moved)"
        description > description.after
        same "list -l" description.before description.after
        moved_xenstore_of "$(stockxl domid moved)" > nodes.after
        same "xenstore" nodes.before nodes.after
    done
    if [ $kind = pv ]; then
        echo "== a guest that was booted by a bootloader needs none"
        sed -e 's/^kernel = .*/bootloader = "pygrub"/' -e '/^ramdisk/d' moved.cfg > loaded.cfg
        tick=$(last_tick moved)
        run xl save moved moved.save
        run xl restore loaded.cfg moved.save
        goes_on moved "$tick"
    fi
    run xl destroy moved
    nothing_left before
done
