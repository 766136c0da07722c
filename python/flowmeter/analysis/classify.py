# SPDX-License-Identifier: BSD-3-Clause
"""Gives flows their classes. A class is a code: its index in the tuple of names (classes.py); the code after the last name
means none. Comparisons with NaN are false, so a flow without a value is in no class that needs it."""
import numpy as np

from .classes import PATTERNS, SIZES, TIMINGS


def _codes(conditions, none):
    return np.select(conditions, list(range(len(conditions))), none).astype(np.int8)


def flow_type(flows, limits):
    size, duration = flows["pkt_size_avg"], flows["flow_duration"]
    low, high = limits.interactive_sizes
    conditions = [
        (flows["totlen_bwd_pkts"] > limits.large_bytes) & (duration > limits.large_duration),
        (size < limits.quick_size) & (duration < limits.quick_duration),
        (low <= size) & (size <= high) & (flows["flow_iat_std"] > limits.interactive_iat_std),
        flows["tot_fwd_pkts"] + flows["tot_bwd_pkts"] > limits.bulk_packets,
    ]
    other = len(conditions)
    if limits.precedence == "last":
        return np.select(conditions[::-1], list(range(other))[::-1], other).astype(np.int8)
    return _codes(conditions, other)


def timing(flows, limits):
    x = flows["flow_iat_mean"]
    fast, medium, slow = limits.timing
    return _codes([x < fast, x <= medium, x <= slow, x > slow], len(TIMINGS))


def pattern(flows):
    mean, deviation = flows["flow_iat_mean"], flows["flow_iat_std"]
    return _codes([deviation <= mean, deviation > mean], len(PATTERNS))


def periodic(flows, limits):
    """1 if periodic, else 0."""
    return ((flows["flow_iat_std"] < limits.periodic_iat_std) & (flows["flow_iat_mean"] > limits.periodic_iat_mean) &
            (flows["tot_fwd_pkts"] + flows["tot_bwd_pkts"] >= limits.periodic_min_packets)).astype(np.int8)


def size(mean_sizes, limits):
    small, medium, large = limits.sizes
    return _codes([mean_sizes < small, mean_sizes <= medium, mean_sizes <= large, mean_sizes > large], len(SIZES))


def counts(codes, names):
    """{name: number of flows}; those without a class are not in it."""
    return dict(zip(names, np.bincount(codes, minlength=len(names)).tolist()))
