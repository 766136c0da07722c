# SPDX-License-Identifier: BSD-3-Clause
"""Frames and pcap files for tests of the whole program, in a few lines of struct.pack."""
import ipaddress
import struct

CLIENT, SERVER = "192.0.2.1", "192.0.2.2"
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def ipv4(protocol, body, source=CLIENT, target=SERVER):
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0,
                       ipaddress.ip_address(source).packed, ipaddress.ip_address(target).packed) + body


def udp(payload=b"x" * 10, source=CLIENT, target=SERVER, ports=(4000, 53)):
    return ipv4(17, struct.pack(">4H", *ports, 8 + len(payload), 0) + payload, source, target)


def tcp(flags, payload=b"", source=CLIENT, target=SERVER, ports=(4000, 80)):
    return ipv4(6, struct.pack(">HHIIBBHHH", *ports, 0, 0, 0x50, flags, 1024, 0, 0) + payload, source, target)


def ethernet(packet, ether_type=0x0800):
    return b"\x02\0\0\0\0\x02" + b"\x02\0\0\0\0\x01" + struct.pack(">H", ether_type) + packet


def pcap_header(link_type=1):
    return struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link_type)


def pcap_record(seconds, frame):
    whole = int(seconds)
    return struct.pack("<4I", whole, round((seconds - whole) * 1e6), len(frame), len(frame)) + frame


def pcap(frames, link_type=1):
    """frames: (seconds, octets), …"""
    return pcap_header(link_type) + b"".join(pcap_record(*frame) for frame in frames)


def conversation():
    """Three flows of 2, 4 and 1 packets and an ARP request: 8 packets, 7 of them metered."""
    return [
        (1.0, ethernet(udp())),
        (1.1, ethernet(udp(b"y" * 30, SERVER, CLIENT, (53, 4000)))),
        (1.2, ethernet(bytes(28), 0x0806)),
        (2.0, ethernet(tcp(SYN))),
        (2.1, ethernet(tcp(SYN | ACK, b"", SERVER, CLIENT, (80, 4000)))),
        (2.2, ethernet(tcp(ACK | PSH, b"GET /"))),
        (2.3, ethernet(tcp(RST, b"", SERVER, CLIENT, (80, 4000)))),
        (3.0, ethernet(udp(ports=(4001, 53)))),
    ]
