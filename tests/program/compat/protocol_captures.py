# SPDX-License-Identifier: BSD-3-Clause
"""Random captures like those of real links: whole protocols in whole frames, tags, labels and tunnels, datagrams cut
into fragments that come in any order, ICMP errors about earlier packets, padding, a short snapshot length, a clock that
steps; and the same packets as files of several kinds. In the captures of random_captures.py and java_captures.py any
field may be wrong; here packets belong together."""
import random
import struct

import packets

IPV4, IPV6, ARP, VLAN, QINQ, MPLS, PPPOE = 0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8, 0x8847, 0x8864


def tcp(r, ends, payload):
    options = r.choice([b"", b"", b"\x02\x04\x05\xb4", b"\x01\x01\x08\x0a" + r.randbytes(8)])
    flags = r.choice([2, 18, 16, 16, 16, 24, 24, 17, 4, 20, 0x29, 0, 0xFF, 0xC2])
    return packets.tcp(flags, payload, *ends, sequence=r.getrandbits(32), acknowledgment=r.getrandbits(32),
                       data_offset=5 + len(options) // 4, window=r.choice([0, 1, 502, 65535]), urgent=r.choice([0, 7]),
                       options=options)


def transport(r, ends):
    """(protocol, bytes) with a payload that may be empty."""
    payload = r.randbytes(r.choice([0, 0, 1, 3, 18, 64, 200, 1200]))
    kind = r.randrange(12)
    if kind < 5:
        return 6, tcp(r, ends, payload)
    if kind < 9:
        return 17, packets.udp(payload, *ends, r.choice([8 + len(payload), 8 + len(payload), 0, 8]))
    if kind == 9:
        return 1, packets.icmp(r.choice([0, 8, 8, 0, 13, 14, 17, 18, 9, 5]), payload,
                               identifier=r.choice([1, 80, 7000]), sequence=1)
    if kind == 10:  # SCTP: a data chunk or another one
        chunk = struct.pack(">BBH", r.choice([0, 1, 3, 10]), 3, 16 + len(payload)) + bytes(12) + payload
        return 132, struct.pack(">HHII", *ends, 1, 0) + chunk + bytes(-len(chunk) % 4)
    return r.choice([2, 50, 51, 89, 103]), payload


def ipv4(r, hosts, protocol, body, fragment=0, identification=1):
    options = r.choice([b""] * 9 + [b"\x94\x04\0\0", b"\x01\x01\x01\0", b"\x07\x07\x04" + bytes(5)])
    return packets.ipv4(protocol, body, *hosts, 5 + len(options) // 4, fragment=fragment, options=options,
                        identification=identification)


def ipv6(r, hosts, protocol, body):
    """With extension headers in front of the transport header."""
    protocol = {1: 58}.get(protocol, protocol)
    for number in r.choice([(), (), (0,), (60,), (43, 60), (44,), (51,), (0, 43, 44, 51, 60), (135,)])[::-1]:
        if number == 44:
            head = struct.pack(">BBHI", protocol, 0, r.choice([0, 1, 8 << 3, 9]), 77)
        elif number == 51:
            head = struct.pack(">BBHII", protocol, 2, 0, 1, 1) + bytes(4)
        else:
            extra = r.randrange(3)
            head = bytes([protocol, extra]) + bytes(6 + 8 * extra)
        protocol, body = number, head + body
    return packets.ipv6(protocol, body, *(f"2001:db8::{host}" for host in hosts))


