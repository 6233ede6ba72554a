"""A stream as Remus's sender writes it, made of what `xl save -c` wrote of a PV guest: python3 checkpointed.py FILE...

Each file is one checkpoint, with all of the guest's pages; the guest has gone on from one to the next. The stream breaks
off in the checkpoint after the last, of which some pages have come, with contents that are wrong.
"""

import struct
import sys

LIBXC_CONTEXT, CHECKPOINT_END = 1, 4
END, PAGE_DATA, CHECKPOINT = 0, 1, 0x0e
# X86_PV_INFO, STATIC_DATA_END, X86_CPUID_POLICY and X86_MSR_POLICY come once in a stream.
STATIC = (0x02, 0x10, 0x11, 0x12)

out = sys.stdout.buffer


def read(file, length):
    content = file.read(length)
    if len(content) != length:
        sys.exit("%s ends too early" % file.name)
    return content


def start(file):
    """All that comes before the first record of libxc's stream."""
    content = read(file, 48)
    content += read(file, struct.unpack("<I", content[44:])[0])  # xl's header
    content += read(file, 16 + 8)  # libxl's header and that of its first record
    if struct.unpack("<II", content[-8:])[0] != LIBXC_CONTEXT:
        sys.exit("%s has no LIBXC_CONTEXT first" % file.name)
    return content + read(file, 24 + 16)  # libxc's headers


def records(file):
    """The records of libxc's stream before its END: type, header, body."""
    while True:
        header = read(file, 8)
        kind, length = struct.unpack("<II", header)
        if kind == END:
            return
        yield kind, header, read(file, (length + 7) & ~7)


for index, name in enumerate(sys.argv[1:]):
    with open(name, "rb") as file:
        beginning = start(file)
        if index == 0:
            out.write(beginning)
        for kind, header, body in records(file):
            if index == 0 or kind not in STATIC:
                out.write(header + body)
            if kind == PAGE_DATA:
                pages = (header, body)
        out.write(struct.pack("<II", CHECKPOINT, 0) + struct.pack("<II", CHECKPOINT_END, 0))

header, body = pages
names = 8 + 8 * struct.unpack_from("<I", body)[0]
out.write(header + body[:names] + b"\xff" * (len(body) - names))
