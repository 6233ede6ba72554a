# Debian's kernel as it is packed, in a bzImage: each xl boots it, as PV and as PVH guest. (The other cases boot the kernel
# that is in it, because unpacking takes seconds.)
#: timeout = 200
. /lab/lib.sh

host_state > before
for pair in "xl pv" "xl pvh" "stockxl pv"; do
    read -r program kind <<< "$pair"
    linux packed "$kind" | sed 's,/boot/vmlinux,/boot/vmlinuz,' > packed.cfg
    rm -f /var/log/xen/console/guest-packed.log
    run "$program" create -q packed.cfg
    wait_for 90 is_up packed
    run xl destroy packed
done
nothing_left before
