#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes a CSV of any number of flows with the 82 columns, to look at the analyser's plots and to measure its speed:

    tests/python/analysis/generate_flows.py ROWS [SEED] > flows.csv

A mixture of look-ups, web pages, downloads, remote shells, beacons and scans. The columns that the analyser reads agree
with each other. Most others are 0, so rows have as many cells as real ones but are shorter."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "python"))
sys.dont_write_bytecode = True
from flowmeter import interpreter  # noqa: E402

interpreter.require("numpy", "pandas")
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from flowmeter.models.column_names import COLUMNS_82  # noqa: E402

_AT_ONCE = 50_000
# share, packets forward and backward, their sizes, mean gap (s), its spread, port
_KINDS = ((.40, (1, 2), (1, 2), (75, 12), (150, 60), .02, .1, 53),
          (.22, (5, 14), (4, 16), (180, 60), (700, 250), .02, 1.6, 443),
          (.05, (20, 300), (40, 900), (66, 4), (1400, 80), .0008, 2.5, 443),
          (.10, (8, 60), (8, 60), (240, 50), (270, 60), .25, 1.3, 22),
          (.13, (3, 8), (3, 8), (90, 8), (120, 8), .06, .02, 8883),
          (.10, (1, 2), (0, 1), (60, 2), (60, 2), 0, 0, 23))


def table(rows, seed=1):
    """A table with all 82 columns."""
    random = np.random.default_rng(seed)
    kinds = random.choice(len(_KINDS), rows, p=[kind[0] for kind in _KINDS])
    draw = lambda place, how: how(*(np.array([kind[place][i] for kind in _KINDS])[kinds] for i in (0, 1)))
    fwd, bwd = (draw(place, random.integers) for place in (1, 2))
    sizes = [np.clip(draw(place, random.normal), 42, 1514).round() for place in (3, 4)]
    of_kind = lambda place: np.array([kind[place] for kind in _KINDS])[kinds]
    packets = fwd + bwd
    duration = np.where(packets > 1, of_kind(5) * random.lognormal(0, .8, rows) * (packets - 1), 0).round(6)
    total = fwd * sizes[0] + bwd * sizes[1]
    gap = np.where(packets > 1, duration / np.maximum(packets - 1, 1), 0)
    deviation = np.where(packets > 2, gap * of_kind(6) * random.lognormal(0, .4, rows), 0)
    start = 1700000000 + np.sort(random.uniform(0, 3600, rows))
    columns = dict.fromkeys(COLUMNS_82, 0) | {
        "src_ip": [f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in random.integers(0, 1 << 24, rows).tolist()],
        "dst_ip": [f"192.0.2.{n}" for n in random.integers(1, 255, rows).tolist()],
        "src_port": random.integers(1024, 65536, rows), "dst_port": of_kind(7), "protocol": np.where(of_kind(7) == 53, 17, 6),
        "timestamp": pd.to_datetime((start * 1e6).astype("int64"), unit="us").astype(str),
        "flow_duration": duration, "flow_byts_s": np.where(duration > 0, total / np.maximum(duration, 1e-6), 0),
        "flow_pkts_s": np.where(duration > 0, packets / np.maximum(duration, 1e-6), 0),
        "tot_fwd_pkts": fwd, "tot_bwd_pkts": bwd, "totlen_fwd_pkts": fwd * sizes[0], "totlen_bwd_pkts": bwd * sizes[1],
        "flow_iat_mean": gap, "flow_iat_std": deviation, "pkt_size_avg": total / packets, "pkt_len_mean": total / packets,
        "pkt_len_max": np.where(bwd > 0, np.maximum(*sizes), sizes[0]),
        "pkt_len_min": np.where(bwd > 0, np.minimum(*sizes), sizes[0])}
    for way, count, size in (("fwd", fwd, sizes[0]), ("bwd", bwd, sizes[1])):
        columns |= {f"{way}_pkt_len_{what}": np.where(count > 0, size, 0) for what in ("mean", "max", "min")}
    return pd.DataFrame(columns, copy=False)


def main():
    if len(sys.argv) not in (2, 3) or not all(argument.isdigit() for argument in sys.argv[1:]):
        sys.exit(__doc__)
    rows, seed = int(sys.argv[1]), int((*sys.argv, 1)[2])
    for first in range(0, max(rows, 1), _AT_ONCE):
        part = table(min(_AT_ONCE, rows - first), seed + first)
        part.to_csv(sys.stdout, index=False, header=first == 0, lineterminator="\n")


if __name__ == "__main__":
    main()
