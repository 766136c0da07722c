# SPDX-License-Identifier: BSD-3-Clause
"""The classes of a flow (flow type, timing, traffic pattern, periodic or not) and the limits that separate them. The command
line reads the defaults here before it looks for numpy, so this module needs no package."""
from typing import NamedTuple

FLOW_TYPES = ("Large Data Transfer", "Quick Request", "Interactive", "Bulk Transfer", "Other")
# From the palette of Okabe and Ito, which is suitable for colour-blind readers. The grey is darker than the other colours,
# because red-green blind people could confuse a medium grey with the green or the pink. All plots and the page use these.
TYPE_COLOURS = dict(zip(FLOW_TYPES, ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#595959")))
TIMINGS = ("Very Fast", "Fast", "Medium", "Slow")
PATTERNS = ("Steady", "Bursty")
SIZES = ("Small", "Medium", "Large", "Very Large")
COLUMNS = ("flow_type", "timing_category", "traffic_pattern", "is_periodic")


class Limits(NamedTuple):
    """The defaults are those of the CICFlowMeter analysis guide."""

    large_bytes: float = 2000  # backward
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
        """[(kind, class, rule)] as readable text."""
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
