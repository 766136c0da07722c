# SPDX-License-Identifier: BSD-3-Clause
"""What is known of all flows after one pass over the file: the columns that plots and statistics need, classes, extremes,
correlations. Some 100 bytes a flow stay in memory; extremes, addresses and correlations are gathered on the way."""
import collections

import numpy as np
import pandas as pd

from . import classes, flows

KEY_FEATURES = ("flow_duration", "pkt_size_avg", "flow_byts_s", "flow_iat_mean", "tot_fwd_pkts", "tot_bwd_pkts",
                "fwd_pkt_len_mean", "bwd_pkt_len_mean")
_KEPT = (*KEY_FEATURES, "flow_iat_std")
_LEAST_PAIRS = 3


class Correlation:
    """Pearson's r of all pairs of columns, over the rows where both are numbers, from sums.

    The sums are taken from the first number of each column, which is exact for a constant column and loses no more than
    the number of rows times the precision otherwise."""

    def __init__(self):
        self.names = []
        self._origin = self._count = self._sum = self._squares = self._products = None

    def add(self, columns):
        """columns: {name: values}, the same names each time."""
        values = np.column_stack(list(columns.values()))
        if self._origin is None:
            self.names = list(columns)
            shape = (len(self.names),) * 2
            self._origin = np.full(len(self.names), np.nan)
            self._count, self._sum, self._squares, self._products = (np.zeros(shape) for _ in range(4))
        there = ~np.isnan(values)
        for i in np.flatnonzero(np.isnan(self._origin) & there.any(axis=0)):
            self._origin[i] = values[there[:, i].argmax(), i]
        values = np.where(there, values - self._origin, 0)
        there = there.astype(float)
        self._count += there.T @ there
        self._sum += values.T @ there  # [i, j]: of i, where j is a number too
        self._squares += (values * values).T @ there
        self._products += values.T @ values

    def matrix(self):
        """(names, r); NaN where there is no r."""
        if self._origin is None:
            return [], np.empty((0, 0))
        with np.errstate(all="ignore"):
            n = self._count
            spread = self._squares - self._sum * self._sum / n
            spread[~(spread > 1e-13 * self._squares)] = np.nan  # constant, but for rounding
            r = (self._products - self._sum * self._sum.T / n) / np.sqrt(spread * spread.T)
        r[n < _LEAST_PAIRS] = np.nan
        return self.names, np.clip(r, -1, 1)


class Analysis:
    """Use: add() each piece, then finish()."""

    def __init__(self, limits, correlate_all=False):
        self.limits = limits
        self.correlate_all = correlate_all
        self.flows = 0
        self.correlation = Correlation()
        self.not_numbers = collections.Counter()  # column: cells
        self.unparsed_times = 0
        self.extremes = {}  # column: its least or greatest value, of the flows that have packets that way
        self._pieces = collections.defaultdict(list)
        self._addresses = {name: [] for name in flows.ADDRESSES}

    def add(self, texts, numbers, others):
        """The codes of the piece's flows: type, timing, pattern, periodic."""
        self.flows += len(numbers["flow_duration"])
        for name, values in numbers.items():
            if bad := int(np.isnan(values).sum()):
                self.not_numbers[name] += bad
        for name in _KEPT:
            self._pieces[name].append(numbers[name])
        for name, seen in self._addresses.items():
            # By a hash of 64 bits: the addresses of 10 million flows would not be small as texts.
            seen.append(pd.util.hash_array(texts[name].dropna().unique()))
        if "timestamp" in texts:
            times = flows.seconds_of(texts["timestamp"])
            self.unparsed_times += int(np.isnan(times).sum())
            self._pieces["time"].append(times)
        for way, packets in (("fwd_", "tot_fwd_pkts"), ("bwd_", "tot_bwd_pkts"), ("", None)):
            there = numbers[packets] > 0 if packets else slice(None)
            for what, reduce in (("min", np.fmin), ("max", np.fmax)):
                name = f"{way}pkt_len_{what}"
                self.extremes[name] = reduce.reduce(numbers[name][there], initial=self.extremes.get(name, np.nan))
        self.correlation.add(others if self.correlate_all else {name: numbers[name] for name in KEY_FEATURES})
        codes = (classes.flow_type(numbers, self.limits), classes.timing(numbers, self.limits), classes.pattern(numbers),
                 classes.periodic(numbers, self.limits))
        for name, of_piece in zip(classes.COLUMNS, codes):
            self._pieces[name].append(of_piece)
        return codes

    def finish(self):
        self.columns = {}
        for name in (*_KEPT, *classes.COLUMNS, "time"):
            parts = self._pieces.pop(name, [])  # one column at a time is in memory twice
            self.columns[name] = np.concatenate(parts) if parts else np.empty(0, np.int8 if name in classes.COLUMNS else float)
        self.unique = {name: len(np.unique(np.concatenate(seen))) if seen else 0 for name, seen in self._addresses.items()}
        self._addresses = {}
        self.types = classes.counts(self.columns["flow_type"], classes.FLOW_TYPES)
        self.timings = classes.counts(self.columns["timing_category"], classes.TIMINGS)
        self.patterns = classes.counts(self.columns["traffic_pattern"], classes.PATTERNS)
        self.periodic = int(np.count_nonzero(self.columns["is_periodic"]))
        return self

    def class_count(self, kind, name):
        return {"Flow type": self.types, "Timing": self.timings, "Pattern": self.patterns,
                "Periodic": {"Periodic": self.periodic}}[kind][name]
