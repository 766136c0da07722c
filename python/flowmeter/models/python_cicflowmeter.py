# SPDX-License-Identifier: BSD-3-Clause
"""The file that nqmn/cicflowmeter 0.4.1 writes for a capture: an independent model with which the tests check --compat
python. Flows are lists of packets in a dict, which each collection searches. Every cell is computed from the lists when the
row is written, and formatted by Python's own float, Decimal and datetime.

    python3 -m flowmeter.models.python_cicflowmeter CAPTURE > OUT.csv
"""
import datetime
import decimal
import math
import struct
import sys

from . import captures
from .column_names import COLUMNS_82 as HEADER

FORWARD, REVERSE = 0, 1
MASK32 = 0xFFFFFFFF
SECOND = 1_000_000


# ---- reading ---------------------------------------------------------------------------------------------------------


def snap_of(stated):
    return captures.CAPTURED_MAX if stated == 0 or stated > 0x7FFFFFFF else stated


def read_pcap(data):
    """(link type, byte order, time in microseconds, bytes) of each frame."""
    header = captures.pcap_header(data)
    if header is None or header.link > 0xFFFF or not ((2, 0) <= header.version <= (2, 4) or header.version == (543, 0)):
        return
    for seconds, fraction, frame, _ in captures.pcap_records(data, header.order):
        if header.nanoseconds:
            signed = fraction - (1 << 32) if fraction >> 31 else fraction
            fraction = int(signed / 1000) & MASK32
        yield header.link, header.order, seconds * SECOND + fraction, frame[:snap_of(header.snap)]


