# SPDX-License-Identifier: BSD-3-Clause
"""Classes, statistics, correlations and plots of flows (docs/analyzer.md). Needs pandas, and matplotlib for plots.

    from flowmeter import analysis

    result = analysis.analyze("flows.csv")     # or a DataFrame, an Arrow table, flowmeter.read("x.pcap")
    result                                     # <FlowAnalysis of flows.csv: 334 flows; Quick Request 120, …>
    frame.join(result.classes)                 # the classes of each flow of a DataFrame
    result.summary
    result.figure("flow_classification")
"""
from __future__ import annotations

import html
import os
from typing import TYPE_CHECKING, Any, Literal

from .classes import Limits

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas

    from .._tables import Source

__all__ = ["FIGURES", "FlowAnalysis", "Limits", "analyze"]

FIGURES = ("flow_classification", "timing_analysis", "packet_size_analysis", "periodic_traffic", "correlation_heatmap",
           "traffic_timeline")
"""The names of the plots."""


class FlowAnalysis:
    """What analyze() has found."""

    def __init__(self, result: Any, name: str, index: Any, correlation: float, other: tuple[str, Any] | None,
                 remarks: list[str]) -> None:
        from . import tables

        self._result, self._name, self._index, self._correlation = result, name, index, correlation
        self._tables = tables.every(result, correlation, other)
        self.remarks = remarks
        """What affects the results: cells that are not numbers, time stamps that are not understood, …"""

    @property
    def flows(self) -> int:
        """The number of flows."""
        return int(self._result.flows)

    @property
    def limits(self) -> Limits:
        """The limits that separate the classes."""
        limits: Limits = self._result.limits
        return limits

    @property
    def classes(self) -> pandas.DataFrame:
        """The classes of each flow, in order: flow_type, timing_category, traffic_pattern, is_periodic. The index is that of
        the DataFrame that was analysed. A class is missing if its quantity is not known."""
        import pandas

        from .classes import FLOW_TYPES, PATTERNS, TIMINGS

        codes = self._result.columns
        columns: dict[str, Any] = {}
        for name, names in (("flow_type", FLOW_TYPES), ("timing_category", TIMINGS), ("traffic_pattern", PATTERNS)):
            known = codes[name].copy()
            known[known == len(names)] = -1
            columns[name] = pandas.Categorical.from_codes(known, categories=list(names))
        columns["is_periodic"] = codes["is_periodic"] == 1
        return pandas.DataFrame(columns, index=self._index)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of flows in each class, by kind of class."""
        a = self._result
        return {"flow_type": dict(a.types), "timing_category": dict(a.timings), "traffic_pattern": dict(a.patterns),
                "is_periodic": {"Periodic": a.periodic, "Not periodic": a.flows - a.periodic}}

    def _frame(self, name: str) -> pandas.DataFrame:
        from . import tables

        frame: pandas.DataFrame = tables.frame(self._tables[name].content)
        return frame

    @property
    def summary(self) -> pandas.DataFrame:
        """Flows, addresses, duration, packet size, throughput."""
        return self._frame("summary_statistics").set_index("Metric")

    @property
    def report(self) -> pandas.DataFrame:
        """Totals, and the number of flows in each class."""
        return self._frame("summary_report").set_index("Metric")

    @property
    def packet_sizes(self) -> pandas.DataFrame:
        """Mean, largest and smallest packet size forward, backward and overall, in bytes."""
        return self._frame("packet_size_summary").set_index("Direction")

    @property
    def strong_correlations(self) -> pandas.DataFrame:
        """The pairs of columns whose correlation is stronger than the threshold, the strongest first."""
        return self._frame("strong_correlations")

    @property
    def correlations(self) -> pandas.DataFrame:
        """Pearson's r of all pairs of columns; NaN where a column is constant or too few cells are known."""
        import pandas

        names, r = self._result.correlation.matrix()
        return pandas.DataFrame(r, index=names, columns=names)

    @property
    def comparison(self) -> pandas.DataFrame | None:
        """Means, medians and shares beside those of the other flows; None without other flows."""
        return self._frame("comparison").set_index("Metric") if "comparison" in self._tables else None

    def figure(self, name: str) -> matplotlib.figure.Figure:
        """A plot; FIGURES lists their names. Needs matplotlib."""
        from .. import interpreter

        if name not in FIGURES:
            raise ValueError(f"no figure {name!r}: the figures are {', '.join(FIGURES)}")
        interpreter.check("analysis", "matplotlib")
        from . import plots

        figure: matplotlib.figure.Figure = plots.PICTURES[name + ".png"](self._result)
        return figure

    def figures(self) -> dict[str, matplotlib.figure.Figure]:
        """All plots, by name."""
        return {name: self.figure(name) for name in FIGURES}

    def html(self, *, plots: bool = True, dpi: int = 100) -> str:
        """Everything as one self-contained page."""
        from . import page

        pictures = []
        if plots:
            figures = self.figures()
            from .plots import png_of

            pictures = [(name.replace("_", " "), png_of(figure, dpi)) for name, figure in figures.items()]
        return str(page.page(self._name, self._result, self._tables.values(), pictures, self.remarks))

    def _counts(self) -> str:
        return ", ".join(f"{name} {count:,}" for name, count in self.counts["flow_type"].items() if count)

    def __repr__(self) -> str:
        types = self._counts()
        return f"<FlowAnalysis of {self._name}: {self.flows:,} flows" + f"; {types}" * bool(types) + ">"

    def _repr_html_(self) -> str:
        from . import page

        notes = "".join(f"<p>{html.escape(remark)}</p>" for remark in self.remarks)
        return f"<p>{html.escape(self._name)}: {self.flows:,} flows</p>{notes}{page.classes_table(self._result)}"


