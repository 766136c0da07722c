# SPDX-License-Identifier: BSD-3-Clause
"""The tables, as (header, rows), and the writing of files: each is written completely or not at all."""
import contextlib
import csv
import itertools
import os
import secrets
from typing import NamedTuple

import numpy as np
import pandas as pd

from . import classes, flows
from .analysis import KEY_FEATURES


@contextlib.contextmanager
def replacing(path, mode="w"):
    """A file that replaces the one at path if the block succeeds, and is deleted if it fails."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}.{secrets.token_hex(4)}.tmp")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with open(temporary, mode.replace("w", "x"), **text) as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def write(path, table):
    header, rows = table
    with replacing(path) as file:
        csv.writer(file, lineterminator="\n").writerows([header, *(map(str, row) for row in rows)])


class Real(NamedTuple):
    """A cell that is a number; its text has so many decimals, or is empty if the number is not known."""
    value: float
    decimals: int

    def __str__(self):
        return f"{self.value:.{self.decimals}f}" if np.isfinite(self.value) else ""


def fixed(value, decimals):
    return Real(np.nan if value is None else float(value), decimals)


def frame(table):
    """The table as a DataFrame, with its numbers as they are, not rounded."""
    header, rows = table
    return pd.DataFrame([[cell.value if isinstance(cell, Real) else cell for cell in row] for row in rows], columns=list(header))


def _mean(values):
    return float(np.nanmean(values)) if np.any(~np.isnan(values)) else None


def _reduced(reduce, values):
    return float(reduce.reduce(values)) if len(values) else None


def _total(values):
    """A sum of counts; nothing if none of them is known."""
    return fixed(None if len(values) and np.isnan(values).all() else np.nansum(values), 0)


def summary(a):
    duration = a.columns["flow_duration"]
    return ("Metric", "Value"), [
        ("Total Flows", a.flows),
        ("Unique Source IPs", a.unique["src_ip"]),
        ("Unique Destination IPs", a.unique["dst_ip"]),
        ("Mean Flow Duration (s)", fixed(_mean(duration), 4)),
        ("Max Flow Duration (s)", fixed(_reduced(np.fmax, duration), 4)),
        ("Min Flow Duration (s)", fixed(_reduced(np.fmin, duration), 4)),
        ("Mean Packet Size (bytes)", fixed(_mean(a.columns["pkt_size_avg"]), 2)),
        ("Mean Throughput (bytes/s)", fixed(_mean(a.columns["flow_byts_s"]), 2)),
    ]


def packet_sizes(a):
    def row(direction, means, prefix):
        ends = [a.extremes.get(f"{prefix}pkt_len_{what}", np.nan) for what in ("max", "min")]
        return direction, fixed(_mean(means), 2), *(fixed(end, 0 if end == end and end == round(end) else 2) for end in ends)

    columns = a.columns
    return ("Direction", "Mean (bytes)", "Max (bytes)", "Min (bytes)"), [
        row("Forward", columns["fwd_pkt_len_mean"][columns["tot_fwd_pkts"] > 0], "fwd_"),
        row("Backward", columns["bwd_pkt_len_mean"][columns["tot_bwd_pkts"] > 0], "bwd_"),
        row("Overall", columns["pkt_size_avg"], ""),
    ]


def strong_correlations(a, threshold):
    names, r = a.correlation.matrix()
    pairs = [(names[i], names[j], r[i, j]) for i, j in itertools.combinations(range(len(names)), 2) if abs(r[i, j]) > threshold]
    pairs.sort(key=lambda pair: (-round(abs(pair[2]), 4), pair[:2]))  # as it is written: what looks equal is in order of name
    return ("Feature 1", "Feature 2", "Correlation"), [(one, other, fixed(value, 4)) for one, other, value in pairs]


def report(a):
    columns = a.columns
    most_common = max(a.types, key=a.types.get) if a.flows else ""  # the first of equals
    intervals = columns["flow_iat_mean"][columns["is_periodic"] == 1]
    return ("Metric", "Value"), [
        ("Total Flows", a.flows),
        ("Unique Source IPs", a.unique["src_ip"]),
        ("Unique Destination IPs", a.unique["dst_ip"]),
        ("Average Flow Duration (s)", fixed(_mean(columns["flow_duration"]), 4)),
        ("Average Throughput (bytes/s)", fixed(_mean(columns["flow_byts_s"]), 2)),
        ("Average Packet Size (bytes)", fixed(_mean(columns["pkt_size_avg"]), 2)),
        ("Total Forward Packets", _total(columns["tot_fwd_pkts"])),
        ("Total Backward Packets", _total(columns["tot_bwd_pkts"])),
        ("Most Common Flow Type", most_common),
        ("Periodic Flows", a.periodic),
        ("Non-Periodic Flows", a.flows - a.periodic),
        ("Periodic Mean Interval (s)", fixed(_mean(intervals), 4)),
        *((f"Flow Type: {name}", count) for name, count in a.types.items()),
        *((f"Timing: {name}", count) for name, count in a.timings.items()),
        *((f"Pattern: {name}", count) for name, count in a.patterns.items()),
    ]


def compared(a):
    """[(metric, value or None, decimals)]: what comparison() puts side by side."""
    out = [("Total Flows", a.flows, 0)]
    for name in KEY_FEATURES:
        known = a.columns[name][~np.isnan(a.columns[name])]
        out += [(f"Mean {name}", float(known.mean()) if len(known) else None, 6),
                (f"Median {name}", float(np.median(known)) if len(known) else None, 6)]
    for kind, of_kind in (("Flow Type: ", a.types), ("Timing: ", a.timings), ("Pattern: ", a.patterns),
                          ("", {"Periodic": a.periodic})):
        out += [(f"{kind}{name} (%)", 100 * count / a.flows if a.flows else None, 2) for name, count in of_kind.items()]
    return out


def comparison(ours, others):
    rows = []
    for (metric, x, decimals), (_, y, _) in zip(ours, others):
        difference = None if x is None or y is None else y - x
        relative = None if difference is None or x == 0 else 100 * difference / x
        rows.append((metric, *(fixed(value, decimals) for value in (x, y, difference)), fixed(relative, 2)))
    return ("Metric", "Input", "Other", "Difference", "Relative (%)"), rows


class Table(NamedTuple):
    caption: str
    content: tuple  # (header, rows)
    numbers: set  # indices of the columns of numbers


def every(a, threshold, other=None):
    """{name of its file: Table}, in the order of the page. other: (name, compared()) of other flows."""
    named = {"summary_report": Table("All flows", report(a), {1}),
             "summary_statistics": Table("Flows and rates", summary(a), {1}),
             "packet_size_summary": Table("Packet sizes", packet_sizes(a), {1, 2, 3}),
             "strong_correlations": Table(f"Correlations beyond ±{threshold:g}", strong_correlations(a, threshold), {2})}
    if other:
        name, values = other
        named["comparison"] = Table(f"Compared with {name}", comparison(compared(a), values), {1, 2, 3, 4})
    return named


class ClassifiedFlows:
    """Writes the rows unchanged, with their classes appended; columns of these names that the input already has are dropped.
    A write error is kept in `error`. It ends the writing, but not the reading of the rows."""

    def __init__(self, path, titles):
        self.error = None
        self._output = replacing(path)
        self._stays = [i for i, name in enumerate(titles) if name.strip() not in classes.COLUMNS]
        self._all_stay = len(self._stays) == len(titles)
        self._header = flows.line_of([titles[i] for i in self._stays] + list(classes.COLUMNS)) + "\n"
        # One text for each combination of classes: some hundred, looked up by one number per flow.
        names = [(*classes.FLOW_TYPES, ""), (*classes.TIMINGS, ""), (*classes.PATTERNS, ""), ("False", "True")]
        self._radix = [len(of_kind) for of_kind in names]
        self._endings = [f",{','.join(of_flow)}\n" for of_flow in itertools.product(*names)]

    def _attempt(self, step, *arguments):
        try:
            step(*arguments)
        except OSError as error:
            self.error = error
            with contextlib.suppress(OSError):  # at once: a full disk may then take the smaller files
                self._output.__exit__(type(error), error, None)

    def __enter__(self):
        self._attempt(self._open)
        return self

    def __exit__(self, *raised):
        if self.error is None:
            self._attempt(self._output.__exit__, *raised)

    def _open(self):
        self._file = self._output.__enter__()
        self._file.write(self._header)

    def add(self, rows, codes):
        if self.error is None:
            self._attempt(self._write, rows, codes)

    def _write(self, rows, codes):
        if not self._all_stay:
            rows = [flows.line_of([cells[i] for i in self._stays]) for cells in map(flows.cells_of, rows)]
        endings = self._endings
        chosen = np.ravel_multi_index([code.astype(np.intp) for code in codes], self._radix).tolist()
        self._file.writelines(row + endings[which] for row, which in zip(rows, chosen))