def read_pcapng(data):
    first = file_order = None
    interfaces = []
    for order, kind, body in captures.pcapng_blocks(data):
        if kind == captures.SECTION:
            if file_order not in (None, order):
                return
            file_order, interfaces = order, []
        elif kind == captures.INTERFACE:
            interface = captures.pcapng_interface(order, body)
            if interface is None or interface.resolution > 0x80 + 63 or 19 < interface.resolution < 0x80:
                return
            kind_of_frames = (interface.link, snap_of(interface.snap))
            if first not in (None, kind_of_frames):
                return
            first = kind_of_frames
            interfaces.append(interface)
        elif kind in (captures.PACKET, captures.OLD_PACKET):
            packet = captures.pcapng_packet(order, kind, body)
            if packet is None or packet[0] >= len(interfaces):
                return
            number, stamp, captured, _ = packet
            _, _, resolution, offset = interfaces[number]
            per_second = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10 ** resolution
            time = (stamp // per_second + offset) % 2 ** 32 * SECOND + stamp % per_second * SECOND // per_second
            yield first[0], order, time, body[20:20 + min(captured, first[1])]
        elif kind == captures.SIMPLE_PACKET:
            if not interfaces or len(body) < 4:
                return
            captured = min(struct.unpack_from(order + "I", body)[0], first[1])
            if captured > captures.CAPTURED_MAX or 4 + captured > len(body):
                return
            yield first[0], order, 0, body[4:4 + captured]


def read(data):
    return read_pcapng(data) if captures.is_pcapng(data) else read_pcap(data)


# ---- packets ---------------------------------------------------------------------------------------------------------


class Packet:
    """time, length, ihl, protocol, source, destination, first, second (of the key), flags, window, payload"""


def ip_of(link, order, frame):
    if link == 1:
        return frame[14:] if frame[12:14] == b"\x08\x00" else b""
    if link == 113:
        return frame[16:] if frame[14:16] == b"\x08\x00" else b""
    if link == 276:
        return frame[20:] if frame[0:2] == b"\x08\x00" else b""
    if link == 0:
        return frame[4:] if frame[:4] == struct.pack(order + "I", 2) else b""
    if link == 108:
        return frame[4:] if frame[:4] == b"\0\0\0\x02" else b""
    if link == 12:
        return frame if frame[:1] and frame[0] >> 4 == 4 else b""
    return frame if link == 228 else b""


ICMP_SIZES = {1: range(256), 2: range(256), 4: range(256), 5: (3, 11, 12),
              6: (0, 3, 8, 11, 12, 13, 14, 15, 16, 17, 18), 8: (13, 14, 17, 18), 12: (13, 14), 16: (13, 14)}


def packet_of(link, order, time, frame):
    frame = frame[:0xFFFF]
    ip = ip_of(link, order, frame)
    if len(ip) < 20 or ip[9] not in (1, 6, 17) or (ip[6] << 8 | ip[7]) & 0x1FFF:
        return None
    p = Packet()
    p.time, p.length, p.protocol, p.ihl = time, len(frame), ip[9], ip[0] & 15
    p.source, p.destination = ".".join(map(str, ip[12:16])), ".".join(map(str, ip[16:20]))
    rest = ip[20:]
    drop = 4 * p.ihl - 20
    rest = rest[drop:]  # if drop is negative, only the last -drop bytes
    room = (ip[2] << 8 | ip[3]) - 4 * p.ihl
    segment = rest if room < 0 else rest[:room]
    padding = len(rest) - len(segment)
    n = len(segment)
    p.flags = p.window = 0
    if p.protocol == 6:
        if n < 20 and n not in (2, 4, 8, 12, 14, 16, 18):
            return None
        p.first = segment[0] << 8 | segment[1]
        p.second = segment[2] << 8 | segment[3] if n >= 4 else 80
        p.flags = segment[13] if n >= 14 else 2
        p.window = segment[14] << 8 | segment[15] if n >= 16 else 8192
        data = n - 4 * max(5, segment[12] >> 4) if n >= 20 else 0
    elif p.protocol == 17:
        if n < 8 and n != 6:
            return None
        p.first, p.second = segment[0] << 8 | segment[1], segment[2] << 8 | segment[3]
        data = n - 8
    else:
        kind = segment[0] if segment else None
        head = {13: 20, 14: 20, 17: 12, 18: 12}.get(kind, 8)
        if n < head and kind not in ICMP_SIZES.get(n, ()):
            return None
        p.first = kind
        p.second = None
        if kind in (0, 8) or 13 <= kind <= 18:
            p.second = segment[4] << 8 | segment[5] if n >= 6 else 0
        data = n - head
    p.payload = max(0, data) + padding
    return p


def key_of(p, direction):
    if direction == FORWARD:
        return p.source, p.destination, p.first, p.second
    if p.protocol == 1:
        return p.destination, p.source, 8 if p.first == 0 else p.first, p.second
    return p.destination, p.source, p.second, p.first


# ---- flows -----------------------------------------------------------------------------------------------------------


class Flow:
    def __init__(self, p, direction, number):
        self.key, self.number = key_of(p, direction), number
        self.source, self.destination, self.source_port, self.destination_port = self.key
        self.icmp = p.protocol == 1
        self.protocol = p.protocol
        self.packets = [(p, direction)]
        self.gaps = []
        self.start = self.latest = p.time
        self.windows = [0, 0]
        if p.protocol == 6:
            self.windows[direction] = p.window
        # start, last, count, size of the candidate; bulks, packets, size, time
        self.bulk = [[0] * 8, [0] * 8]

    def add(self, p, direction):
        self.packets.append((p, direction))
        self.gaps.append(p.time - self.latest)
        self.latest = max(self.latest, p.time)
        if p.payload:
            self.add_to_bulk(p, self.bulk[direction], self.bulk[1 - direction])
        if p.protocol == 6 and self.windows[direction] == 0:
            self.windows[direction] = p.window

    def written(self):
        """A flow without forward packets has no row."""
        return any(direction == FORWARD for _, direction in self.packets)

    @staticmethod
    def add_to_bulk(p, mine, other):
        if other[1] > mine[0]:
            mine[0] = 0
        if mine[0] == 0 or p.time - mine[1] > SECOND:
            mine[:4] = p.time, p.time, 1, p.payload
            return
        mine[2] += 1
        mine[3] += p.payload
        if mine[2] == 4:
            mine[4] += 1
            mine[5] += 4
            mine[6] += mine[3]
            mine[7] += p.time - mine[0]
        elif mine[2] > 4:
            mine[5] += 1
            mine[6] += p.payload
            mine[7] += p.time - mine[1]
        mine[1] = p.time


class Session:
    def __init__(self):
        self.flows = {}
        self.taken = 0
        self.collected = []

    def open(self, p, direction, number):
        flow = Flow(p, direction, number)
        self.flows[flow.key, number] = flow
        return flow

    def flow_of(self, p):
        """The packet's flow and direction."""
        for direction in (FORWARD, REVERSE):
            key = key_of(p, direction)
            flow = self.flows.get((key, 0))
            if flow is not None:
                break
        else:
            return self.open(p, FORWARD, 0), FORWARD
        timeout = (60 if p.protocol == 1 else 240) * SECOND
        expired, number = timeout, 0
        while p.time - flow.latest > expired:
            number += 1
            expired += timeout
            flow = self.flows.get((key, number))
            if flow is None:
                return self.open(p, direction, number), direction
        return flow, direction

    def process(self, p):
        """The packet's flow and direction."""
        self.taken += 1
        flow, direction = self.flow_of(p)
        flow.add(p, direction)
        if self.taken % 1000 == 0 or flow.latest - flow.start > 120 * SECOND:
            self.collect(p.time)
        return flow, direction

    def collect(self, time):
        for key, flow in list(self.flows.items()):
            idle, long = (60, 30) if flow.icmp else (240, 90)
            if time is not None and time - flow.latest < idle * SECOND and flow.latest - flow.start < long * SECOND:
                continue
            self.collected.append(self.flows.pop(key))

    @property
    def rows(self):
        return [row_of(flow) for flow in self.collected if flow.written()]

    @property
    def left_out(self):
        return sum(not flow.written() for flow in self.collected)


# ---- cells -----------------------------------------------------------------------------------------------------------


def block_sum(values):
    n = len(values)
    if n < 8:
        total = 0.0
        for value in values:
            total += value
        return total
    if n <= 128:
        r = values[:8]
        whole = n // 8 * 8
        for i in range(8, whole):
            r[i % 8] += values[i]
        total = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]))
        for value in values[whole:]:
            total += value
        return total
    half = n // 2 // 8 * 8
    return block_sum(values[:half]) + block_sum(values[half:])


