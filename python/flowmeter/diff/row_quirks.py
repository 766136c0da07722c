# SPDX-License-Identifier: BSD-3-Clause
"""Predicts the other program's cells from the correct row alone, without a capture.

Each function takes what is known so far and returns the cells that the quirk changes; None means that the value is unknown.
Packets are assumed to be captured completely and to have IPv4 headers without options. If that is wrong, the prediction
fails and the cell stays unexplained.
"""
import math

from .columns import COLUMNS, MICROSECONDS, NS, QUOTIENTS
from .rules import QUIRK, quirks_of

_STATISTICS = ("max", "min", "mean", "std")


def _scale(deviation, n):
    """Converts a standard deviation of a population to that of a sample."""
    return deviation * math.sqrt(n / (n - 1)) if n > 1 else deviation


def _first_packet_twice(v):
    n, f, b = v["tot_fwd_pkts"] + v["tot_bwd_pkts"], v["tot_fwd_pkts"], v["tot_bwd_pkts"]
    new = {"tot_fwd_pkts": f + 1, "fwd_header_len": 20 * (f + 1), "bwd_header_len": 20 * b}
    first = v["fwd_pkt_len_min"] if v["fwd_pkt_len_min"] == v["fwd_pkt_len_max"] else None  # the first one's length
    for name in ("totlen_fwd_pkts", "fwd_pkt_len_mean", "fwd_pkt_len_std", "pkt_len_mean", "pkt_len_std", "pkt_len_var",
                 "pkt_size_avg"):
        new[name] = None
    if first is not None:
        new["totlen_fwd_pkts"] = v["totlen_fwd_pkts"] + first
        new["fwd_pkt_len_mean"], new["fwd_pkt_len_std"] = v["fwd_pkt_len_mean"], v["fwd_pkt_len_std"]
        mean = (new["totlen_fwd_pkts"] + v["totlen_bwd_pkts"]) / (n + 1)
        squares = n * (v["pkt_len_var"] + v["pkt_len_mean"]**2) + first**2
        variance = max(0.0, squares / (n + 1) - mean**2)
        new |= {"pkt_len_mean": mean, "pkt_size_avg": mean, "pkt_len_var": variance, "pkt_len_std": math.sqrt(variance)}
    for flag in ("fin_flag_cnt", "syn_flag_cnt", "rst_flag_cnt", "psh_flag_cnt", "ack_flag_cnt", "urg_flag_cnt",
                 "ece_flag_cnt", "fwd_psh_flags", "fwd_urg_flags"):
        count, of = v[flag], f if flag.startswith("fwd") else n
        new[flag] = count if count <= 0 else count + 1 if count == of else None
    new["fwd_act_data_pkts"] = {0: 0, f: f + 1}.get(v["fwd_act_data_pkts"])
    for name, gaps in (("flow", n - 1), ("fwd", f - 1)):  # one more, of 0 s
        mean, std = v[f"{name}_iat_mean"], v[f"{name}_iat_std"]
        if gaps > 0 and mean is not None and std is not None:
            new_mean = mean * gaps / (gaps + 1)
            new |= {f"{name}_iat_min": 0, f"{name}_iat_mean": new_mean,
                    f"{name}_iat_std": math.sqrt(max(0.0, gaps * (std**2 + mean**2) / (gaps + 1) - new_mean**2))}
    new["down_up_ratio"] = b / (f + 1)
    return new


def _short_lists_zero(v):
    names = [f"bwd_iat_{s}" for s in (*_STATISTICS, "tot")]
    return dict.fromkeys(names, 0) if v["tot_bwd_pkts"] < 3 else {}


def _payload_length(v):
    new = {}
    for way in ("fwd", "bwd"):
        n, mean = v[f"tot_{way}_pkts"], v[f"{way}_seg_size_avg"]
        total = None if n is None or mean is None else round(n * mean)
        new |= {f"totlen_{way}_pkts": total, f"{way}_pkt_len_mean": mean}
        new |= dict.fromkeys((f"{way}_pkt_len_max", f"{way}_pkt_len_min", f"{way}_pkt_len_std"), 0 if n == 0 or mean == 0 else None)
    least = v["least_payload"]
    if least is not None:
        new["fwd_pkt_len_min"] = least
        if least == v["fwd_seg_size_avg"]:
            new |= {"fwd_pkt_len_max": least, "fwd_pkt_len_std": 0}
    new |= dict.fromkeys(("pkt_len_max", "pkt_len_min", "pkt_len_mean", "pkt_len_std", "pkt_len_var", "pkt_size_avg"))
    if new["totlen_fwd_pkts"] == 0 and new["totlen_bwd_pkts"] == 0:
        new |= dict.fromkeys(("pkt_len_max", "pkt_len_min", "pkt_len_mean", "pkt_len_std", "pkt_len_var", "pkt_size_avg"), 0)
    return new


def _transport_header(v):
    if v["protocol"] == 17:
        return {"fwd_seg_size_min": 8} | {f"{way}_header_len": 8 * v[f"tot_{way}_pkts"] for way in ("fwd", "bwd")}
    if v["protocol"] == 6:
        return {f"{way}_header_len": v[f"{way}_header_len"] - 20 * v[f"tot_{way}_pkts"] for way in ("fwd", "bwd")}
    return {"fwd_seg_size_min": 0, "fwd_header_len": 0, "bwd_header_len": 0}