def fragments(r, hosts, protocol, body):
    size = r.choice([8, 16, 64, 504])
    identification = r.randrange(1 << 16)
    parts = [(at, body[at:at + size]) for at in range(0, len(body), size)][:12]
    datagrams = [ipv4(r, hosts, protocol, part, at // 8 | (0x2000 if at + size < len(body) else 0), identification)
               for at, part in parts]
    r.shuffle(datagrams)
    return datagrams


def gre(r, hosts, packet):
    body = r.choice([b"\0\0\x08\0" + packet, b"\x20\0\x08\0\0\0\0\x09" + packet,
                     b"\x20\0\x65\x58\0\0\0\x09" + packets.ethernet(packet)])
    return ipv4(r, hosts, 47, body)


def under_link(r, packet, ether_type=IPV4):
    """The Ethernet frame; some have tags, labels, PPPoE or LLC in front of the packet."""
    way = r.randrange(14)
    if way == 0:
        packet, ether_type = struct.pack(">HH", r.randrange(1 << 16), ether_type) + packet, r.choice([VLAN, QINQ, 0x9100])
    elif way == 1:
        packet = struct.pack(">HHHH", 1, VLAN, 2, ether_type) + packet
        ether_type = r.choice([VLAN, QINQ])
    elif way == 2:
        labels = r.choice([1, 2])
        packet = b"".join(struct.pack(">I", 16 + i << 12 | (0x100 if i == labels - 1 else 0) | 64)
                          for i in range(labels)) + packet
        ether_type = MPLS
    elif way == 3:
        packet = struct.pack(">BBHHH", 0x11, 0, 1, len(packet) + 2, 0x21 if ether_type == IPV4 else 0x57) + packet
        ether_type = PPPOE
    elif way == 4:  # 802.3 with LLC and SNAP
        packet = packets.llc(packets.snap(packet, ether_type))
        ether_type = len(packet) if len(packet) < 0x600 else ether_type
    frame = packets.ethernet(packet, ether_type)
    if r.random() < 0.5:
        frame = frame.ljust(60, b"\0")
    return frame + (r.randbytes(4) if r.random() < 0.05 else b"")


def frames(r, count):
    """(microseconds, frame, length on the wire), …"""
    hosts = [f"192.0.2.{i}" for i in range(1, 4)]
    ports = r.sample([0, 1, 53, 80, 80, 443, 1701, 4789, 5004, 5060, 40000, 65535], 4)
    steps = r.choice([[0, 1, 100, 70_000], [0, 10_000, 999_999, 1_000_001, 5_000_001], [0, 1000, 31_000_000, 120_000_001],
                      [1000, 400_000, -1, -350_000, -2_000_000]])
    time = 1_600_000_000_000_000 + r.randrange(1 << 30)
    snap = r.choice([None, None, 60, 68, 80, 96])
    out, sent = [], []
    while len(out) < count:
        pair = [r.choice(hosts), r.choice(hosts)] if r.random() < 0.05 else r.sample(hosts, 2)
        ends = r.sample(ports, 2) if r.random() < 0.9 else [r.choice(ports)] * 2
        protocol, body = transport(r, ends)
        way = r.randrange(20)
        if way == 0:
            sender, target = map(packets.address, pair)
            made = [under_link(r, struct.pack(">HHBBH", 1, 0x0800, 6, 4, r.choice([1, 2])) + packets.MAC_A + sender +
                               bytes(6) + target, ARP)]
        elif way < 4:
            made = [under_link(r, ipv6(r, pair, protocol, body), IPV6)]
        elif way < 6:
            made = [under_link(r, packet) for packet in fragments(r, pair, protocol, body)]
        elif way == 6 and sent:
            about = r.choice(sent)[:r.choice([28, 28, 48, 576])]
            made = [under_link(r, ipv4(r, pair, 1, packets.icmp(r.choice([3, 3, 11, 12, 4]), about, code=1)))]
        elif way == 7:
            made = [under_link(r, gre(r, pair, ipv4(r, pair, protocol, body)))]
        elif way == 8:
            made = [under_link(r, ipv4(r, pair, r.choice([4, 41]), ipv4(r, pair[::-1], protocol, body)))]
        else:
            packet = ipv4(r, pair, protocol, body)
            sent.append(packet)
            made = [under_link(r, packet)]
        for frame in made:
            time += r.choice(steps)
            out.append((time, frame[:snap], len(frame)))
    return out


def pcap(timed, order="<", nanoseconds=False):
    if nanoseconds:
        timed = [((time // 1_000_000, time % 1_000_000 * 1000 + time % 1000), *rest) for time, *rest in timed]
    return packets.pcap(timed, order, nanoseconds=nanoseconds)


def pcapng(timed, order="<", interfaces=3):
    """Interfaces of one link type and snapshot length, each with a clock of its own."""
    digits = [6, 9, 7, 8][:interfaces]
    out = [packets.pcapng_section(order)]
    for digit in digits:
        out.append(packets.pcapng_interface(1, 262144, order, resolution=digit))
    for i, (time, frame, wire) in enumerate(timed):
        number = i * 7 % len(digits)
        stamp = time * 10 ** (digits[number] - 6) + (i % 10 if digits[number] > 6 else 0)
        out.append(packets.pcapng_packet(frame, stamp, number, wire, order))
    return b"".join(out)


def files(seed, count=400):
    """The packets of this seed as files: {name: bytes}. The first is little-endian, in microseconds."""
    timed = frames(random.Random(seed), count)
    return {"pcap": pcap(timed), "big-endian": pcap(timed, ">"), "nanoseconds": pcap(timed, nanoseconds=True),
            "big-endian nanoseconds": pcap(timed, ">", True), "pcapng": pcapng(timed),
            "big-endian pcapng": pcapng(timed, ">", 4)}
