# SPDX-License-Identifier: BSD-3-Clause
"""The results of one pass over the file: the columns that plots and statistics need, classes, extremes and correlations.
About 100 bytes per flow stay in memory; extremes, addresses and correlations are updated during the pass."""
import collections

import numpy as np
import pandas as pd

from . import classes, classify, flows

KEY_FEATURES = ("flow_duration", "pkt_size_avg", "flow_byts_s", "flow_iat_mean", "tot_fwd_pkts", "tot_bwd_pkts",
                "fwd_pkt_len_mean", "bwd_pkt_len_mean")
_KEPT = (*KEY_FEATURES, "flow_iat_std")
_LEAST_PAIRS = 3


class Correlation:
    """Pearson's r of all pairs of columns, over the rows where both are numbers.

    Each pair has its own means and squared deviations, and those of two sets of rows are merged (Chan, Golub and LeVeque).
    Sums relative to one common origin would lose precision for pairs that are far from it. The deviation of a constant
    column is exactly 0."""

    def __init__(self):
        self.names = []
        self._count = self._mean = self._squares = self._products = None  # [i, j]: of i, where j is a number too

    def add(self, columns):
        """columns: {name: values}, the same names each time."""
        values = np.column_stack(list(columns.values()))
        if self._count is None:
            self.names = list(columns)
            self._count, self._mean, self._squares, self._products = np.zeros((4, len(self.names), len(self.names)))
        there = ~np.isnan(values)
        if there.all():
            self._merge(values, np.ix_(there[0], there[0]))
            return
        patterns, of_row, rows = np.unique(there, axis=0, return_inverse=True, return_counts=True)
        places = np.split(np.argsort(of_row, kind="stable"), np.cumsum(rows)[:-1])
        for pattern, at in zip(patterns, places):  # rows with numbers in the same columns
            self._merge(values[at][:, pattern], np.ix_(pattern, pattern))

    def _merge(self, rows, there):
        mean = rows[0] + (rows - rows[0]).mean(axis=0)  # exact for a constant
        rows = rows - mean
        products = rows.T @ rows
        before, n = self._count[there], len(rows)
        apart = mean[:, np.newaxis] - self._mean[there]
        share = n / (before + n)  # 1 at first, so that a constant is its own mean
        self._mean[there] += apart * share
        self._squares[there] += np.diag(products)[:, np.newaxis] + apart * apart * before * share
        self._products[there] += products + apart * apart.T * before * share
        self._count[there] += n

    def matrix(self):
        """(names, r); NaN where there is no r."""
        if self._count is None:
            return [], np.empty((0, 0))
        with np.errstate(all="ignore"):
            r = self._products / np.sqrt(self._squares) / np.sqrt(self._squares.T)  # 0 / 0 of a constant: NaN
        r[self._count < _LEAST_PAIRS] = np.nan
        return self.names, np.clip(r, -1, 1)


class Analysis:
    """Usage: add() each piece, then finish()."""

    def __init__(self, limits, correlate_all=False):
        self.limits = limits
        self.correlate_all = correlate_all
        self.flows = 0
        self.correlation = Correlation()
        self.not_numbers = collections.Counter()  # column: cells
        self.unparsed_times = 0
        self.extremes = {}  # column: its minimum or maximum over the flows that have packets in this direction
        self._pieces = collections.defaultdict(list)
        self._addresses = {name: [] for name in flows.ADDRESSES}

    def add(self, texts, numbers, others):
        """Adds the flows of a piece and returns their codes: type, timing, pattern, periodic."""
        self.flows += len(numbers["flow_duration"])
        for name, values in numbers.items():
            if bad := int(np.isnan(values).sum()):
                self.not_numbers[name] += bad
        for name in _KEPT:
            self._pieces[name].append(numbers[name])
        for name, seen in self._addresses.items():
            # A 64-bit hash, because the texts of the addresses of 10 million flows would take too much memory.
            seen.append(pd.util.hash_array(np.asarray(texts[name].dropna().unique(), dtype=object)))
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
        codes = (classify.flow_type(numbers, self.limits), classify.timing(numbers, self.limits), classify.pattern(numbers),
                 classify.periodic(numbers, self.limits))
        for name, of_piece in zip(classes.COLUMNS, codes):
            self._pieces[name].append(of_piece)
        return codes

    def finish(self):
        self.columns = {}
        for name in (*_KEPT, *classes.COLUMNS, "time"):
            parts = self._pieces.pop(name, [])  # only one column at a time is in memory twice
            self.columns[name] = np.concatenate(parts) if parts else np.empty(0, np.int8 if name in classes.COLUMNS else float)
        self.unique = {name: len(np.unique(np.concatenate(seen))) if seen else 0 for name, seen in self._addresses.items()}
        self._addresses = {}
        self.types = classify.counts(self.columns["flow_type"], classes.FLOW_TYPES)
        self.timings = classify.counts(self.columns["timing_category"], classes.TIMINGS)
        self.patterns = classify.counts(self.columns["traffic_pattern"], classes.PATTERNS)
        self.periodic = int(np.count_nonzero(self.columns["is_periodic"]))
        return self

    def remarks_on(self, source):
        """Notes about the source of the flows that affect the results."""
        if source.layout and source.layout.remark:
            yield f"{source.path}: {source.layout.remark}"
        if source.skipped:
            yield f"{source.path}: {source.skipped:,} rows have a number of fields other than the header's and are left out"
        if self.not_numbers:
            cells = ", ".join(f"{name} {count:,}" for name, count in self.not_numbers.items())
            yield f"{source.path}: cells that are not finite numbers are left out: {cells}"
        if self.unparsed_times == self.flows > 0:
            yield f"{source.path}: no usable timestamp: the plots show rows by their number"
        elif self.unparsed_times:
            yield f"{source.path}: {self.unparsed_times:,} timestamps are not understood; their rows are not in plots over time"
        if not self.flows:
            yield f"{source.path}: no flows"

    def class_count(self, kind, name):
        return {"Flow type": self.types, "Timing": self.timings, "Pattern": self.patterns,
                "Periodic": {"Periodic": self.periodic}}[kind][name]