def _sample_deviation(v):
    f, b = v["tot_fwd_pkts"], v["tot_bwd_pkts"]
    new = {}
    for name, n in (("fwd_pkt_len_std", f), ("bwd_pkt_len_std", b), ("flow_iat_std", f + b - 1), ("fwd_iat_std", f - 1),
                    ("bwd_iat_std", b - 1)):
        if v[name] is not None:
            new[name] = _scale(v[name], n)
    return new


def _parts(v):
    f, part = v["tot_fwd_pkts"], v["subflow_fwd_pkts"]
    return round(f / part) if f and part else None


def _subflow_per_gap(v):
    parts = _parts(v)
    if parts is None:
        return dict.fromkeys(("subflow_fwd_pkts", "subflow_bwd_pkts", "subflow_fwd_byts", "subflow_bwd_byts"))
    new = {}
    for way in ("fwd", "bwd"):
        for of, total in (("pkts", v[f"tot_{way}_pkts"]), ("byts", v[f"totlen_{way}_pkts"])):
            new[f"subflow_{way}_{of}"] = 0 if parts == 1 else None if total is None else total / (parts - 1)
    return new


def _subflow_totals(v):
    return {"subflow_fwd_pkts": v["tot_fwd_pkts"], "subflow_bwd_pkts": v["tot_bwd_pkts"],
            "subflow_fwd_byts": v["totlen_fwd_pkts"], "subflow_bwd_byts": v["totlen_bwd_pkts"]}


def _integer_quotients(v):
    names = ["down_up_ratio", *(f"subflow_{way}_{of}" for way in ("fwd", "bwd") for of in ("pkts", "byts"))]
    return {name: math.floor(v[name]) for name in names if v[name] is not None}


def _protocol_0(v):
    if v["protocol"] in (6, 17):
        return {}
    new = {"protocol": 0, "src_port": 0, "dst_port": 0}
    return new | {name: 0 for name in v if v[name] == -1 and name not in new}


def _data_without_first(v):
    sent = v["fwd_act_data_pkts"]
    return {"fwd_act_data_pkts": 0 if sent == 0 else sent - 1 if sent == v["tot_fwd_pkts"] else None}


_FROM_ROW = {
    "whole-seconds": lambda v: {"timestamp": v["timestamp"] // NS * NS},
    "ip-header": lambda v: {"fwd_seg_size_min": 20, "fwd_header_len": 20 * v["tot_fwd_pkts"],
                            "bwd_header_len": 20 * v["tot_bwd_pkts"]},
    "transport-header": _transport_header,
    "payload-length": _payload_length,
    "segment-is-frame": lambda v: {f"{way}_seg_size_avg": v[f"{way}_pkt_len_mean"] for way in ("fwd", "bwd")},
    "least-header": lambda v: {"fwd_seg_size_min": None},  # a header length, which ip-header or transport-header determines
    "first-packet-twice": _first_packet_twice,
    "first-payload-twice": lambda v: {},  # always with payload-length, after which these columns are unknown
    "sample-deviation": _sample_deviation,
    "short-lists-zero": _short_lists_zero,
    "active-idle-zero": lambda v: {f"{name}_{s}": 0 for name in ("active", "idle") for s in _STATISTICS},
    "last-active-left-out": lambda v: {f"active_{s}": 0 if v["idle_max"] == 0 else None for s in _STATISTICS},
    "bulk-all-backward": lambda v: {"fwd_byts_b_avg": 0, "fwd_pkts_b_avg": 0, "fwd_blk_rate_avg": 0},
    "subflow-totals": _subflow_totals,
    "subflow-per-gap": _subflow_per_gap,
    "integer-quotients": _integer_quotients,
    "first-flags-only": lambda v: {"bwd_psh_flags": 0, "bwd_urg_flags": 0, "fwd_psh_flags": {0: 0}.get(v["fwd_psh_flags"]),
                                   "fwd_urg_flags": {0: 0}.get(v["fwd_urg_flags"])},
    "cwr-is-urg": lambda v: {"cwr_flag_count": v["fwd_urg_flags"]},
    "data-without-first": _data_without_first,
    "protocol-0": _protocol_0,
    "microseconds-unit": lambda v: {name: v[name] * 10**6 for name in MICROSECONDS if v[name] is not None},
}


class _Known(dict):
    """Returns the cells; None for those that are not known."""

    def __missing__(self, name):
        return None


def path(correct, program):
    """Returns [(quirk, cells known after it)], starting with None and the correct row; `correct`: the cells of that row."""
    known = _Known(correct)
    known["least_payload"] = known["fwd_seg_size_min"]  # kept, because least-header gives the column another meaning
    steps = [(None, known)]
    for quirk in quirks_of(program):
        if quirk not in _FROM_ROW:
            continue
        try:
            new = _FROM_ROW[quirk](known)
        except TypeError:  # it needs an unknown value, so the cells that it changes are unknown, too
            new = {name: None for name in COLUMNS if QUIRK[quirk].touches(name)}
        known = _Known(known | new)
        if quirk in ("first-packet-twice", "payload-length"):
            # Rates are quotients of the cells that this changes.
            known |= {name: _quotient(known, name) for name in ("flow_byts_s", "flow_pkts_s", "fwd_pkts_s", "bwd_pkts_s")}
        steps.append((quirk, known))
    return steps


def _quotient(v, name):
    try:
        return QUOTIENTS[name](v)
    except TypeError:
        return None