def _source(flows: Source) -> Any:
    from .. import _tables
    from . import flows as reading

    if isinstance(flows, (str, os.PathLike)):
        os.stat(flows)  # Python's own error if it is not there
        return reading.FlowFile(os.fspath(flows)), None
    frame = _tables.frame_of(flows)
    return reading.FlowTable(frame, _tables.name_of(flows)), frame.index


def _analyzed(flows: Source, limits: Limits, correlate_all: bool, remarks: list[str]) -> tuple[Any, str, Any]:
    import contextlib

    import numpy

    from . import analysis

    of, index = _source(flows)
    result = analysis.Analysis(limits, correlate_all)
    with contextlib.closing(of) as source, numpy.errstate(all="ignore"):
        for piece in source.pieces():
            result.add(*source.cells(piece, correlate_all))
        result.finish()
    remarks.extend(result.remarks_on(source))
    return result, source.path, index


def analyze(flows: Source, other: Source | None = None, *, limits: Limits = Limits(), correlation: float = 0.7,
            correlate: Literal["key", "all"] = "key") -> FlowAnalysis:
    """Classifies flows and computes statistics about them.

    flows: the path of a CSV (also .gz), a DataFrame, an Arrow table, or an iterable of flows, such as flowmeter.read(…). It
    has the cic82 or realtime97 features, or those of the Python or the Java CICFlowMeter.
    other: flows that `comparison` compares with.
    limits: the limits that separate the classes, for example Limits(bulk_packets=20).
    correlation: the threshold of strong_correlations.
    correlate: correlate the eight key features, or all numeric columns.

    Raises ValueError, which names them, if columns that the analysis needs are missing; OSError if a file cannot be read.
    """
    from .. import interpreter

    if correlate not in ("key", "all"):
        raise ValueError(f"correlate is 'key' or 'all', not {correlate!r}")
    interpreter.check("analysis", "numpy", "pandas")
    import numpy

    from . import tables

    remarks: list[str] = []
    with numpy.errstate(all="ignore"):
        compared = None
        if other is not None:
            of_other, name, _ = _analyzed(other, limits, False, remarks)
            compared = name, tables.compared(of_other)
        result, name, index = _analyzed(flows, limits, correlate == "all", remarks)
        return FlowAnalysis(result, name, index, correlation, compared, remarks)
