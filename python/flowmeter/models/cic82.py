# SPDX-License-Identifier: BSD-3-Clause
"""The 82 columns of a capture, by an independent model.

    python3 -m flowmeter.models.cic82 CAPTURE > expected.csv    rows, in the order of the flows' first packets
    python3 -m flowmeter.models.cic82 --counts CAPTURE          the number of packets by packet class

It is written from the definition of the features, not from the meter. It keeps every packet of every flow and computes
each column from these lists, in exact fractions that are rounded once. It is simple, and therefore slow.
"""
import argparse
import collections
import socket
import sys
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction

from . import captures
from .column_names import COLUMNS_82

IDLE = {6: 240, 17: 240, 1: 60, 58: 60}
LINGER, ACTIVE, ACTIVITY_GAP, SUBFLOW_GAP, BULK_GAP, BULK_PACKETS, FRAGMENT_MEMORY = 5, 1800, 5, 1, 1, 4, 30
NS = 10**9
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << n for n in range(8))


# ---- captures ---------------------------------------------------------------------------------------------------
def frames(data):
    """(time in ns, captured bytes, wire length, link type) of each packet."""
    if captures.is_pcapng(data):
        yield from pcapng_frames(data)
        return
    header = captures.pcap_header(data)
    if header is None:
        return
    unit = 1 if header.nanoseconds else 1000
    for second, fraction, captured, wire in captures.pcap_records(data, header.order):
        yield second * NS + fraction * unit, captured, max(wire, len(captured)), header.link & 0xffff


def pcapng_frames(data):
    interfaces = []
    for order, kind, body in captures.pcapng_blocks(data):
        if kind == captures.SECTION:
            interfaces = []
        elif kind == captures.INTERFACE:
            interfaces.append(captures.pcapng_interface(order, body))
        elif kind in (captures.PACKET, captures.OLD_PACKET):
            packet = captures.pcapng_packet(order, kind, body)
            if packet is None or packet[0] >= len(interfaces):
                return
            number, stamp, captured, wire = packet
            link, _, resolution, offset = interfaces[number]
            unit = Fraction(1, 2**(resolution & 127)) if resolution & 128 else Fraction(1, 10**resolution)
            yield stamp * unit * NS // 1 + offset * NS, body[20:20 + captured], max(wire, captured), link
        elif kind == captures.SIMPLE_PACKET:
            if not interfaces:
                return
            link, snap, _, _ = interfaces[0]
            wire = int.from_bytes(body[:4], "big" if order == ">" else "little")
            captured = min(wire, len(body) - 4, snap or captures.CAPTURED_MAX)
            yield 0, body[4:4 + captured], max(wire, captured), link


# ---- packets ----------------------------------------------------------------------------------------------------
class Refused(Exception):
    """The reason why a packet is not metered."""


Packet = collections.namedtuple("Packet", "time length header payload flags window source destination")


def number(data, at, size, reason):
    if at + size > len(data):
        raise Refused(reason)
    return int.from_bytes(data[at:at + size], "big")


def network_start(data, link):
    """(offset, IP version)"""
    get = lambda at, size: number(data, at, size, "not_ip")

    def nibble(at):
        version = get(at, 1) >> 4
        if version not in (4, 6):
            raise Refused("not_ip")
        return at, version

    def ppp(at):
        version = {0x0021: 4, 0x0057: 6}.get(get(at, 2))
        if version is None:
            raise Refused("not_ip")
        return at + 2, version

    def ethertype(kind, at):
        tags = 0
        while kind in (0x8100, 0x88a8, 0x9100):
            tags += 1
            if tags > 4:
                raise Refused("not_ip")
            kind, at = get(at + 2, 2), at + 4
        if kind == 0x8864:
            return ppp(at + 6)
        if kind in (0x8847, 0x8848):
            for _ in range(8):
                label, at = get(at, 4), at + 4
                if label & 0x100:
                    return nibble(at)
            raise Refused("not_ip")
        if kind in (0x0800, 0x86dd):
            return at, 4 if kind == 0x0800 else 6
        raise Refused("not_ip")

    if link == 1:
        return ethertype(get(12, 2), 14)
    if link == 113:
        return ethertype(get(14, 2), 16)
    if link == 276:
        get(0, 20)
        return ethertype(get(0, 2), 20)
    if link in (12, 14, 101):
        return nibble(0)
    if link in (228, 229):
        return 0, 4 if link == 228 else 6
    if link in (0, 108):
        get(0, 4)
        for order in ("big", "little"):
            family = int.from_bytes(data[:4], order)
            if family == 2:
                return 4, 4
            if family in (10, 24, 28, 30):
                return 4, 6
        raise Refused("not_ip")
    if link == 9:
        return ppp(2 if data[:2] == b"\xff\x03" else 0)
    raise Refused("not_ip")


