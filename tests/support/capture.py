# SPDX-License-Identifier: BSD-3-Clause
"""Whole packets between a client and a server, and captures of them, for tests that do not look into headers."""
import packets
from packets import ACK, PSH, RST, SYN, ethernet, pcap_header

CLIENT, SERVER = "192.0.2.1", "192.0.2.2"


def ipv4(protocol, body, source=CLIENT, target=SERVER):
    return packets.ipv4(protocol, body, source, target)


def udp(payload=b"x" * 10, source=CLIENT, target=SERVER, ports=(4000, 53)):
    return ipv4(17, packets.udp(payload, *ports), source, target)


def tcp(flags, payload=b"", source=CLIENT, target=SERVER, ports=(4000, 80), window=1024):
    return ipv4(6, packets.tcp(flags, payload, *ports, window), source, target)


def pcap_record(seconds, frame):
    return packets.record(round(seconds * 1e6), frame)


def pcap(frames, link_type=1):
    """frames: (seconds, bytes), …"""
    return pcap_header(link_type, snap=65535) + b"".join(pcap_record(*frame) for frame in frames)


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