def numpy_sum(values):
    total = 0.0
    for i in range(0, len(values), 8192):
        total += block_sum(values[i:i + 8192])
    return total


def variance(values, mean):
    return numpy_sum([(value - mean) * (value - mean) for value in values]) / len(values)


def statistics_of(gaps):
    """total, max, min, mean, std"""
    if len(gaps) < 2:
        return [0] * 5
    values = [gap / 1e6 for gap in gaps]
    total = 0.0
    for value in values:
        total += value
    mean = numpy_sum(values) / len(values)
    return [total, max(values), min(values), mean, math.sqrt(variance(values, mean))]


def neighbours(packets):
    return [b.time - a.time for a, b in zip(packets, packets[1:])]


def length_statistics(packets):
    """max, min, mean, std, var"""
    if not packets:
        return [0, 0, 0, 0.0, 0.0]
    lengths = [p.length for p in packets]
    mean = sum(lengths) / len(lengths)
    spread = variance([float(length) for length in lengths], mean)
    return [max(lengths), min(lengths), mean, math.sqrt(spread), spread]


def bulk_rate(bulk):
    if bulk[7] == 0:
        return 0
    with decimal.localcontext(decimal.Context(prec=28)):
        return decimal.Decimal(bulk[6]) / decimal.Decimal(bulk[7]).scaleb(-6)


FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ece": 64}