Network = collections.namedtuple("Network", "at end protocol source destination fragment")
"""The contents of the IP headers. at: start of the transport header; fragment: None or (identity, offset in 8 bytes)."""


def ipv4(data, start, wire):
    get = lambda at, size: number(data, at, size, "malformed")
    if get(start, 1) >> 4 != 4:
        raise Refused("malformed")
    size = (get(start, 1) & 15) * 4
    get(start, max(size, 20))
    if size < 20:
        raise Refused("malformed")
    total = get(start + 2, 2) or wire - start
    if total < size or start + total > wire:
        raise Refused("malformed")
    protocol = get(start + 9, 1)
    if protocol not in (1, 6, 17):
        raise Refused("other_protocol")
    source, destination = data[start + 12:start + 16], data[start + 16:start + 20]
    fragment, field = None, get(start + 6, 2)
    if field & 0x3fff:
        fragment = ((4, source, destination, protocol, get(start + 4, 2)), field & 0x1fff)
    return Network(start + size, start + total, protocol, source, destination, fragment)


def ipv6(data, start, wire):
    get = lambda at, size: number(data, at, size, "malformed")
    get(start, 40)
    if get(start, 1) >> 4 != 6:
        raise Refused("malformed")
    length = get(start + 4, 2)
    end = start + 40 + length if length else wire
    if end > wire:
        raise Refused("malformed")
    source, destination = data[start + 8:start + 24], data[start + 24:start + 40]
    at, protocol, fragment = start + 40, get(start + 6, 1), None
    extensions = (0, 43, 44, 51, 60, 135, 139, 140)
    for _ in range(8):
        if protocol not in extensions:
            break
        get(at, 8)
        size = {44: 8, 51: (get(at + 1, 1) + 2) * 4}.get(protocol, (get(at + 1, 1) + 1) * 8)
        if protocol == 44 and get(at + 2, 2) & 0xfff9:
            fragment = ((6, source, destination, get(at + 4, 4)), get(at + 2, 2) >> 3)
        protocol = get(at, 1)
        at += size
        if at > end:
            raise Refused("malformed")
        if fragment and fragment[1]:
            break
    later_in_chain = fragment and fragment[1] and protocol in extensions
    if protocol not in (6, 17, 58) and not later_in_chain:
        raise Refused("other_protocol")
    return Network(at, end, protocol, source, destination, fragment)


def dissect(data, wire, link, time, memory):
    """(flow key without direction, Packet); memory: first fragments."""
    start, version = network_start(data, link)
    ip = (ipv4 if version == 4 else ipv6)(data, start, wire)
    if ip.fragment and ip.fragment[1]:
        first = memory.get(ip.fragment[0])
        if first is None or time - first[0] > FRAGMENT_MEMORY * NS:
            raise Refused("unattributed_fragment")
        _, key, ends = first
        return key, Packet(time, wire, ip.at - start, ip.end - ip.at, 0, None, *ends)
    key, packet = transport(data, start, version, ip, time, wire)
    if ip.fragment:
        memory[ip.fragment[0]] = (time, key, (packet.source, packet.destination))
    return key, packet


