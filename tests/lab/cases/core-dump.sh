# A core file of a paused PV guest has every byte that stock xl's has, one of a PVH guest all its memory; a guest that
# crashes leaves one where stock xl would.
#: timeout = 300
. /lab/lib.sh

# Stock xl tries each of the million pages below 4 GiB of a PVH guest by itself, which takes too long here: its core file
# is looked at instead. The kernel's image must be in it, where the guest has it.
cat > look.py <<'P'
import struct, sys
core, kernel = (open(name, "rb").read() for name in sys.argv[1:3])
def sections(elf):
    at, (size, count, names) = struct.unpack_from("<Q", elf, 40)[0], struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQ", elf, at + i * size) for i in range(count)]
    strings = headers[names][4]
    name = lambda offset: elf[strings + offset:elf.index(b"\0", strings + offset)].decode()
    return {name(h[0]): (h[4], h[5]) for h in headers[1:]}
found = sections(core)
print(*found)
(pages, size), (table, length) = found[".xen_pages"], found[".xen_pfn"]
pfns = struct.unpack_from("<%dQ" % (length // 8), core, table)
held = [pfn for pfn in pfns if pfn != 2**64 - 1]
place = {pfn: pages + i * 4096 for i, pfn in enumerate(pfns)}
assert size == len(pfns) * 4096 and len(place) >= len(held) and held == sorted(held)
assert not any(core[pages + i * 4096:pages + i * 4096 + 4096].strip(b"\0") for i in range(len(held), len(pfns)))
offset, paddr, filesz = next(struct.unpack_from("<4xI4xII", kernel, p) for p in
    (struct.unpack_from("<I", kernel, 28)[0] + i * 32 for i in range(struct.unpack_from("<H", kernel, 44)[0]))
    if struct.unpack_from("<I", kernel, p)[0] == 1)
for done in range(0, filesz & ~4095, 4096):
    assert core[place[(paddr + done) >> 12]:][:4096] == kernel[offset + done:][:4096], hex(paddr + done)
print(len(held), "of", len(pfns), "pages;", filesz, "bytes of the kernel at", hex(paddr))
P

host_state > before
echo "== PVH"
tiny_pvh tiny > tiny.cfg
stockxl create -q -p tiny.cfg
run xl dump-core tiny ours.core
run python3 look.py ours.core $tiny_pvh_kernel
stockxl destroy tiny

echo "== PV"
linux life pv > life.cfg
echo 'on_crash = "coredump-restart"' >> life.cfg
rm -f /var/log/xen/console/guest-life.log
xl create -q life.cfg
wait_for 90 is_up life
xl pause life
stockxl dump-core life stock.core
run xl dump-core life ours.core
cmp stock.core ours.core || fail "the core files differ"
[ "$(stat -c '%a' ours.core)" = 600 ] || fail "others may read it"
echo "$(stat -c '%s' ours.core) bytes, $(($(stat -c '%b' ours.core) / 2)) KiB on disk"
rm -f -- *.core

echo "== no core file where there is no core"
if xl dump-core 99 none.core 2> err; then fail "a core of no domain"; fi
[ ! -e none.core ] || fail "a file was left"
grep 'there is no domain 99' err
if xl dump-core life /nonexistent/file 2> err; then fail "a core in no directory"; fi
grep 'No such file' err

echo "== on_crash = coredump-restart"
domid=$(stockxl domid life)
xl unpause life
run xl sysrq life c
wait_for 60 sh -c "now=\$(stockxl domid life) && [ \"\$now\" != $domid ]"
[ "$(head -c 4 /var/lib/xen/dump/life | tr -d '\177')" = ELF ] || fail "no core file"
grep "^dumping core to /var/lib/xen/dump/life" /var/log/xen/xl-life.log
run xl destroy life
rm /var/lib/xen/dump/life
nothing_left before
