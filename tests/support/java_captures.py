# SPDX-License-Identifier: BSD-3-Clause
"""Random captures for tests of --compat java: conversations with odd flags and times, and stacks of headers with wrong
lengths, cut frames and changed bytes, which only the header walk of the original reads correctly."""
import random
import struct

from packets import (ACK, FIN, PSH, RST, SYN, URG, ethernet, icmp, ipv4, ipv6, l2tp, llc, pcap, ppp, snap, tcp, udp,
                     vlan)


def random_payload(r):
    return bytes(r.choice((0, 0, 1, 5, r.randrange(40), r.randrange(1400))))


def random_conversation(r, packets):
    """Few addresses and ports, so that flows meet, end and start again; gaps around every limit."""
    hosts = [f"10.{r.randrange(3)}.{r.randrange(9)}.{r.randrange(250)}" for _ in range(r.choice((2, 3, 60)))]
    ports = [r.randrange(65536) for _ in range(r.choice((1, 2, 30)))]
    flags = [r.choice((FIN, FIN | ACK, RST, SYN, ACK, PSH | ACK, URG, 255, 0)) for _ in range(8)] + [ACK] * r.choice((4, 60))
    gaps = [r.choice((0, 1, 17, 999999, 1000000, 1000001, 4999999, 5000000, 5000001, 30000000, 120000001, -3, -2000000))
            for _ in range(6)] + [r.randrange(100000) for _ in range(r.choice((3, 40)))]
    us = r.choice((1600000000000000, 43199000000, 5, 0))
    out = []
    for _ in range(packets):
        us = max(us + r.choice(gaps), -2**31 * 1000000)
        src, dst = r.choice(hosts), r.choice(hosts[:2])
        sport, dport = r.choice(ports), r.choice(ports)
        kind = r.randrange(10)
        if kind < 6:
            size = r.choice((5, 5, 5, 6, 8, 15))
            body = tcp(r.choice(flags), random_payload(r), sport, dport, r.randrange(65536), size,
                       b"\1" * (4 * size - 20))
            frame = ethernet(ipv4(6, body, src, dst))
        elif kind < 9:
            frame = ethernet(ipv4(17, udp(random_payload(r), sport, dport), src, dst))
        else:
            frame = ethernet(ipv4(1, icmp(8, random_payload(r)), src, dst))
        if r.randrange(4) == 0:
            frame = frame.ljust(60, b"\0")
        out.append((us, frame))
    return out