def transport(data, start, version, ip, time, wire):
    get = lambda at, size: number(data, at, size, "malformed")
    at, protocol = ip.at, ip.protocol
    fixed = 20 if protocol == 6 else 8
    get(at, fixed)
    size = (get(at + 12, 1) >> 4) * 4 if protocol == 6 else fixed
    if size < fixed or at + size > ip.end:
        raise Refused("malformed")
    flags = get(at + 13, 1) if protocol == 6 else 0
    window = get(at + 14, 2) if protocol == 6 else None
    if protocol in (6, 17):
        ends = ((ip.source, get(at, 2)), (ip.destination, get(at + 2, 2)))
        key = (protocol, frozenset(ends))
    else:
        ends = ((ip.source, 0), (ip.destination, 0))
        kind = get(at, 1)
        echo = kind in ((0, 8) if version == 4 else (128, 129))
        what = ("echo", get(at + 4, 2)) if echo else ("type", kind)
        key = (protocol, frozenset(ends), what)
    return key, Packet(time, wire, at + size - start, ip.end - at - size, flags, window, *ends)


# ---- flows ------------------------------------------------------------------------------------------------------
class Flow:
    def __init__(self, protocol, packet, begun, before=None):
        self.protocol, self.begun = protocol, begun
        self.source, self.destination = (packet.source, packet.destination)
        self.fin, self.reset = set(), False
        if before:
            self.source, self.destination = before.source, before.destination
            self.fin, self.reset = set(before.fin), before.reset
        self.packets, self.times = [], []
        self.add(packet)

    def forward(self, packet):
        return packet.source == self.source

    def closed(self):
        return self.protocol == 6 and (self.reset or len(self.fin) == 2)

    def add(self, packet):
        self.times.append(max([packet.time] + self.times[-1:]))
        self.packets.append(packet)
        if packet.flags & FIN:
            self.fin.add(self.forward(packet))
        if packet.flags & RST:
            self.reset = True

    def ended_by(self, packet):
        """Returns why the packet starts the next flow; None if it belongs to this one."""
        silence = packet.time - self.times[-1]
        if silence > IDLE[self.protocol] * NS:
            return "idle"
        if self.closed() and silence > LINGER * NS:
            return "linger"
        if self.closed() and packet.flags & (SYN | ACK) == SYN:
            return "reopened"
        return "active" if packet.time - self.times[0] > ACTIVE * NS else None


class Flows:
    def __init__(self):
        self.all = []  # in the order of their first packets
        self._current = {}

    def add(self, key, packet):
        """Adds the packet and returns its flow."""
        flow = self._current.get(key)
        begun = flow.ended_by(packet) if flow else None
        if flow and not begun:
            flow.add(packet)
            return flow
        flow = self._current[key] = Flow(key[0], packet, begun, flow if begun == "active" else None)
        self.all.append(flow)
        return flow


def meter(data):
    """(flows in the order of their first packets, Counter of classes)"""
    flows, memory, counts = Flows(), {}, collections.Counter()
    for time, captured, wire, link in frames(data):
        try:
            key, packet = dissect(captured, wire, link, time, memory)
        except Refused as refused:
            counts[str(refused)] += 1
            continue
        counts["metered"] += 1
        flows.add(key, packet)
    return flows.all, counts


# ---- columns ----------------------------------------------------------------------------------------------------
class Root:
    """Square root of a fraction, as a cell."""

    def __init__(self, square):
        self.square = square


def seconds(ns):
    return Fraction(ns, NS)


def ratio(a, b):
    return Fraction(a, b) if b else Fraction(0)


def moments(samples):
    """min, max, mean, variance"""
    if not samples:
        return (Fraction(0),) * 4
    mean = Fraction(sum(samples), len(samples))
    return min(samples), max(samples), mean, sum((x - mean)**2 for x in samples) / len(samples)


def time_text(ns):
    second, microsecond = ns // NS, ns % NS // 1000
    if not -62135596800 <= second < 253402300800:  # years 1 to 9999, as far as datetime goes
        return f"{second}.{microsecond:06}"
    return (datetime(1970, 1, 1) + timedelta(seconds=second)).strftime("%Y-%m-%d %H:%M:%S.") + f"{microsecond:06}"


