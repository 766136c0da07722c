# SPDX-License-Identifier: BSD-3-Clause
"""The rows that the Java CICFlowMeter 4.0 writes for a pcap file: an independent model of its rules, with which the tests
check --compat java. It is slow, and its memory is not limited.

    TZ=UTC python3 -m flowmeter.models.java_cicflowmeter CAPTURE > OUT.csv
"""
import math
import struct
import time
from typing import NamedTuple, Optional

from . import captures

HEADER = (
    "Flow ID,Src IP,Src Port,Dst IP,Dst Port,Protocol,Timestamp,Flow Duration,Total Fwd Packet,Total Bwd packets,"
    "Total Length of Fwd Packet,Total Length of Bwd Packet,Fwd Packet Length Max,Fwd Packet Length Min,"
    "Fwd Packet Length Mean,Fwd Packet Length Std,Bwd Packet Length Max,Bwd Packet Length Min,Bwd Packet Length Mean,"
    "Bwd Packet Length Std,Flow Bytes/s,Flow Packets/s,Flow IAT Mean,Flow IAT Std,Flow IAT Max,Flow IAT Min,"
    "Fwd IAT Total,Fwd IAT Mean,Fwd IAT Std,Fwd IAT Max,Fwd IAT Min,Bwd IAT Total,Bwd IAT Mean,Bwd IAT Std,Bwd IAT Max,"
    "Bwd IAT Min,Fwd PSH Flags,Bwd PSH Flags,Fwd URG Flags,Bwd URG Flags,Fwd Header Length,Bwd Header Length,"
    "Fwd Packets/s,Bwd Packets/s,Packet Length Min,Packet Length Max,Packet Length Mean,Packet Length Std,"
    "Packet Length Variance,FIN Flag Count,SYN Flag Count,RST Flag Count,PSH Flag Count,ACK Flag Count,URG Flag Count,"
    "CWR Flag Count,ECE Flag Count,Down/Up Ratio,Average Packet Size,Fwd Segment Size Avg,Bwd Segment Size Avg,"
    "Fwd Bytes/Bulk Avg,Fwd Packet/Bulk Avg,Fwd Bulk Rate Avg,Bwd Bytes/Bulk Avg,Bwd Packet/Bulk Avg,Bwd Bulk Rate Avg,"
    "Subflow Fwd Packets,Subflow Fwd Bytes,Subflow Bwd Packets,Subflow Bwd Bytes,FWD Init Win Bytes,Bwd Init Win Bytes,"
    "Fwd Act Data Pkts,Fwd Seg Size Min,Active Mean,Active Std,Active Max,Active Min,Idle Mean,Idle Std,Idle Max,"
    "Idle Min,Label")
INT_MAX = 2**31


def int32(value):
    return (value + INT_MAX) % 2**32 - INT_MAX


# ---- frame to packet ----

class Undecodable(Exception):
    pass


TYPES = {0x0800: "ip4", 0x0806: "arp", 0x86DD: "ip6", 0x8100: "vlan", 0x88A8: "vlan", 0x9100: "vlan"}
IP4_NEXT = {1: "icmp", 4: "ip4", 6: "tcp", 17: "udp", 115: "l2tp", 132: "sctp"}
IP6_NEXT = {1: "icmp", 4: "ip4", 6: "tcp", 17: "udp", 132: "sctp"}
NEEDS = {"eth": 14, "vlan": 4, "llc": 4, "snap": 4, "ip4": 20, "ip6": 40, "icmp": 4, "tcp": 20, "udp": 8, "l2tp": 2,
         "ppp": 4, "sctp": 0, "chunk": 4, "arp": 6}


class Header(NamedTuple):
    """A header as the walk reads it."""

    length: int
    following: str = "data"
    payload: int = 0  # 0: all that is left
    postfix: int = 0  # bytes after the payload
    end: Optional[int] = None  # where the frame ends now


def be16(data, at):
    return int.from_bytes(data[at:at + 2], "big")