def row_of(flow):
    everything = [p for p, _ in flow.packets]
    sides = {"fwd": [p for p, d in flow.packets if d == FORWARD], "bwd": [p for p, d in flow.packets if d == REVERSE]}
    duration = max(0, *(p.time - flow.start for p in everything)) / 1e6
    c = {"src_ip": flow.source, "dst_ip": flow.destination,
         "src_port": -1 if flow.icmp else flow.source_port, "dst_port": -1 if flow.icmp else flow.destination_port,
         "protocol": flow.protocol,
         "timestamp": (datetime.datetime(1970, 1, 1) +
                       datetime.timedelta(seconds=flow.start // SECOND)).strftime("%Y-%m-%d %H:%M:%S"),
         "flow_duration": duration}

    def rate(count):
        return count / duration if duration else 0

    def count_of(packets, flag):
        return -1 if flow.icmp else sum(1 for p in packets if p.flags & FLAGS[flag])

    c["flow_byts_s"] = rate(sum(p.length for p in everything))
    c["flow_pkts_s"] = rate(len(everything))
    for side, packets in sides.items():
        c[f"{side}_pkts_s"] = rate(len(packets))
        c[f"tot_{side}_pkts"] = c[f"subflow_{side}_pkts"] = len(packets)
        c[f"totlen_{side}_pkts"] = c[f"subflow_{side}_byts"] = sum(p.length for p in packets)
        for name, value in zip(("max", "min", "mean", "std"), length_statistics(packets)):
            c[f"{side}_pkt_len_{name}"] = value
        c[f"{side}_seg_size_avg"] = c[f"{side}_pkt_len_mean"]
        c[f"{side}_header_len"] = sum(4 * p.ihl for p in packets)
        for name, value in zip(("tot", "max", "min", "mean", "std"), statistics_of(neighbours(packets))):
            c[f"{side}_iat_{name}"] = value
        c[f"{side}_psh_flags"] = count_of(packets, "psh")
        c[f"{side}_urg_flags"] = count_of(packets, "urg")
        c[f"init_{side}_win_byts"] = -1 if flow.icmp else flow.windows[side == "bwd"]
        bulk = flow.bulk[side == "bwd"]
        c[f"{side}_byts_b_avg"] = bulk[6] / bulk[4] if bulk[4] else 0
        c[f"{side}_pkts_b_avg"] = bulk[5] / bulk[4] if bulk[4] else 0
        c[f"{side}_blk_rate_avg"] = bulk_rate(bulk)
    for name, value in zip(("max", "min", "mean", "std", "var"), length_statistics(everything)):
        c[f"pkt_len_{name}"] = value
    c["fwd_seg_size_min"] = min(4 * p.ihl for p in sides["fwd"])
    c["fwd_act_data_pkts"] = sum(1 for p in sides["fwd"] if p.payload > 0)
    for name, value in zip(("tot", "max", "min", "mean", "std"), statistics_of(flow.gaps)):
        c[f"flow_iat_{name}"] = value
    for flag in FLAGS:
        c[f"{flag}_flag_cnt"] = count_of(everything, flag)
    c["cwr_flag_count"] = c["fwd_urg_flags"]
    c["down_up_ratio"] = len(sides["bwd"]) / len(sides["fwd"])
    c["pkt_size_avg"] = c["pkt_len_mean"]
    for name in ("active", "idle"):
        for value in ("max", "min", "mean", "std"):
            c[f"{name}_{value}"] = 0
    return [str(c[name]) for name in HEADER]


def session_of(data):
    """The session after this capture (its bytes)."""
    session = Session()
    for link, order, time, frame in read(data):
        p = packet_of(link, order, time, frame)
        if p:
            session.process(p)
    session.collect(None)
    return session


def csv_of(data):
    rows = session_of(data).rows
    lines = [",".join(row) for row in ([HEADER] if rows else []) + rows]
    return "".join(line + "\r\n" for line in lines).encode()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as capture:
        sys.stdout.buffer.write(csv_of(capture.read()))
