# SPDX-License-Identifier: BSD-3-Clause
"""Captures as they are in the file: headers, records and blocks. How a program interprets them is left to its model."""
import struct
from typing import NamedTuple

CAPTURED_MAX = 262144  # bytes of a packet; a record that states more is damaged
SECTION, INTERFACE, OLD_PACKET, SIMPLE_PACKET, PACKET = 0x0A0D0D0A, 1, 2, 3, 6  # pcapng blocks
_MAGIC = {b"\xa1\xb2\xc3\xd4": (">", False), b"\xd4\xc3\xb2\xa1": ("<", False),
          b"\xa1\xb2\x3c\x4d": (">", True), b"\x4d\x3c\xb2\xa1": ("<", True)}
_BYTE_ORDER = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}  # in a section header block of pcapng


class PcapHeader(NamedTuple):
    order: str  # struct's sign of the byte order
    nanoseconds: bool
    version: tuple
    snap: int
    link: int  # all 32 bits


def is_pcapng(data):
    return data[:4] == b"\x0a\x0d\x0d\x0a"


def is_capture(data):
    """Whether data begins like a capture. A text can begin like is_pcapng(), with ends of lines."""
    return data[:4] in _MAGIC or (is_pcapng(data) and data[8:12] in _BYTE_ORDER)


def pcap_header(data):
    """Returns the header, or None if this is not a pcap file."""
    if data[:4] not in _MAGIC or len(data) < 24:
        return None
    order, nanoseconds = _MAGIC[data[:4]]
    major, minor, _, _, snap, link = struct.unpack_from(order + "HHiIII", data, 4)
    return PcapHeader(order, nanoseconds, (major, minor), snap, link)


def pcap_records(data, order):
    """(seconds, fraction, bytes, wire length) of each record, up to the first that is damaged."""
    at = 24
    while at + 16 <= len(data):
        seconds, fraction, captured, wire = struct.unpack_from(order + "4I", data, at)
        at += 16
        if captured > CAPTURED_MAX or at + captured > len(data):
            return
        yield seconds, fraction, data[at:at + captured], wire
        at += captured


def pcapng_blocks(data):
    """(byte order, kind, body) of each block, up to the first that is damaged."""
    at, order = 0, None
    while at + 12 <= len(data):
        if is_pcapng(data[at:at + 4]):
            order = _BYTE_ORDER.get(data[at + 8:at + 12])
        if order is None:
            return
        kind, length = struct.unpack_from(order + "2I", data, at)
        if length < 12 or length % 4 or at + length > len(data):
            return
        yield order, kind, data[at + 8:at + length - 4]
        at += length


class PcapngInterface(NamedTuple):
    link: int
    snap: int
    resolution: int  # as stated: a power of ten or, with bit 7 set, of two
    offset: int  # seconds


def pcapng_interface(order, body):
    """Returns the interface, or None if the block is too short."""
    if len(body) < 8:
        return None
    link, _, snap = struct.unpack_from(order + "2HI", body)
    resolution, offset, at = 6, 0, 8
    while at + 4 <= len(body):
        code, size = struct.unpack_from(order + "2H", body, at)
        value = body[at + 4:at + 4 + size]
        if code == 0 or len(value) < size:
            break
        if code == 9 and size:
            resolution = value[0]
        if code == 14 and size >= 8:
            offset, = struct.unpack_from(order + "q", value)
        at += 4 + (size + 3) // 4 * 4
    return PcapngInterface(link, snap, resolution, offset)


def pcapng_packet(order, kind, body):
    """Returns (number of the interface, time stamp, bytes captured, wire length) of a PACKET or an OLD_PACKET, whose data
    starts at byte 20; None if the block is shorter than it states."""
    if len(body) < 20:
        return None
    number, high, low, captured, wire = struct.unpack_from(order + "5I", body)
    if kind == OLD_PACKET:
        number, = struct.unpack_from(order + "H", body)
    if captured > CAPTURED_MAX or 20 + captured > len(body):
        return None
    return number, high << 32 | low, captured, wire
