# SPDX-License-Identifier: BSD-3-Clause
"""The classes of a flow: flow type, timing, traffic pattern, periodic or not. A class is a code: its index in the tuple of
names; the code after the last name means none. Comparisons with NaN are false, so a flow without a value is in no class
that needs it."""
from typing import NamedTuple

import numpy as np

FLOW_TYPES = ("Large Data Transfer", "Quick Request", "Interactive", "Bulk Transfer", "Other")
# Of the palette of Okabe and Ito, which stays distinct for the colour-blind, and a grey that is darker than those: a
# middle one is their green or pink to the red-green blind. The same in all plots and on the page.
TYPE_COLOURS = dict(zip(FLOW_TYPES, ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#595959")))
TIMINGS = ("Very Fast", "Fast", "Medium", "Slow")
PATTERNS = ("Steady", "Bursty")
SIZES = ("Small", "Medium", "Large", "Very Large")
COLUMNS = ("flow_type", "timing_category", "traffic_pattern", "is_periodic")


class Limits(NamedTuple):
    """The defaults are those of the CICFlowMeter analysis guide."""

    large_bytes: float = 2000  # bwd bytes
    large_duration: float = 0.04  # s
    quick_size: float = 200  # bytes
    quick_duration: float = 0.05  # s
    interactive_sizes: tuple = (200, 400)  # bytes, both included
    interactive_iat_std: float = 0.01  # s
    bulk_packets: float = 15
    timing: tuple = (0.001, 0.01, 0.1)  # s
    periodic_iat_std: float = 0.01  # s
    periodic_iat_mean: float = 0.001  # s
    periodic_min_packets: int = 2
    sizes: tuple = (200, 400, 1000)  # bytes
    precedence: str = "guide"

    def rules(self):
        """[(kind, class, rule)], for people."""
        low, high = self.interactive_sizes
        fast, medium, slow = self.timing
        last = " (if several match, the last one counts)" if self.precedence == "last" else ""
        return [
            ("Flow type", FLOW_TYPES[0], f"backward bytes > {self.large_bytes:g} and duration > {self.large_duration:g} s{last}"),
            ("Flow type", FLOW_TYPES[1], f"mean packet size < {self.quick_size:g} B and duration < {self.quick_duration:g} s"),
            ("Flow type", FLOW_TYPES[2], f"mean packet size {low:g} to {high:g} B and IAT deviation > {self.interactive_iat_std:g} s"),
            ("Flow type", FLOW_TYPES[3], f"more than {self.bulk_packets:g} packets"),
            ("Flow type", FLOW_TYPES[4], "none of these"),
            ("Timing", TIMINGS[0], f"mean IAT < {fast:g} s"),
            ("Timing", TIMINGS[1], f"mean IAT {fast:g} to {medium:g} s"),
            ("Timing", TIMINGS[2], f"mean IAT above {medium:g} to {slow:g} s"),
            ("Timing", TIMINGS[3], f"mean IAT > {slow:g} s"),
            ("Pattern", PATTERNS[0], "IAT deviation up to the mean IAT"),
            ("Pattern", PATTERNS[1], "IAT deviation > mean IAT"),
            ("Periodic", "Periodic", f"IAT deviation < {self.periodic_iat_std:g} s, mean IAT > {self.periodic_iat_mean:g} s, "
                                     f"at least {self.periodic_min_packets:g} packets"),
        ]


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
