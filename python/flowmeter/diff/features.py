# SPDX-License-Identifier: BSD-3-Clause
"""The 82 cells of a flow from its packets, with any set of quirks switched on. Without quirks they are the cells of the
correct mode; with all quirks of a program they are those of that program. So the way from one program to another can be
followed quirk by quirk."""
import math

from .columns import CORRECT, JAVA, MICROSECONDS, NS, PYTHON

_FIN, _SYN, _RST, _PSH, _ACK, _URG, _ECE, _CWR = (1 << n for n in range(8))
_FLAGS = {"fin_flag_cnt": _FIN, "syn_flag_cnt": _SYN, "rst_flag_cnt": _RST, "psh_flag_cnt": _PSH, "ack_flag_cnt": _ACK,
          "urg_flag_cnt": _URG, "ece_flag_cnt": _ECE, "cwr_flag_count": _CWR}


def _ratio(a, b):
    return a / b if b else 0


def _statistics(samples, q):
    """min, max, mean, variance of integers: exact except for the last division."""
    n = len(samples)
    if n == 0:
        return 0, 0, 0, 0
    total = sum(samples)
    numerator = n * sum(x * x for x in samples) - total * total
    sample = "sample-deviation" in q and n > 1
    return min(samples), max(samples), total / n, numerator / (n * (n - 1) if sample else n * n)


def _neighbours(times):
    return [b - a for a, b in zip(times, times[1:])]


