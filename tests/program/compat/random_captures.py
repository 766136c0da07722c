# SPDX-License-Identifier: BSD-3-Clause
"""Random captures that reach the rare branches of --compat python: few keys that collide between protocols, clocks that
jump both ways, lengths that lie, cut and padded frames, every link type, file kind and byte order."""
import random
import struct

import packets

ADDRESSES = ["10.0.0.1", "10.0.0.2", "192.168.255.9"]
# Used as ports, ICMP types and identifiers.
VALUES = [0, 3, 8, 11, 13, 17, 80, 300]
LINKS = [0, 1, 1, 1, 12, 108, 113, 228, 276, 14, 101]
STEPS = [0, 0, 1, 999, 1_000, 250_000, 999_999, 1_000_000, 1_000_001, 3_000_000, 29_999_999, 30_000_000, 60_000_000,
         60_000_001, 90_000_000, 120_000_001, 240_000_000, 240_000_001, 500_000_000, -1, -250_000, -1_000_000,
         -45_000_000, -300_000_000]


def frame_of(r, link, order, tidy):
    """tidy: the probability that a field is right."""
    protocol = r.choice([6, 6, 17, 17, 1, 1] if r.random() < tidy else [0, 2, 6, 17, 1, 47, 58])
    first, second = r.choice(VALUES), r.choice(VALUES)
    payload = r.randbytes(r.choice([0, 0, 1, 6, 20, 100, r.randrange(1400)]))
    if protocol == 6:
        data_offset = 5 if r.random() < tidy else r.randrange(16)
        body = packets.tcp(r.randrange(256), payload, first, second, r.choice([0, 0, 1, 512, 65535]), data_offset)
    elif protocol == 17:
        body = packets.udp(payload, first, second)
    else:
        kind = r.choice([0, 8, 3, 11, 12, 13, 14, 15, 16, 17, 18, 5, 255])
        body = packets.icmp(kind, payload, identifier=r.choice(VALUES), sequence=1)
    if r.random() > tidy:
        body = body[:r.randrange(24)]
    options = bytes(4 * r.choice([0, 0, 0, 1, 10])) if r.random() > tidy else b""
    ihl = 5 + len(options) // 4 if r.random() < tidy else r.randrange(16)
    total = 20 + len(options) + len(body) if r.random() < tidy else r.choice([0, 4 * ihl, r.randrange(1600), 65535])
    fragment = 0 if r.random() < tidy else r.choice([0x2000, 0x4000, 1, 0x2001, 0x1FFF])
    version = 4 if r.random() < tidy else r.randrange(16)
    ends = [r.choice(ADDRESSES), r.choice(ADDRESSES)]
    packet = packets.ipv4(protocol, body, *ends, ihl, total, fragment, options, version=version)
    packet += bytes(r.choice([0, 0, 0, 6, 18]))
    kind = 0x0800 if r.random() < tidy else r.choice([0x86DD, 0x8100, 0x8847, 0x0800])
    ethertype = struct.pack(">H", kind)
    family = 2 if kind == 0x0800 else 24
    head = {1: bytes(12) + ethertype, 113: bytes(14) + ethertype, 276: ethertype + bytes(18),
            0: struct.pack(order + "I", family), 108: struct.pack(">I", family)}.get(link, b"")
    frame = head + packet
    return frame[:r.randrange(len(frame) + 1)] if r.random() > tidy else frame


def timed_frames(r, link, order):
    """(time in microseconds, frame), …"""
    tidy = r.choice([0.8, 0.95, 0.995])
    steps = r.choice([STEPS, STEPS[:9], [0, 1, 7, 333]])
    time = r.choice([0, 1_600_000_000_000_000 + r.randrange(10 ** 9)])
    frames = []
    for _ in range(r.choice([1, 30, 300, 1500, 4000])):
        time = max(0, time + r.choice(steps))
        frames.append((time, frame_of(r, link, order, tidy)))
    return frames


def pcap(r):
    order = r.choice("<>")
    link = r.choice(LINKS)
    nanoseconds = r.random() < 0.4
    snap = r.choice([0, 65535, 262144, 60, 1 << 31])
    out = [packets.pcap_header(link | (r.random() < 0.03) << 28, order, nanoseconds, snap)]
    for time, frame in timed_frames(r, link, order):
        seconds, sub = divmod(time, 1_000_000)
        if nanoseconds:
            sub = sub * 1000 + r.randrange(1000)
        if r.random() < 0.01:
            sub = r.randrange(1 << 32)
        if r.random() < 0.001:
            seconds = r.choice([0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
        out.append(packets.record((seconds, sub), frame, len(frame) + r.choice([0, 0, 5]), order))
    return b"".join(out)


def pcapng(r):
    order = r.choice("<>")
    link = r.choice(LINKS)

    def interface(link, snap):
        resolution = r.choice([6, 6, 0, 3, 9, 12, 0x80 + 10, 0x80 + 30])
        offset = r.choice([0, 0, 0, -1_600_000_100, 5, 1 << 33])
        resolutions.append((2 ** (resolution - 0x80) if resolution & 0x80 else 10 ** resolution, offset))
        return packets.pcapng_interface(link, snap, order, name=b"if", resolution=resolution, offset=offset)

    snap = r.choice([0, 262144, 65535, 60])
    resolutions = []
    out = [packets.pcapng_section(order), interface(link, snap)]
    for time, frame in timed_frames(r, link, order):
        chance = r.random()
        if chance < 0.005:
            out.append(interface(link, {0: 262144, 262144: 0}.get(snap, snap)))
        elif chance < 0.006:
            out.append(interface(link, r.choice([100, snap])))
        elif chance < 0.007:
            resolutions.clear()
            out += [packets.pcapng_section(order), interface(link, snap)]
        elif chance < 0.01:
            out.append(packets.pcapng_block(5, bytes(8), order))
        number = r.randrange(len(resolutions))
        per_second, offset = resolutions[number]
        stamp = max(0, (time - offset * 1_000_000) * per_second // 1_000_000) & (1 << 64) - 1
        kind = r.choice([6, 6, 6, 6, 2, 3] if r.random() < 0.05 else [6])
        if kind == 3:
            out.append(packets.pcapng_block(3, struct.pack(order + "I", len(frame)) + frame[:snap or None], order))
        else:
            out.append(packets.pcapng_packet(frame, stamp, number, order=order, obsolete=kind == 2))
    return b"".join(out)


def capture(seed):
    """The capture of this seed; the same bytes each time."""
    r = random.Random(seed)
    data = r.choice([pcap, pcap, pcapng])(r)
    if r.random() < 0.05:
        data = data[:r.randrange(24, len(data) + 1)]
    return data
