"""Writes a PV guest's save file as Xen before 4.6 wrote it: python3 legacy.py SAVED LEGACY.

What convert-legacy-stream does, backwards. What the older format has no place for (CPUID and MSR policies, MSRs) is lost.
"""

import struct
import sys

STREAM_V2 = 2
LIBXC_CONTEXT = 1
END, PAGE_DATA, PV_INFO, P2M_FRAMES, BASIC, EXTENDED, XSAVE, SHARED_INFO, TSC_INFO = range(9)
VCPU_INFO, TSC, LAST = -2, -7, 0
EXTENDED_SIZE = 128

with open(sys.argv[1], "rb") as saved:
    magic, order, flags, optional, length = struct.unpack("<32s4I", saved.read(48))
    config = saved.read(length)
    saved.read(16)  # libxl's header
    assert struct.unpack("<II", saved.read(8)) == (LIBXC_CONTEXT, 0)
    saved.read(40)  # libxc's headers
    records, kind = [], None
    while kind != END:
        kind, length = struct.unpack("<II", saved.read(8))
        records.append((kind, saved.read((length + 7) & ~7)[:length]))


def bodies(wanted):
    return [body for kind, body in records if kind == wanted]


def states(wanted):
    """The states of the vCPUs, by their numbers."""
    return {struct.unpack_from("<I", body)[0]: body[8:] for body in bodies(wanted)}


def block(name, content):
    return name + struct.pack("<I", len(content)) + content


def page_batch(body):
    (count,) = struct.unpack_from("<I", body)
    pages = 8 + 8 * count
    words = [entry >> 60 << 28 | entry & 0xfffffff for entry in struct.unpack_from("<%dQ" % count, body, 8)]
    return struct.pack("<i%dQ" % count, count, *words) + body[pages:]


basic, extended, xsave = states(BASIC), states(EXTENDED), states(XSAVE)
blocks = block(b"vcpu", basic[0])
if extended:
    blocks += block(b"extv", b"")
if xsave:
    blocks += block(b"xcnt", struct.pack("<I", 16 + len(xsave[0])))
(frames,) = bodies(P2M_FRAMES)
mode, khz, nsec, incarnation = struct.unpack_from("<IIQI", bodies(TSC_INFO)[0])

with open(sys.argv[2], "wb") as legacy:
    legacy.write(struct.pack("<32s4I", magic, order, flags & ~STREAM_V2, optional, len(config)) + config)
    legacy.write(struct.pack("<Q", struct.unpack_from("<I", frames, 4)[0] + 1))
    legacy.write(struct.pack("<QI", 0xffffffffffffffff, len(blocks)) + blocks)
    legacy.write(frames[8:])
    for body in bodies(PAGE_DATA):
        legacy.write(page_batch(body))
    legacy.write(struct.pack("<iiQ", VCPU_INFO, max(basic), sum(1 << vcpu for vcpu in basic)))
    legacy.write(struct.pack("<iIQII", TSC, mode, nsec, khz, incarnation))
    legacy.write(struct.pack("<iI", LAST, 0))
    for vcpu in sorted(basic):
        legacy.write(basic[vcpu])
        if extended:
            legacy.write(extended[vcpu].ljust(EXTENDED_SIZE, b"\0"))
        if xsave:
            area = xsave[vcpu]
            legacy.write(struct.pack("<QQ", 7, len(area)) + area)
    legacy.write(bodies(SHARED_INFO)[0])