class _Reading:
    """A flow's packets as read with the quirks: lists with one value per packet, times in ns."""

    def __init__(self, members, q):
        frames = [frame for frame, _ in members]
        header_of = PYTHON if "ip-header" in q else JAVA if "transport-header" in q else CORRECT
        payload_of = PYTHON if "padding-is-payload" in q else JAVA if "captured-payload" in q else CORRECT
        walk_of = JAVA if "java-walk" in q else CORRECT
        self.forward = [way for _, way in members]
        self.payload = [frame.view(payload_of).payload for frame in frames]
        self.header = [frame.view(header_of).header for frame in frames]
        self.walk = [frame.view(walk_of) for frame in frames]
        self.length = (self.payload if "payload-length" in q else
                       [f.captured if "captured-length" in q else f.wire for f in frames])
        self._read_times([frame.time // 1000 * 1000 if "microseconds" in q else frame.time for frame in frames], q)
        every = range(len(frames))
        self.by_way = {"fwd": [i for i in every if self.forward[i]], "bwd": [i for i in every if not self.forward[i]]}
        # Indices; the first one is there twice if it counts twice.
        twice = "first-packet-twice" in q
        self.listed = [0] * twice + list(every)
        self.lists = {way: [0] * (twice and self.forward[0] == (way == "fwd")) + self.by_way[way] for way in self.by_way}

    def _read_times(self, stamps, q):
        latest = []
        for stamp in stamps:
            latest.append(max(latest[-1], stamp) if latest else stamp)
        self.start = stamps[0]
        if "raw-gaps-java" in q:
            self.times, self.gaps, self.duration = stamps, _neighbours(stamps), stamps[-1] - stamps[0]
        elif "raw-gaps-python" in q:
            self.times, self.gaps = stamps, [t - before for before, t in zip(latest, stamps[1:])]
            self.duration = latest[-1] - stamps[0]
        else:
            self.times, self.gaps, self.duration = latest, _neighbours(latest), latest[-1] - latest[0]


def cells(identity, members, q):
    """identity: src_ip, dst_ip, src_port, dst_port, protocol; members: (Frame, forward), in order; q: names of quirks."""
    source, destination, first_port, second_port, protocol = identity
    icmp = protocol in (0, 1, 58) and "protocol-0" not in q
    if icmp:
        protocol, first_port, second_port = protocol or 1, -1, -1
    elif protocol in (0, 1, 58):
        protocol, first_port, second_port = 0, 0, 0
    r = _Reading(members, q)
    c = {"src_ip": source, "dst_ip": destination, "src_port": first_port, "dst_port": second_port, "protocol": protocol,
         "timestamp": r.start // NS * NS if "whole-seconds" in q else r.start // 1000 * 1000,
         "flow_duration": r.duration / NS}
    c |= _totals(r, q) | _lengths(r, q) | _iats(r, q) | _flags(r, q, icmp) | _active_and_idle(r, q) | _bulk_averages(r, q)
    c["down_up_ratio"] = _ratio(c["tot_bwd_pkts"], c["tot_fwd_pkts"])
    parts = 1 if "subflow-totals" in q else sum(gap > NS for gap in r.gaps) + ("subflow-per-gap" not in q)
    for way in ("fwd", "bwd"):
        c[f"subflow_{way}_pkts"] = _ratio(c[f"tot_{way}_pkts"], parts)
        c[f"subflow_{way}_byts"] = _ratio(c[f"totlen_{way}_pkts"], parts)
    if "integer-quotients" in q:
        for name in c:
            if name == "down_up_ratio" or name.startswith("subflow_") or name.endswith(("_b_avg", "_blk_rate_avg")):
                # Truncated towards 0; the rounding error of a float must not turn 3 into 2.
                c[name] = math.trunc(round(c[name], 6))
    if "microseconds-unit" in q:
        for name in MICROSECONDS:
            c[name] *= 10**6
    return c


def _totals(r, q):
    """Packets, bytes and their rates."""
    def rate(count, without):
        return count / (r.duration / NS) if r.duration else without

    total = sum(r.length[i] for i in r.listed)
    odd = "rates-without-duration" in q
    c = {"flow_byts_s": rate(total, (math.inf if total else math.nan) if odd else 0),
         "flow_pkts_s": rate(len(r.listed), math.inf if odd else 0)}
    for way, index in r.lists.items():
        c[f"{way}_pkts_s"] = rate(len(index), 0) if r.duration > 0 else 0
        c[f"tot_{way}_pkts"], c[f"totlen_{way}_pkts"] = len(index), sum(r.length[i] for i in index)
        c[f"{way}_header_len"] = sum(r.header[i] for i in index)
    forward = r.lists["fwd"]
    c["fwd_seg_size_min"] = min(((r.header if "least-header" in q else r.payload)[i] for i in forward), default=0)
    data = [i for i in forward if r.payload[i] > 0]
    c["fwd_act_data_pkts"] = sum(i > 0 for i in data) if "data-without-first" in q else len(data)
    return c


def _lengths(r, q):
    c = {}
    for way, index in r.lists.items():
        sizes = [r.length[i] for i in index]
        least, most, mean, variance = _statistics(sizes, q)
        c |= {f"{way}_pkt_len_max": most, f"{way}_pkt_len_min": least, f"{way}_pkt_len_mean": mean,
              f"{way}_pkt_len_std": math.sqrt(variance)}
        segments = sizes if "segment-is-frame" in q else [r.payload[i] for i in index]
        c[f"{way}_seg_size_avg"] = _ratio(sum(segments), len(segments))
    # The first packet's payload twice, in the lengths of all packets only.
    sizes = [r.length[i] for i in r.listed] + [r.length[0]] * ("first-payload-twice" in q)
    least, most, mean, variance = _statistics(sizes, q)
    return c | {"pkt_len_max": most, "pkt_len_min": least, "pkt_len_mean": mean, "pkt_len_std": math.sqrt(variance),
                "pkt_len_var": variance, "pkt_size_avg": sum(sizes) / len(r.listed)}


def _iats(r, q):
    c = {}
    samples = {"flow": [0] * ("first-packet-twice" in q) + r.gaps}
    samples |= {way: _neighbours([r.times[i] for i in index]) for way, index in r.lists.items()}
    for name, values in samples.items():
        if "short-lists-zero" in q and len(values) < 2:
            values = []
        least, most, mean, variance = _statistics(values, q)
        c |= {f"{name}_iat_max": most / NS, f"{name}_iat_min": least / NS, f"{name}_iat_mean": mean / NS,
              f"{name}_iat_std": math.sqrt(variance) / NS, f"{name}_iat_tot": sum(values) / NS}
    return c


def _flags(r, q, icmp):
    """Flags and initial windows."""
    def count(index, bit):
        return -1 if icmp else sum(bool(r.walk[i].flags & bit) for i in index)

    c = {name: count(r.listed, bit) for name, bit in _FLAGS.items()}
    for way, index in r.lists.items():
        if "first-flags-only" in q:
            index = [0] if way == "fwd" else []
        c |= {f"{way}_psh_flags": count(index, _PSH), f"{way}_urg_flags": count(index, _URG)}
        windows = [r.walk[i].window for i in r.by_way[way] if r.walk[i].window is not None]
        if "window-not-zero" in q:
            windows = [w for w in windows if w]
        last = way == "bwd" and "last-backward-window" in q
        c[f"init_{way}_win_byts"] = -1 if icmp else (windows or [0])[-1 if last else 0]
    if "cwr-is-urg" in q:
        c["cwr_flag_count"] = c["fwd_urg_flags"]
    return c


def _active_and_idle(r, q):
    c = {}
    for name, values in zip(("active", "idle"), _activity(r.times, q)):
        least, most, mean, variance = _statistics(values, q)
        c |= {f"{name}_max": most / NS, f"{name}_min": least / NS, f"{name}_mean": mean / NS,
              f"{name}_std": math.sqrt(variance) / NS}
    return c


def _bulk_averages(r, q):
    c = {}
    for way, (count, packets, size, time) in _bulks(r.forward, r.payload, r.times, q).items():
        c |= {f"{way}_byts_b_avg": _ratio(size, count), f"{way}_pkts_b_avg": _ratio(packets, count),
              f"{way}_blk_rate_avg": _ratio(size, time / NS)}
    return c


def _activity(times, q):
    if "active-idle-zero" in q:
        return [], []
    active, idle = [], []
    start = end = times[0]
    for time in times[1:]:
        if time - end > 5 * NS:
            active.append(end - start)
            idle.append(time - end)
            start = time
        end = time
    if "last-active-left-out" not in q:
        active.append(end - start)
    return [a for a in active if a > 0], idle


def _bulks(forward, payload, times, q):
    """{way: [bulks, packets, bytes, ns]}"""
    totals = {"fwd": [0] * 4, "bwd": [0] * 4}
    run = {}  # way -> [first time, latest time, packets, bytes]
    for way, size, time in zip(("fwd" if f else "bwd" for f in forward), payload, times):
        if size == 0:
            continue
        if "bulk-all-backward" in q:
            way = "bwd"
        other = "bwd" if way == "fwd" else "fwd"
        if "bulk-by-time" in q:
            if other in run and way in run and run[other][1] > run[way][0]:
                del run[way]
        else:
            run.pop(other, None)
        if way not in run or time - run[way][1] > NS:
            run[way] = [time, time, 1, size]
            continue
        mine, total = run[way], totals[way]
        mine[2] += 1
        mine[3] += size
        if mine[2] == 4:
            total[0] += 1
            total[1] += 4
            total[2] += mine[3]
            total[3] += time - mine[0]
        elif mine[2] > 4:
            total[1] += 1
            total[2] += size
            total[3] += time - mine[1]
        mine[1] = time
    return totals
