# SPDX-License-Identifier: BSD-3-Clause
"""The 82 cells of a flow from its packets, with any set of quirks switched on: none gives the correct mode's, all of a
program's give that program's. So a step from one program to another can be taken quirk by quirk."""
import math

from .columns import CORRECT, JAVA, MICROSECONDS, NS, PYTHON

_FIN, _SYN, _RST, _PSH, _ACK, _URG, _ECE, _CWR = (1 << n for n in range(8))
_FLAGS = {"fin_flag_cnt": _FIN, "syn_flag_cnt": _SYN, "rst_flag_cnt": _RST, "psh_flag_cnt": _PSH, "ack_flag_cnt": _ACK,
          "urg_flag_cnt": _URG, "ece_flag_cnt": _ECE, "cwr_flag_count": _CWR}


def _ratio(a, b):
    return a / b if b else 0


def _statistics(samples, q):
    """min, max, mean, variance of integers: exact but for the last division."""
    n = len(samples)
    if n == 0:
        return 0, 0, 0, 0
    total = sum(samples)
    numerator = n * sum(x * x for x in samples) - total * total
    sample = "sample-deviation" in q and n > 1
    return min(samples), max(samples), total / n, numerator / (n * (n - 1) if sample else n * n)


def _neighbours(times):
    return [b - a for a, b in zip(times, times[1:])]


