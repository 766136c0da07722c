# SPDX-License-Identifier: BSD-3-Clause
"""Packets layer by layer, and capture files: the builder of all tests in Python. Any length or field of a header can be
set to a wrong value."""
import socket
import struct

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
A, B = "10.0.0.1", "10.0.0.2"
A6, B6 = "1:203:405:607:809:a0b:c0d:e0f", "1011:1213:1415:1617:1819:1a1b:1c1d:1e1f"
MAC_A, MAC_B = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
# The options of a pcapng interface: code and value; None: the value is bytes.
INTERFACE_OPTIONS = {"name": (2, None), "resolution": (9, "B"), "offset": (14, "q")}


def address(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def ipv4(protocol, body=b"", src=A, dst=B, ihl=5, total=None, fragment=0, options=b"", identification=1, version=4):
    head = struct.pack(">BBHHHBBH", version << 4 | ihl, 0, 20 + len(options) + len(body) if total is None else total,
                       identification, fragment, 64, protocol, 0)
    return head + address(src) + address(dst) + options + body


def tcp(flags, payload=b"", sport=4000, dport=80, window=1000, data_offset=5, options=b"", sequence=1,
        acknowledgment=1, urgent=0):
    return struct.pack(">HHIIBBHHH", sport, dport, sequence, acknowledgment, data_offset << 4, flags, window, 0,
                       urgent) + options + payload


def udp(payload=b"", sport=4000, dport=53, length=None):
    return struct.pack(">4H", sport, dport, 8 + len(payload) if length is None else length, 0) + payload


def icmp(kind, body=b"", code=0, identifier=0, sequence=0):
    return struct.pack(">BBHHH", kind, code, 0, identifier, sequence) + body


def ipv6(next_header, body, src=A6, dst=B6):
    return struct.pack(">IHBB", 6 << 28, len(body), next_header, 64) + address(src) + address(dst) + body


def ethernet(body, ether_type=0x0800, destination=MAC_B):
    return destination + MAC_A + struct.pack(">H", ether_type) + body


def vlan(body, ether_type=0x0800, tag_type=0x8100):
    return ethernet(struct.pack(">HH", 1, ether_type) + body, tag_type)


def llc(body, control=3):
    return bytes([0xAA, 0xAA, control]) + body


def snap(body, ether_type=0x0800):
    return b"\0\0\0" + struct.pack(">H", ether_type) + body


def l2tp(body, bits=0x0002):
    extra = 2 * bool(bits & 0x4000) + 4 * bool(bits & 0x0800) + 4 * bool(bits & 0x0200)
    return struct.pack(">HHH", bits, 1, 1) + bytes(extra) + body


def ppp(body, protocol=0x0021):
    return b"\xff\x03" + struct.pack(">H", protocol) + body


def record(time, frame, wire=None, order="<"):
    """One packet of a pcap file. time: microseconds, or the fields (seconds, fraction) themselves."""
    seconds, fraction = time if isinstance(time, tuple) else divmod(time, 1000000)
    return struct.pack(order + "4I", seconds % 2**32, fraction % 2**32, len(frame),
                       (len(frame) if wire is None else wire) % 2**32) + frame


def pcap_header(link_type=1, order="<", nanoseconds=False, snap=262144, version=(2, 4)):
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, snap, link_type)


def pcap(records, order="<", **header):
    """records: (time, frame[, wire length]), …; header: arguments of pcap_header."""
    return pcap_header(order=order, **header) + b"".join(record(*one, order=order) for one in records)


def pcapng_block(kind, body, order="<"):
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def pcapng_section(order="<"):
    return pcapng_block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def pcapng_interface(link_type=1, snap=0, order="<", **options):
    """options: of INTERFACE_OPTIONS, in the order of the file; resolution: the byte of the file, offset: seconds."""
    body = struct.pack(order + "HHI", link_type, 0, snap)
    for name, value in options.items():
        code, kind = INTERFACE_OPTIONS[name]
        data = struct.pack(order + kind, value) if kind else value
        body += struct.pack(order + "HH", code, len(data)) + data + bytes(-len(data) % 4)
    return pcapng_block(1, body + (bytes(4) if options else b""), order)


def pcapng_packet(frame, stamp, number=0, wire=None, order="<", obsolete=False):
    """An enhanced or an obsolete packet block. stamp: in units of the interface; number: of the interface."""
    head = struct.pack(order + "HH", number, 0) if obsolete else struct.pack(order + "I", number)
    head += struct.pack(order + "4I", stamp >> 32, stamp & 0xFFFFFFFF, len(frame), len(frame) if wire is None else wire)
    return pcapng_block(2 if obsolete else 6, head + frame, order)
