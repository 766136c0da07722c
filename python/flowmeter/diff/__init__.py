# SPDX-License-Identifier: BSD-3-Clause
"""Compares the flows of two tables and says why they differ (docs/diff.md). Needs the standard library only.

    from flowmeter import diff

    difference = diff.compare("correct.csv", "java.csv", capture="x.pcap")
    difference                          # <Comparison of correct.csv and java.csv: 334 matched pairs, 61 of 82 columns differ, …>
    difference.columns["flow_duration"].why
    print(difference.text())
"""
from __future__ import annotations

import datetime
import html
import os
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas

    from .._tables import Source

__all__ = ["Alone", "Column", "Comparison", "Unexplained", "compare"]


class Column(NamedTuple):
    """How the cells of one column compare, over all matched pairs of rows."""
    name: str
    unit: str
    """The unit of the differences below, whichever units the tables have."""
    equal: int
    different: int
    unexplained: int
    """How many of the different cells no rule explains."""
    largest_absolute: float
    largest_relative: float
    why: list[str]
    """The rules that explain different cells, each with its number of cells, the most frequent first."""


class Unexplained(NamedTuple):
    """A pair of cells that differ and that no rule explains."""
    column: str
    a: str
    b: str
    row_a: int
    """The row's line in its file (the header is line 1), or its position in another table, from 0."""
    row_b: int


class Alone(NamedTuple):
    """A row that has no partner in the other table."""
    side: str
    """"A" or "B"."""
    row: int
    """As in Unexplained."""
    flow: dict[str, str]
    why: list[str]
    """The rules that explain it; empty if none does."""
    whole: bool
    """False if the other table has this flow within another row."""


class Comparison:
    """What compare() has found. Its repr counts; text(), csv() and html() report everything."""

    def __init__(self, result: Any) -> None:
        self._result = result

    @property
    def equal(self) -> bool:
        """All rows have a partner, and all cells of the common columns are equal."""
        return not self._result.sides and not any(column.different for column in self._result.columns.values())

    @property
    def explained(self) -> bool:
        """Rules explain every difference."""
        return not self._result.unexplained()

    @property
    def pairs(self) -> int:
        """The number of matched pairs of rows."""
        return len(self._result.pairs)

    @property
    def columns(self) -> dict[str, Column]:
        """The columns that both tables have."""
        from . import columns, report

        return {name: Column(name, columns.COLUMNS[name].unit, c.equal, c.different, len(c.unexplained), c.largest_absolute,
                             c.largest_relative, report.why(c))
                for name, c in self._result.columns.items()}

    @property
    def different(self) -> list[str]:
        """The names of the columns in which a pair differs."""
        return [name for name, column in self._result.columns.items() if column.different]

    @property
    def unexplained(self) -> list[Unexplained]:
        """The cells that no rule explains."""
        return [Unexplained(c.column, c.a.text[c.column], c.b.text[c.column], c.a.line, c.b.line)
                for column in self._result.columns.values() for c in column.unexplained]

    @property
    def alone(self) -> list[Alone]:
        """The rows without a partner."""
        return [Alone(s.side, s.row.line, dict(s.row.text), list(s.rules), s.whole) for s in self._result.sides]

    @property
    def remarks(self) -> list[str]:
        """What affects the result as a whole: columns of one table only, rows that do not follow from the capture, …"""
        from . import report

        return list(report.remarks(self._result))

    def frame(self) -> pandas.DataFrame:
        """One row per common column, as in `columns`."""
        import pandas

        frame = pandas.DataFrame(list(self.columns.values()), columns=list(Column._fields))
        return frame.assign(why=["; ".join(rules) for rules in frame["why"]]).set_index("name")

    def text(self) -> str:
        """The report that the program flowmeter-diff prints."""
        from . import report

        return str(report.text(self._result))

    def csv(self) -> str:
        """The report as CSV: columns, rows without a partner, cells without explanation."""
        from . import report

        return str(report.table(self._result))

    def html(self) -> str:
        """The report as one self-contained page with plots."""
        from . import report

        return str(report.page(self._result))

    def _summary(self) -> str:
        a, b = self._result.a.path, self._result.b.path
        different, common = len(self.different), len(self._result.columns)
        cells, rows = len(self.unexplained), sum(not alone.why for alone in self.alone)
        columns = f"{different} of {common} columns differ" if different else f"all {common} columns are equal"
        return (f"{a} and {b}: {self.pairs} matched pairs, {columns}, {len(self.alone)} rows without a partner; "
                f"without explanation: {cells} cells, {rows} rows")

    def __repr__(self) -> str:
        return f"<Comparison of {self._summary()}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{column.name}<td>{html.escape(column.unit)}<td>{column.equal}<td>{column.different}<td>{column.unexplained}"
            f"<td>{column.largest_absolute:.4g}<td style='text-align: left'>{'<br>'.join(map(html.escape, column.why[:4]))}</tr>"
            for column in self.columns.values() if column.different)
        head = "<tr><th>column<th>unit<th>equal<th>different<th>unexplained<th>largest<th>why (cells)</tr>"
        notes = "".join(f"<p>{html.escape(remark)}</p>" for remark in self.remarks)
        return f"<p>{html.escape(self._summary())}</p>{notes}" + (f"<table>{head}{rows}</table>" if rows else "")


def _text(cell: object) -> str:
    """A cell as the programs write it."""
    if isinstance(cell, datetime.datetime):
        if cell.tzinfo is not None:
            cell = cell.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        elif not cell.microsecond:  # of a program that writes whole seconds
            return cell.isoformat(" ", "seconds")
        return cell.isoformat(" ", "microseconds")
    return "" if cell is None else str(cell)


def _table(source: Source) -> Any:
    from .. import _tables
    from . import columns, table

    if isinstance(source, (str, os.PathLike)):
        return table.read(os.fspath(source))
    names, rows = _tables.rows_of(source)
    if not names:
        return table.Table(_tables.name_of(source), columns.CORRECT, [], [], [])
    texts = ((number, [_text(cell) for cell in row]) for number, row in enumerate(rows))
    return table.table_of(_tables.name_of(source), list(map(str, names)), texts, line="row")


def compare(a: Source, b: Source, capture: str | os.PathLike[str] | None = None) -> Comparison:
    """Matches the flows of two tables, compares their cells, and finds the rules that explain the differences.

    a, b: the path of a CSV (also .gz), a DataFrame, an Arrow table, or an iterable of flows, such as flowmeter.read(…). They
    may come from this meter in any mode, the Python cicflowmeter or the Java CICFlowMeter; the names of the columns and the
    time stamps show which. Time stamps without a zone are UTC.
    capture: the path of the capture from which both were made. With it, flows are matched by their packets, and a difference
    counts as explained only if rules lead exactly from one cell to the other.

    Raises ValueError if a table lacks a column that is needed to match flows, or cannot be compared; OSError if a file cannot
    be read.
    """
    from . import comparison, table

    of_capture = table.capture(os.fspath(capture)) if capture is not None else None
    return Comparison(comparison.compare(_table(a), _table(b), of_capture))