def link_header(data, kind, off, buf):
    length = 14 if kind == "eth" else 4
    ether_type = be16(data, length - 2)
    if ether_type >= 0x600:
        return Header(length, TYPES.get(ether_type, "data"))
    return Header(length, "llc", ether_type - length - off, buf - ether_type if kind == "eth" else 0)


def ip4_header(data, off, buf, under_ethernet):
    length, total, fragment = (data[0] & 15) * 4, be16(data, 2), be16(data, 6)
    if under_ethernet and total <= buf:
        buf = min(buf, off + total)  # what follows is padding
    payload = buf - off - length if fragment & 0x2000 else total - length
    known = not fragment & 0x1FFF and buf != off
    return Header(length, IP4_NEXT.get(data[9], "data") if known else "data", payload, end=buf)


def ip6_header(data, off, buf):
    length, protocol = 40, data[6]
    while protocol in (0, 43, 44, 50, 51, 60, 135):
        if buf - off < length + 2:
            return Header(length)
        protocol, extra = data[length], (data[length + 1] + 1) * 8
        if 2 * off + extra > buf:
            return Header(length)
        length += extra
    return Header(length, IP6_NEXT.get(protocol, "data"))


def udp_header(data, _):
    tunnel = be16(data, 2) == 1701 or (be16(data, 0) == 1701 and be16(data, 2) not in (5004, 5005, 5060))
    return Header(8, "l2tp" if tunnel else "data")


def l2tp_header(data, _):
    bits = be16(data, 0)
    length = 6 + 2 * bool(bits & 0x4000) + 4 * bool(bits & 0x800) + 4 * bool(bits & 0x200)
    return Header(length, "data" if bits & 0x8000 else "ppp")