def gaps(times):
    return [seconds(b - a) for a, b in zip(times, times[1:])]


def bulks(flow):
    """{forward?: [bulks, packets, bytes, seconds]}"""
    runs = []  # lists of (time, payload), with their direction
    for packet, time in zip(flow.packets, flow.times):
        if packet.payload == 0:
            continue
        direction = flow.forward(packet)
        if not runs or runs[-1][0] != direction or time - runs[-1][1][-1][0] > BULK_GAP * NS:
            runs.append((direction, []))
        runs[-1][1].append((time, packet.payload))
    total = {True: [0, 0, 0, 0], False: [0, 0, 0, 0]}
    for direction, run in runs:
        if len(run) >= BULK_PACKETS:
            of_run = (1, len(run), sum(p for _, p in run), seconds(run[-1][0] - run[0][0]))
            total[direction] = [a + b for a, b in zip(total[direction], of_run)]
    return total


class Side:
    """The packets of a direction, or of both, with their times."""

    def __init__(self, flow, chosen):
        picked = [(packet, time) for packet, time in zip(flow.packets, flow.times) if chosen(packet)]
        self.packets, self.times = [p for p, _ in picked], [t for _, t in picked]
        self.count, self.size = len(picked), sum(p.length for p in self.packets)
        self.icmp = flow.protocol in (1, 58)

    def flag(self, bit):
        return -1 if self.icmp else sum(bool(p.flags & bit) for p in self.packets)

    def window(self):
        return -1 if self.icmp else next((p.window for p in self.packets if p.window is not None), 0)


def columns(flow):
    every = Side(flow, lambda packet: True)
    f, b = Side(flow, flow.forward), Side(flow, lambda packet: not flow.forward(packet))
    return (identity(flow, every.icmp) | totals(flow, every, f, b) | lengths(every, f, b) | iats(every, f, b) |
            flag_counts(every, f, b) | activity(flow) | bulk_averages(flow) | subflows(flow, f, b))


def identity(flow, icmp):
    text = lambda data: socket.inet_ntop(socket.AF_INET if len(data) == 4 else socket.AF_INET6, data)
    return {
        "src_ip": text(flow.source[0]), "dst_ip": text(flow.destination[0]),
        "src_port": -1 if icmp else flow.source[1], "dst_port": -1 if icmp else flow.destination[1],
        "protocol": flow.protocol,
        "timestamp": time_text(flow.times[0]),
    }


def totals(flow, every, f, b):
    duration = seconds(flow.times[-1] - flow.times[0])
    return {
        "flow_duration": duration, "flow_byts_s": ratio(every.size, duration), "flow_pkts_s": ratio(every.count, duration),
        "fwd_pkts_s": ratio(f.count, duration), "bwd_pkts_s": ratio(b.count, duration),
        "tot_fwd_pkts": f.count, "tot_bwd_pkts": b.count, "totlen_fwd_pkts": f.size, "totlen_bwd_pkts": b.size,
        "down_up_ratio": ratio(b.count, f.count),
    }


def lengths(every, f, b):
    cells = {}
    for name, side in (("fwd_pkt_len", f), ("bwd_pkt_len", b), ("pkt_len", every)):
        least, greatest, mean, variance = moments([p.length for p in side.packets])
        cells |= {name + "_max": int(greatest), name + "_min": int(least), name + "_mean": Fraction(mean),
                  name + "_std": Root(variance)}
    payloads = {side: [p.payload for p in side.packets] for side in (f, b)}
    return cells | {
        "pkt_len_var": variance, "pkt_size_avg": Fraction(mean),  # left by the loop's last pass: all packets
        "fwd_header_len": sum(p.header for p in f.packets), "bwd_header_len": sum(p.header for p in b.packets),
        "fwd_seg_size_min": min(payloads[f], default=0), "fwd_act_data_pkts": sum(size > 0 for size in payloads[f]),
        "fwd_seg_size_avg": ratio(sum(payloads[f]), f.count), "bwd_seg_size_avg": ratio(sum(payloads[b]), b.count),
    }