def cells(identity, members, q):
    """identity: src_ip, dst_ip, src_port, dst_port, protocol; members: (Frame, forward), in order; q: names of quirks."""
    source, destination, first_port, second_port, protocol = identity
    zero_protocol = "protocol-0" in q
    icmp = protocol in (0, 1, 58) and not zero_protocol
    if icmp:
        protocol, first_port, second_port = protocol or 1, -1, -1
    elif zero_protocol and protocol in (0, 1, 58):
        protocol, first_port, second_port = 0, 0, 0

    header_of = PYTHON if "ip-header" in q else JAVA if "transport-header" in q else CORRECT
    payload_of = PYTHON if "padding-is-payload" in q else JAVA if "captured-payload" in q else CORRECT
    walk_of = JAVA if "java-walk" in q else CORRECT
    forward = [way for _, way in members]
    frames = [frame for frame, _ in members]
    payload = [frame.view(payload_of).payload for frame in frames]
    header = [frame.view(header_of).header for frame in frames]
    walk = [frame.view(walk_of) for frame in frames]
    length = payload if "payload-length" in q else [f.captured if "captured-length" in q else f.wire for f in frames]

    # Times in ns.
    stamps = [frame.time // 1000 * 1000 if "microseconds" in q else frame.time for frame in frames]
    latest = []
    for stamp in stamps:
        latest.append(max(latest[-1], stamp) if latest else stamp)
    if "raw-gaps-java" in q:
        times, gaps, duration = stamps, _neighbours(stamps), stamps[-1] - stamps[0]
    elif "raw-gaps-python" in q:
        times, gaps = stamps, [t - before for before, t in zip(latest, stamps[1:])]
        duration = latest[-1] - stamps[0]
    else:
        times, gaps, duration = latest, _neighbours(latest), latest[-1] - latest[0]

    n = len(frames)
    every = list(range(n))
    by_way = {"fwd": [i for i in every if forward[i]], "bwd": [i for i in every if not forward[i]]}
    # Indices, the first one twice where it counts twice.
    twice = "first-packet-twice" in q
    listed = [0] + every if twice else every
    lists = {way: ([0] if twice and forward[0] == (way == "fwd") else []) + by_way[way] for way in by_way}
    c = {"src_ip": source, "dst_ip": destination, "src_port": first_port, "dst_port": second_port, "protocol": protocol,
         "timestamp": stamps[0] // NS * NS if "whole-seconds" in q else stamps[0] // 1000 * 1000,
         "flow_duration": duration / NS}

    def rate(count, without):
        if duration == 0:
            return without
        return count / (duration / NS)

    total = sum(length[i] for i in listed)
    odd = "rates-without-duration" in q
    c["flow_byts_s"] = rate(total, (math.inf if total else math.nan) if odd else 0)
    c["flow_pkts_s"] = rate(len(listed), math.inf if odd else 0)
    for way, index in lists.items():
        sizes = [length[i] for i in index]
        c[f"{way}_pkts_s"] = rate(len(index), 0) if duration > 0 else 0
        c[f"tot_{way}_pkts"], c[f"totlen_{way}_pkts"] = len(index), sum(sizes)
        least, most, mean, variance = _statistics(sizes, q)
        c |= {f"{way}_pkt_len_max": most, f"{way}_pkt_len_min": least, f"{way}_pkt_len_mean": mean,
              f"{way}_pkt_len_std": math.sqrt(variance)}
        c[f"{way}_seg_size_avg"] = (_ratio(sum(sizes), len(sizes)) if "segment-is-frame" in q
                                    else _ratio(sum(payload[i] for i in index), len(index)))
        c[f"{way}_header_len"] = sum(header[i] for i in index)
        for flag, bit in (("psh", _PSH), ("urg", _URG)):
            count = sum(bool(walk[i].flags & bit) for i in index)
            if "first-flags-only" in q:
                count = int(way == "fwd" and bool(walk[0].flags & bit))
            c[f"{way}_{flag}_flags"] = -1 if icmp else count
        windows = [walk[i].window for i in by_way[way] if walk[i].window is not None]
        if "window-not-zero" in q:
            windows = [w for w in windows if w] or [0]
        c[f"init_{way}_win_byts"] = -1 if icmp else (windows or [0])[-1 if way == "bwd" and "last-backward-window" in q else 0]
    # The first packet's payload twice, in the lengths of all packets only.
    sizes = [length[i] for i in listed] + ([length[0]] if "first-payload-twice" in q else [])
    least, most, mean, variance = _statistics(sizes, q)
    c |= {"pkt_len_max": most, "pkt_len_min": least, "pkt_len_mean": mean, "pkt_len_std": math.sqrt(variance),
          "pkt_len_var": variance, "pkt_size_avg": sum(sizes) / len(listed)}
    if "least-header" in q:
        c["fwd_seg_size_min"] = min((header[i] for i in lists["fwd"]), default=0)
    else:
        c["fwd_seg_size_min"] = min((payload[i] for i in lists["fwd"]), default=0)
    data = [i for i in lists["fwd"] if payload[i] > 0]
    c["fwd_act_data_pkts"] = sum(i > 0 for i in data) if "data-without-first" in q else len(data)

    samples = {"flow": [0] + gaps if twice else gaps,
               "fwd": _neighbours([times[i] for i in lists["fwd"]]), "bwd": _neighbours([times[i] for i in lists["bwd"]])}
    for name, values in samples.items():
        if "short-lists-zero" in q and len(values) < 2:
            values = []
        least, most, mean, variance = _statistics(values, q)
        c |= {f"{name}_iat_max": most / NS, f"{name}_iat_min": least / NS, f"{name}_iat_mean": mean / NS,
              f"{name}_iat_std": math.sqrt(variance) / NS, f"{name}_iat_tot": sum(values) / NS}
    for name, bit in _FLAGS.items():
        c[name] = -1 if icmp else sum(bool(walk[i].flags & bit) for i in listed)
    if "cwr-is-urg" in q:
        c["cwr_flag_count"] = c["fwd_urg_flags"]
    c["down_up_ratio"] = _ratio(c["tot_bwd_pkts"], c["tot_fwd_pkts"])

    active, idle = _activity(times, q)
    for name, values in (("active", active), ("idle", idle)):
        least, most, mean, variance = _statistics(values, q)
        c |= {f"{name}_max": most / NS, f"{name}_min": least / NS, f"{name}_mean": mean / NS,
              f"{name}_std": math.sqrt(variance) / NS}
    for way, (count, packets, octets, time) in _bulks(forward, payload, times, q).items():
        c |= {f"{way}_byts_b_avg": _ratio(octets, count), f"{way}_pkts_b_avg": _ratio(packets, count),
              f"{way}_blk_rate_avg": _ratio(octets, time / NS)}
    parts = sum(gap > NS for gap in gaps) + ("subflow-per-gap" not in q)
    if "subflow-totals" in q:
        parts = 1
    for way in ("fwd", "bwd"):
        c[f"subflow_{way}_pkts"] = _ratio(c[f"tot_{way}_pkts"], parts)
        c[f"subflow_{way}_byts"] = _ratio(c[f"totlen_{way}_pkts"], parts)
    if "integer-quotients" in q:
        for name in c:
            if name == "down_up_ratio" or name.startswith("subflow_") or name.endswith(("_b_avg", "_blk_rate_avg")):
                # Cut towards 0; a float's last digit must not cut 3 to 2.
                c[name] = math.trunc(round(c[name], 6))
    if "microseconds-unit" in q:
        for name in MICROSECONDS:
            c[name] *= 10**6
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
    """{way: [bulks, packets, octets, ns]}"""
    totals = {"fwd": [0] * 4, "bwd": [0] * 4}
    run = {}  # way -> [first time, latest time, packets, octets]
    for way, octets, time in zip(("fwd" if f else "bwd" for f in forward), payload, times):
        if octets == 0:
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
            run[way] = [time, time, 1, octets]
            continue
        mine, total = run[way], totals[way]
        mine[2] += 1
        mine[3] += octets
        if mine[2] == 4:
            total[0] += 1
            total[1] += 4
            total[2] += mine[3]
            total[3] += time - mine[0]
        elif mine[2] > 4:
            total[1] += 1
            total[2] += octets
            total[3] += time - mine[1]
        mine[1] = time
    return totals