# Functions of the data from the header on and of how much of it is there.
HEADERS = {
    "llc": lambda data, _: Header(3 if data[2] & 1 else 4, "snap" if data[0] == 0xAA else "data"),
    "snap": lambda data, have: Header(5, TYPES.get(be16(data, 3), "data") if have >= 5 and data[:3] == b"\0\0\0" else "data"),
    "icmp": lambda data, _: Header(8, "ip4" if data[0] in (3, 12) else "data"),
    "tcp": lambda data, _: Header(data[12] // 16 * 4),
    "udp": udp_header,
    "l2tp": l2tp_header,
    "ppp": lambda data, _: Header(4, {0x21: "ip4", 0x57: "ip6"}.get(be16(data, 2), "data")),
    "sctp": lambda _, have: Header(12, "chunk" if have >= 12 else "data"),
    "chunk": lambda data, _: Header(16) if data[0] == 0 else Header(-(-be16(data, 2) // 4) * 4, "chunk"),
    "arp": lambda data, _: Header(2 * (data[4] + data[5]) + 8),
}


def header_at(kind, data, off, buf, under_ethernet):
    """data: the frame from the header on; buf: where the frame ends."""
    if kind == "data":
        return Header(buf - off)
    if buf - off < NEEDS[kind]:
        return Header(0)
    if kind in ("eth", "vlan"):
        return link_header(data, kind, off, buf)
    if kind == "ip4":
        return ip4_header(data, off, buf, under_ethernet)
    if kind == "ip6":
        return ip6_header(data, off, buf)
    return HEADERS[kind](data, buf - off)


def walk(frame, wire, kind):
    """The headers of a frame that are seen: (kind, offset, length, payload length)."""
    records, off, buf = [], 0, len(frame)
    while True:
        data = frame[off:]
        length, following, payload, postfix, end = header_at(kind, data, off, buf, bool(records) and records[-1][0] == "eth")
        buf = buf if end is None else end
        if length == 0:
            if kind == "data":
                break
            following = "data"
        else:
            wire = int32(wire - postfix)
            buf = min(buf, wire)
            shown = length
            if payload == 0:
                payload = max(0, buf - off - length)
            if off + length + payload + postfix > buf:
                payload = max(0, buf - off - length)
                shown = min(length, max(0, buf - off))
            records.append((kind, off, shown, payload))
            off += length
        if kind == "data" or off >= buf:
            break
        kind = following
    seen = len(records) % 256
    return records[:seen if seen < 128 else 0]


def take(frame, wire, kind):
    records = walk(frame, wire, kind)

    def header(name, least):
        for record_kind, off, length, payload in records:
            if record_kind == name:
                if off + length > len(frame) or length < least:
                    raise Undecodable
                return frame[off:off + length], length, payload
        return None

    ip = header("ip4", 20)
    if not ip:
        raise Undecodable
    ip = ip[0]
    i = 20
    while i < (ip[0] & 15) * 4:
        if i >= len(ip):
            raise Undecodable
        option = ip[i] & 31
        if option in (0, 22) or option >= 26:
            break
        if option != 1:
            if i + 1 >= len(ip):
                raise Undecodable
            i += ip[i + 1]
        i += 1
    dotted = [".".join(map(str, ip[at:at + 4])) for at in (12, 16)]
    found = header("tcp", 16)
    if found:
        tcp, length, payload = found
        if tcp[12] >> 4 > 5 and (length <= 20 or (tcp[20] > 1 and length <= 21)):
            raise Undecodable
        ports, window = struct.unpack(">HH", tcp[:4]), int.from_bytes(tcp[14:16], "big")
        return dotted, ports, 6, tcp[13], window, length, payload
    found = header("udp", 8)
    if found:
        return dotted, struct.unpack(">HH", found[0][:4]), 17, 0, 0, found[1], found[2]
    if len(records) >= 20:
        raise Undecodable
    return dotted, (0, 0), 0, 0, 0, 0, 0


def packet_of(frame, wire):
    try:
        return take(frame, wire, "eth")
    except Undecodable:
        pass
    try:
        if not walk(frame, wire, "l2tp"):
            return None
        return take(frame, wire, "ip4")
    except Undecodable:
        return None


def packets(data):
    """(time in microseconds, packet) of each record of a little-endian pcap file."""
    snap_length = captures.pcap_header(data).snap
    for seconds, fraction, captured, wire in captures.pcap_records(data, "<"):
        frame, wire = captured[:snap_length], int32(wire)
        if wire >= len(frame):
            packet = packet_of(frame, wire)
            if packet:
                yield int32(seconds) * 1000000 + int32(fraction), packet


# ---- packets to flows ----

class Set:
    def __init__(self):
        self.n, self.m, self.m2, self.sum = 0, 0.0, 0.0, 0.0
        self.values = []

    def add(self, x):
        x = float(x)
        self.values.append(x)
        self.sum += x
        self.n += 1
        d = x - self.m
        q = d / float(self.n)
        self.m += q
        self.m2 += ((float(self.n) - 1.0) * d) * q

    def variance(self):
        return self.m2 / (self.n - 1.0) if self.n > 1 else 0.0

    def std(self):
        return math.sqrt(self.variance())

    def cells(self):
        return [self.m, self.std(), max(self.values), min(self.values)]


class Flow:
    def __init__(self, name, t, packet):
        self.name, self.ending = name, None
        _, _, _, flags, window, header, payload = packet
        self.times, self.all, self.flags = [t], Set(), [flags]
        self.all.add(payload)
        self.all.add(payload)
        self.way = {True: Set(), False: Set()}
        self.way_times = {True: [t], False: []}
        self.headers = {True: [header], False: []}
        self.window = {True: window, False: 0}
        self.way[True].add(payload)
        self.first_flags, self.act, self.fins = flags, 0, 0
        self.gaps = Set()
        self.active_start = self.active_end = t
        self.active, self.idle = Set(), Set()
        self.bulk = [0, 0, 0, 0]
        self.bulk_totals = [0, 0, 0, 0]
        self.subgaps = 0
        self.update_bulk(t, payload)

    def forward(self, packet):
        return packet[0][0] == self.name[0]

    def written(self):
        return len(self.times) > 1

    def update_activity(self, t):
        if t - self.active_end > 5000000:
            if self.active_end - self.active_start > 0:
                self.active.add(self.active_end - self.active_start)
            self.idle.add(t - self.active_end)
            self.active_start = t
        self.active_end = t

    def update_bulk(self, t, payload):
        if payload <= 0:
            return
        begin, count, size, last = self.bulk
        if begin <= 0 or t - last > 1000000:
            self.bulk = [t, 1, payload, t]
            return
        count, size = count + 1, size + payload
        totals = self.bulk_totals
        if count == 4:
            totals[0] += 1
            totals[1] += 4
            totals[2] += size
            totals[3] += t - begin
        elif count > 4:
            totals[1] += 1
            totals[2] += payload
            totals[3] += t - last
        self.bulk = [begin, count, size, t]

    def add(self, t, packet):
        _, _, _, flags, window, header, payload = packet
        self.update_bulk(t, payload)
        if t - self.times[-1] > 1000000:
            self.subgaps += 1
            self.update_activity(t)
        self.flags.append(flags)
        self.all.add(payload)
        way = self.forward(packet)
        if way:
            self.act += payload >= 1
        else:
            self.window[False] = window
        self.way[way].add(payload)
        self.headers[way].append(header)
        self.way_times[way].append(t)
        self.gaps.add(t - self.times[-1])
        self.times.append(t)

    def row(self):
        fwd, bwd = self.way[True], self.way[False]
        dur = self.times[-1] - self.times[0]
        bytes_fwd, bytes_bwd = int(fwd.sum), int(bwd.sum)
        rate = lambda n: n / (dur / 1000000.0) if dur else (math.inf if n else math.nan)

        def gap_cells(way):
            gaps = Set()
            for a, b in zip(self.way_times[way], self.way_times[way][1:]):
                gaps.add(b - a)
            return [gaps.sum] + gaps.cells() if gaps.n else [0] * 5

        def sizes(s):
            return [max(s.values), min(s.values), s.m, s.std()] if s.n else [0] * 4

        bulks, bulk_packets, bulk_bytes, bulk_time = self.bulk_totals
        bit = lambda b: sum(f >> b & 1 for f in self.flags)
        by_gaps = lambda n: n // self.subgaps if self.subgaps else 0
        cells = [text_of(self.name), self.name[0], self.name[2], self.name[1], self.name[3], self.name[4],
                 date(self.times[0]), dur, fwd.n, bwd.n, fwd.sum, bwd.sum, *sizes(fwd), *sizes(bwd),
                 rate(bytes_fwd + bytes_bwd), rate(fwd.n + bwd.n), *self.gaps.cells(), *gap_cells(True),
                 *gap_cells(False), self.first_flags >> 3 & 1, 0, self.first_flags >> 5 & 1, 0,
                 sum(self.headers[True]), sum(self.headers[False]),
                 rate(fwd.n) if dur > 0 else 0.0, rate(bwd.n) if dur > 0 else 0.0,
                 min(self.all.values), max(self.all.values), self.all.m, self.all.std(), self.all.variance(),
                 bit(0), bit(1), bit(2), bit(3), bit(4), bit(5), bit(7), bit(6),
                 float(bwd.n // fwd.n), self.all.sum / (fwd.n + bwd.n), fwd.sum / fwd.n,
                 bwd.sum / bwd.n if bwd.n else 0.0, 0, 0, 0,
                 bulk_bytes // bulks if bulks else 0, bulk_packets // bulks if bulks else 0,
                 int(bulk_bytes / (bulk_time / 1000000.0)) if bulk_time else 0,
                 by_gaps(fwd.n), by_gaps(bytes_fwd), by_gaps(bwd.n), by_gaps(bytes_bwd),
                 self.window[True], self.window[False], self.act, min(self.headers[True]),
                 *(self.active.cells() if self.active.n else [0] * 4),
                 *(self.idle.cells() if self.idle.n else [0] * 4), "NeedManualLabel"]
        return ",".join(real(c) if isinstance(c, float) else str(c) for c in cells)


def real(value):
    """Double.toString."""
    if math.isnan(value):
        return "NaN"
    sign = "-" if math.copysign(1, value) < 0 else ""
    value = abs(value)
    if math.isinf(value):
        return sign + "Infinity"
    if value == 0 or 1e-3 <= value < 1e7:
        return sign + repr(value)
    digits, exponent = f"{value!r}e0".split("e")[:2] if "e" in repr(value) else (repr(value), "0")
    whole, _, fraction = digits.partition(".")
    exponent = int(exponent) + len(whole) - 1
    digits = (whole + fraction)
    while digits[0] == "0":
        digits, exponent = digits[1:], exponent - 1
    digits = digits.rstrip("0") or "0"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"


def date(us):
    ms = abs(us) // 1000 * (1 if us >= 0 else -1)
    return time.strftime("%d/%m/%Y %I:%M:%S %p", time.localtime(ms // 1000))


def text_of(name):
    return f"{name[0]}-{name[1]}-{name[2]}-{name[3]}-{name[4]}"


def spread(name):
    h = 0
    for character in text_of(name):
        h = (31 * h + ord(character)) % 2**32
    return h ^ h >> 16


class HashMap:
    """java.util.HashMap as a list of buckets, without trees."""

    def __init__(self):
        self.buckets, self.entries = [[] for _ in range(16)], {}

    def grow(self):
        old = self.buckets
        self.buckets = [[] for _ in range(2 * len(old))]
        for bucket in old:
            for name in bucket:
                self.buckets[spread(name) % len(self.buckets)].append(name)

    def put(self, name, flow):
        bucket = self.buckets[spread(name) % len(self.buckets)]
        bucket.append(name)
        self.entries[name] = flow
        if len(bucket) > 8 and len(self.buckets) < 64:
            self.grow()
        if len(self.entries) > 0.75 * len(self.buckets):
            self.grow()

    def pop(self, name):
        self.buckets[spread(name) % len(self.buckets)].remove(name)
        return self.entries.pop(name)

    def values(self):
        return [self.entries[name] for bucket in self.buckets for name in bucket]


class Flows:
    def __init__(self):
        self.open, self.ended = HashMap(), []

    def start(self, name, t, packet):
        flow = Flow(name, t, packet)
        self.open.put(name, flow)
        return flow

    def end(self, flow, why):
        flow.ending = why
        self.ended.append(self.open.pop(flow.name))

    def add(self, t, packet):
        """Adds the packet and returns its flow; None for a repeated FIN of the initiator, which is ignored."""
        (src, dst), (sport, dport), protocol, flags = packet[:4]
        name, reverse = (src, dst, sport, dport, protocol), (dst, src, dport, sport, protocol)
        flow = self.open.entries.get(name) or self.open.entries.get(reverse)
        if flow is None:
            return self.start(name, t, packet)
        if t - flow.times[0] > 120000000:
            self.end(flow, "120s")
            return self.start(flow.name, t, packet)
        if flags & 1 and flow.forward(packet):
            flow.fins += 1
            if flow.fins > 1:
                return None
        elif flags & 5:
            flow.add(t, packet)
            self.end(flow, "fin" if flags & 1 else "rst")
            return flow
        flow.update_activity(t)
        flow.add(t, packet)
        return flow


def rows(data):
    flows = Flows()
    for t, packet in packets(data):
        flows.add(t, packet)
    written = [flow.row() for flow in flows.ended + flows.open.values() if flow.written()]
    return "\n".join([HEADER, *written]) + "\n"


if __name__ == "__main__":
    import sys
    with open(sys.argv[1], "rb") as file:
        sys.stdout.write(rows(file.read()))