def random_layer(r, depth):
    """The kind of a layer, and its bytes."""
    kind = "data" if depth > 5 else r.choice(("ip4", "ip4", "tcp", "udp", "udp", "icmp", "ip6", "sctp", "l2tp", "data"))
    if kind == "data":
        return r.choice(("tcp", "udp", "icmp", "sctp", "l2tp", "ip4")), r.randbytes(r.randrange(90))
    if kind == "ip4":
        inner, body = random_layer(r, depth + 1)
        number = {"icmp": 1, "ip4": 4, "tcp": 6, "udp": 17, "l2tp": 115, "sctp": 132, "ip6": 41}[inner]
        options = r.choice((b"",) * 6 + (b"\1" * 4, b"\x94\4\0\0", b"\7\3\4\1\0\0\0\0", r.randbytes(8), r.randbytes(40)))
        ihl = 5 + len(options) // 4 if r.randrange(12) else r.randrange(16)
        total = None if r.randrange(4) else r.choice((0, r.randrange(70), r.randrange(65536)))
        fragment = r.choice((0,) * 8 + (0x2000, 0x2001, 1, 0x4000))
        return kind, ipv4(number, body, f"10.0.0.{r.randrange(3)}", f"10.0.0.{r.randrange(3)}", ihl, total, fragment,
                          options)
    if kind == "tcp":
        size = r.choice((5, 5, 5, 6, 8, r.randrange(16)))
        body = tcp(r.randrange(256), random_payload(r), r.randrange(3), r.randrange(3), r.randrange(65536), size)
        return kind, body + r.choice((b"", r.randbytes(4 * max(0, size - 5))))
    if kind == "udp":
        ports = r.choice(((1, 2), (2, 1), (9, 1701), (1701, 9), (1701, 5060), (1701, 5004), (1701, 5005)))
        inner = l2tp(ppp(random_layer(r, depth + 1)[1], r.choice((0x21, 0x57, 0x23))),
                     r.choice((2, 2, 0x4002, 0x0802, 0x0202, 0xC802, 0x4A02)))
        return kind, udp(inner if 1701 in ports else random_payload(r), *ports)
    if kind == "icmp":
        return kind, icmp(r.choice((3, 12, 8, 11, 5)), random_layer(r, depth + 1)[1])
    if kind == "ip6":
        inner, body = random_layer(r, depth + 1)
        number = {"icmp": 1, "ip4": 4, "tcp": 6, "udp": 17, "sctp": 132}.get(inner, 58)
        for _ in range(r.choice((0, 0, 1, 2, 4))):
            extra = r.randrange(3)
            body = bytes([number, extra]) + r.randbytes(6 + 8 * extra) + body
            number = r.choice((0, 43, 44, 50, 51, 60, 135))
        return kind, ipv6(number, body)
    if kind == "sctp":
        chunks = b"".join(struct.pack(">BBH", r.choice((0, 1, 3, 14)), 0, size) + bytes(max(0, -(-size // 4) * 4 - 4))
                          for size in (r.choice((0, 4, 7, 16, 30)) for _ in range(r.randrange(30))))
        return kind, bytes(12) + chunks
    return "l2tp", l2tp(ppp(random_layer(r, depth + 1)[1]), r.choice((2, 0x4002, 0x8002)))


def random_frame(r):
    inner, body = random_layer(r, 0)
    ether_type = {"ip4": 0x0800, "ip6": 0x86DD}.get(inner)
    if ether_type is None:
        ether_type, body = 0x0800, ipv4({"icmp": 1, "tcp": 6, "udp": 17, "l2tp": 115, "sctp": 132}[inner], body)
    way = r.randrange(14)
    if way < 6:
        frame = ethernet(body, ether_type)
    elif way < 8:
        for _ in range(r.choice((0, 1, 1, 2, 20, 130, 250, 256))):
            body, ether_type = struct.pack(">HH", 1, ether_type) + body, r.choice((0x8100, 0x88A8, 0x9100))
        frame = ethernet(body, ether_type)
    elif way < 10:
        body = llc(r.choice((snap(body, ether_type), b"\0" + snap(body, ether_type))), r.choice((3, 0, 1)))
        frame = ethernet(body, r.choice((len(body), len(body) + 14, r.randrange(0x600))))
        if r.randrange(3) == 0:
            frame = vlan(body, r.choice((len(body), r.randrange(0x600))))
    elif way == 10:
        frame = body
    elif way == 11:
        arp = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + r.randbytes(20)
        frame = ethernet(arp, 0x0806, r.choice((b"\xff" * 6, b"\2\0\0\0\0\2")))
    elif way == 12:
        frame = ethernet(body, ether_type, r.randbytes(6))
    else:
        frame = r.randbytes(r.randrange(120))
    if r.randrange(3) == 0:
        frame += r.randbytes(r.randrange(30))
    wire = None
    if r.randrange(5) == 0:
        wire, frame = len(frame), frame[:r.randrange(len(frame) + 1)]
    if r.randrange(25) == 0:
        wire = r.choice((2**31 - 1, 2**32 - 1, len(frame) - 1, 2**31))
    if r.randrange(5) == 0 and frame:
        frame = bytearray(frame)
        for _ in range(r.randrange(1, 4)):
            frame[r.randrange(min(len(frame), 80))] = r.randrange(256)
        frame = bytes(frame)
    return frame, wire


def random_capture(seed):
    r = random.Random(seed)
    if seed % 2:
        return pcap(random_conversation(r, r.choice((20, 200, 600))), snap=r.choice((262144, 262144, 100)))
    # Each twice, so that it is a row.
    frames = [random_frame(r) for _ in range(150)]
    return pcap([(1600000000000000 + 1000 * i, *frame) for i, frame in enumerate(frames + frames)])