def iats(every, f, b):
    cells = {}
    for name, side in (("flow", every), ("fwd", f), ("bwd", b)):
        samples = gaps(side.times)
        least, greatest, mean, variance = moments(samples)
        cells |= {name + "_iat_mean": mean, name + "_iat_max": greatest, name + "_iat_min": least,
                  name + "_iat_std": Root(variance), name + "_iat_tot": Fraction(sum(samples))}
    return cells


def flag_counts(every, f, b):
    return {
        "fwd_psh_flags": f.flag(PSH), "bwd_psh_flags": b.flag(PSH), "fwd_urg_flags": f.flag(URG),
        "bwd_urg_flags": b.flag(URG), "fin_flag_cnt": every.flag(FIN), "syn_flag_cnt": every.flag(SYN),
        "rst_flag_cnt": every.flag(RST), "psh_flag_cnt": every.flag(PSH), "ack_flag_cnt": every.flag(ACK),
        "urg_flag_cnt": every.flag(URG), "ece_flag_cnt": every.flag(ECE), "cwr_flag_count": every.flag(CWR),
        "init_fwd_win_byts": f.window(), "init_bwd_win_byts": b.window(),
    }


def activity(flow):
    idle = [g for g in gaps(flow.times) if g > ACTIVITY_GAP]
    pieces = [[flow.times[0]]]
    for before, time in zip(flow.times, flow.times[1:]):
        if seconds(time - before) > ACTIVITY_GAP:
            pieces.append([])
        pieces[-1].append(time)
    active = [seconds(piece[-1] - piece[0]) for piece in pieces if piece[-1] > piece[0]]
    cells = {}
    for name, samples in (("active", active), ("idle", idle)):
        least, greatest, mean, variance = moments(samples)
        cells |= {name + "_max": Fraction(greatest), name + "_min": Fraction(least), name + "_mean": mean,
                  name + "_std": Root(variance)}
    return cells


def bulk_averages(flow):
    cells, of_bulks = {}, bulks(flow)
    for name, direction in (("fwd", True), ("bwd", False)):
        count, packets, size, time = of_bulks[direction]
        cells |= {name + "_byts_b_avg": ratio(size, count), name + "_pkts_b_avg": ratio(packets, count),
                  name + "_blk_rate_avg": ratio(size, time)}
    return cells


def subflows(flow, f, b):
    parts = 1 + sum(g > SUBFLOW_GAP for g in gaps(flow.times))
    return {
        "subflow_fwd_pkts": Fraction(f.count, parts), "subflow_bwd_pkts": Fraction(b.count, parts),
        "subflow_fwd_byts": Fraction(f.size, parts), "subflow_bwd_byts": Fraction(b.size, parts),
    }


def cell_text(value):
    if isinstance(value, (int, str)):
        return str(value)
    if isinstance(value, Root):
        with localcontext() as context:
            context.prec = 60
            real = float((Decimal(value.square.numerator) / Decimal(value.square.denominator)).sqrt())
    else:
        real = float(value) if not isinstance(value, Fraction) else value.numerator / value.denominator
    if real == int(real) and abs(real) < 2**53:
        return str(int(real))
    return repr(real)


def main():
    parser = argparse.ArgumentParser(prog="python3 -m flowmeter.models.cic82", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", action="store_true", help="print the classes of the packets instead")
    parser.add_argument("capture")
    arguments = parser.parse_args()
    with open(arguments.capture, "rb") as file:
        flows, counts = meter(file.read())
    if arguments.counts:
        for name in ("metered", "not_ip", "other_protocol", "malformed", "unattributed_fragment"):
            print(name, counts[name], sep="\t")
        return
    print(",".join(COLUMNS_82))
    for flow in flows:
        cells = columns(flow)
        assert set(COLUMNS_82) <= set(cells)
        print(",".join(cell_text(cells[name]) for name in COLUMNS_82))


if __name__ == "__main__":
    sys.exit(main())
