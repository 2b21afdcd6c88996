#!/usr/bin/env python3
"""slice_dat.py IN.dat OUT.dat TIME...    a small trace.dat of version 6 for tests

IN.dat is a trace.dat of version 6 (trace-cmd convert --file-version 6 --compression none).  Kept are the ring-buffer pages
that hold the events of the given times, or those of a range "FROM-TO", and the formats of the events that mmbox reads; kernel symbols and printk
formats are dropped.
"""
import struct
import sys

KEPT = {"kmem", "compaction", "vmscan", "oom", "migrate", "mmo", "mmoracle"}


def main():
    data = open(sys.argv[1], "rb").read()
    ranges = []
    for word in sys.argv[3:]:
        first, _, last = word.partition("-")
        ranges.append((int(first), int(last or first)))
    at = data.index(b"\0", 10) + 3
    page_size = struct.unpack_from("<I", data, at)[0]
    at += 4
    start = at

    def text(size_format):
        nonlocal at
        size = struct.unpack_from(size_format, data, at)[0]
        begin = at + struct.calcsize(size_format)
        at = begin + size
        return data[begin:at]

    for name in (b"header_page\0", b"header_event\0"):
        at += len(name)
        text("<Q")
    out = data[:at]
    count = struct.unpack_from("<I", data, at)[0]
    at += 4
    formats = [text("<Q") for _ in range(count)]
    formats = [f for f in formats if f.startswith(b"name: print\n")]
    out += struct.pack("<I", len(formats)) + b"".join(struct.pack("<Q", len(f)) + f for f in formats)
    systems = []
    count = struct.unpack_from("<I", data, at)[0]
    at += 4
    for _ in range(count):
        end = data.index(b"\0", at)
        name = data[at:end]
        events = struct.unpack_from("<I", data, end + 1)[0]
        at = end + 5
        formats = [text("<Q") for _ in range(events)]
        if name.decode() in KEPT:
            if name == b"kmem":
                formats = [f for f in formats if f.startswith(b"name: mm_page")]
            systems.append((name, formats))
    out += struct.pack("<I", len(systems))
    for name, formats in systems:
        out += name + b"\0" + struct.pack("<I", len(formats))
        out += b"".join(struct.pack("<Q", len(f)) + f for f in formats)
    text("<I")
    text("<I")
    out += struct.pack("<II", 0, 0)
    commands = text("<Q")
    cpus = struct.unpack_from("<I", data, at)[0]
    at += 4
    options = b""
    assert data[at:at + 10] == b"options  \0"
    at += 10
    while struct.unpack_from("<H", data, at)[0] != 0:
        kind, size = struct.unpack_from("<HI", data, at)
        body = data[at + 6:at + 6 + size]
        at += 6 + size
        if kind in (4, 5, 8, 9):  # clock, uname, cpus, version
            options += struct.pack("<HI", kind, size) + body
    at += 2
    assert data[at:at + 10] == b"flyrecord\0"
    at += 10
    pages = []
    for cpu in range(cpus):
        offset, size = struct.unpack_from("<QQ", data, at + 16 * cpu)
        each = [data[p:p + page_size] for p in range(offset, offset + size, page_size)]
        times = [struct.unpack_from("<Q", p)[0] for p in each] + [1 << 63]
        pages.append(b"".join(p for i, p in enumerate(each)
                              if any(times[i] <= last and first < times[i + 1] for first, last in ranges)))
    # Only the names of the tasks that occur.
    used = set()
    for cpu in pages:
        for p in range(0, len(cpu), 4):
            used.add(struct.unpack_from("<I", cpu, p)[0])
    commands = b"".join(line + b"\n" for line in commands.splitlines() if int(line.split(b" ")[0]) in used)
    out += struct.pack("<Q", len(commands)) + commands + struct.pack("<I", cpus)
    out += b"options  \0" + options + struct.pack("<H", 0) + b"flyrecord\0"
    begin = (len(out) + 16 * cpus + page_size - 1) // page_size * page_size
    table, body = b"", b""
    for cpu in pages:
        table += struct.pack("<QQ", begin + len(body), len(cpu))
        body += cpu
    out += table
    out += b"\0" * (begin - len(out)) + body
    open(sys.argv[2], "wb").write(out)


main()
