# SPDX-License-Identifier: BSD-3-Clause
"""Reads a CSV of flows, once and in pieces, so that memory does not grow with the number of its columns.

Rows whose number of fields differs from the header's are not passed to pandas, because pandas would fill up a short row. The
text of the rows is passed on unchanged. Only the cells of the needed columns become numbers, with the names and units of the
82 columns (seconds, bytes), whatever names and units the file has.
"""
import collections
import contextlib
import csv
import gzip
import io
import itertools
import os
import sys
import zlib
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..models import captures

ROWS = 50_000  # per piece: some tens of MB of text
_PANDAS = tuple(int(part) for part in pd.__version__.split(".")[:2])
# pandas 1 parses each time stamp by itself; from version 2 on, all must have the form of the first unless told otherwise.
_ISO = None if _PANDAS < (2, 0) else "ISO8601"
# From 3.1 on, pandas always reads numbers exactly, and this argument is deprecated.
EXACT = {"float_precision": "round_trip"} if _PANDAS < (3, 1) else {}
_RECORD_LINES = 100  # a quotation mark that is still open after so many lines does not start a quoted cell

ADDRESSES = ("src_ip", "dst_ip")
NUMBERS = ("flow_duration", "tot_fwd_pkts", "tot_bwd_pkts", "totlen_bwd_pkts", "pkt_size_avg", "flow_byts_s", "flow_iat_mean",
           "flow_iat_std", "fwd_pkt_len_mean", "fwd_pkt_len_max", "fwd_pkt_len_min", "bwd_pkt_len_mean", "bwd_pkt_len_max",
           "bwd_pkt_len_min", "pkt_len_max", "pkt_len_min")
NEEDED = ADDRESSES + NUMBERS
TEXTS = (*ADDRESSES, "timestamp")

# The columns that realtime97 and the Java program have in common.
_TITLED = {"src_ip": "Src IP", "dst_ip": "Dst IP", "timestamp": "Timestamp", "flow_duration": "Flow Duration",
           "pkt_size_avg": "Average Packet Size", "flow_byts_s": "Flow Bytes/s", "flow_iat_mean": "Flow IAT Mean",
           "flow_iat_std": "Flow IAT Std"}
_TITLED |= {f"{way}_pkt_len_{what}": f"{way.title()} Packet Length {what.title()}"
            for way in ("fwd", "bwd") for what in ("mean", "max", "min")}


class Layout(NamedTuple):
    name: str
    columns: dict  # needed column: its name in the file
    units: dict  # needed column: how many of its units make one of ours
    remark: str = ""


LAYOUTS = (
    Layout("82 features", {name: name for name in (*NEEDED, "timestamp")}, {}),
    Layout("realtime-97", _TITLED | {
        "tot_fwd_pkts": "Total Fwd Packets", "tot_bwd_pkts": "Total Backward Packets",
        "totlen_bwd_pkts": "Total Length of Bwd Packets", "pkt_len_max": "Max Packet Length",
        "pkt_len_min": "Min Packet Length"}, {"flow_duration": 1e6}),
    Layout("Java CICFlowMeter", _TITLED | {
        "tot_fwd_pkts": "Total Fwd Packet", "tot_bwd_pkts": "Total Bwd packets",
        "totlen_bwd_pkts": "Total Length of Bwd Packet", "pkt_len_max": "Packet Length Max",
        "pkt_len_min": "Packet Length Min"}, dict.fromkeys(("flow_duration", "flow_iat_mean", "flow_iat_std"), 1e6),
        "the Java program's packet lengths are payload, but the class limits are meant for frames: classes shift"),
)


class Unreadable(OSError):
    """The input cannot be opened or read."""


class Refused(ValueError):
    """The input is a table, but not one that can be analysed."""


def _layout(header, path):
    def missing(layout):
        return [name for needed, name in layout.columns.items() if needed in NEEDED and name not in header]

    layout = min(LAYOUTS, key=lambda layout: len(missing(layout)))
    if not missing(layout):
        return layout
    if {"packets_count", "fwd_total_payload_bytes"} <= set(header):
        raise Refused(f"{path}: the netflowmeter-114 features hold no packet lengths, only those of payload and header, and "
                      "cannot be analysed; write the flows with the 82 features")
    raise Refused(f"{path}: columns that the analysis needs are missing: {', '.join(missing(layout))}")


class FlowFile:
    """Header and pieces of a CSV, plain or gzip; "-" is standard input. An empty file has no header and no layout."""

    def __init__(self, path):
        self.path = "standard input" if path == "-" else path
        self.skipped = 0
        self._size = 0
        try:
            self._file = sys.stdin.buffer if path == "-" else open(path, "rb")
            if path != "-":
                self._size = os.fstat(self._file.fileno()).st_size
            data = self._file
            if data.peek(2)[:2] == b"\x1f\x8b":
                data = io.BufferedReader(gzip.GzipFile(fileobj=self._file))
        except OSError as error:
            raise Unreadable(f"{self.path}: {error.strerror or error}") from None
        self._text = io.TextIOWrapper(data, encoding="utf-8-sig", errors="replace", newline="\n")
        with self._reading():
            is_capture = captures.is_capture(data.peek(12))
        if is_capture:
            self.close()
            raise Refused(f"{self.path}: is a capture, not a CSV of flows: first write its flows (flowmeter-ebpf -f CAPTURE -c "
                          "flows.csv), or read them (flowmeter.read(CAPTURE))")
        self._lines = self._guarded(self._text)
        self._records = self._whole_records()
        self.titles = next(self._records, [])  # as they are in the file; some tools put blanks before them
        self.header = [cell.strip() for cell in self.titles]
        try:
            self.layout = _layout(self.header, self.path) if self.header else None
        except Refused:
            self.close()
            raise

    def close(self):
        self._text.close()
        self._file.close()  # a gzip reader leaves it open

    def read_share(self):
        """The share of the file that has been read, 0 to 1; None if its size is not known."""
        return self._file.tell() / self._size if self._size else None

    @contextlib.contextmanager
    def _reading(self):
        """Closes the file and raises Unreadable if it cannot be read."""
        try:
            yield
        except (OSError, EOFError, zlib.error) as error:
            self.close()
            raise Unreadable(f"{self.path}: {getattr(error, 'strerror', None) or error}") from None

    def _guarded(self, lines):
        with self._reading():
            yield from lines

    def _whole_records(self):
        """Yields each record, as a list of cells if it has quotes (or is the header), else as a line. Records with a quote that
        does not end are skipped."""
        again = collections.deque()
        following = lambda: again.popleft() if again else next(self._lines, "")
        first = True
        while line := following():
            if '"' not in line:
                line = line.rstrip("\r\n")
                if line:
                    yield line.split(",") if first else line
                    first = False
                continue
            further, ended = [], True

            def of_record(line=line, further=further):
                nonlocal ended
                yield line
                while len(further) < _RECORD_LINES and (line := following()):
                    further.append(line)
                    yield line
                ended = False  # reached when the reader asks for another line

            cells = None
            with contextlib.suppress(csv.Error):  # a cell of more than 128 KiB, or a bare CR
                cells = next(csv.reader(of_record()))
            if cells is not None and ended:
                yield cells
                first = False
            else:
                again.extendleft(reversed(further))
                self.skipped += 1

    def pieces(self):
        """Yields lists of up to ROWS rows, each a line of CSV without its line end; rows with a wrong number of fields are
        skipped."""
        fields = len(self.header)

        def rows():
            for record in self._records:
                if isinstance(record, str):
                    if record.count(",") + 1 == fields:
                        yield record
                        continue
                elif len(record) == fields:
                    yield line_of(record)
                    continue
                self.skipped += 1

        good = rows()
        while piece := list(itertools.islice(good, ROWS)):
            yield piece

    def cells(self, rows, every_column):
        """Returns (texts, numbers, others) of a piece: addresses and time stamp; the needed numbers; with every_column, all
        columns under their own names. Cells that are not finite numbers are NaN."""
        place = _places(self.layout, self.header)
        frame = pd.read_csv(
            io.BytesIO("\n".join(rows).encode()), header=None, names=range(len(self.header)), index_col=False,
            usecols=None if every_column else sorted(place.values()),
            dtype={place[name]: str for name in TEXTS if name in place},
            low_memory=False, lineterminator="\n", skip_blank_lines=False, **EXACT)
        return _cells(frame, self.layout, self.header, every_column)


class FlowTable:
    """The flows of a DataFrame, which is read like a FlowFile. name: what messages call it."""

    def __init__(self, frame, name):
        self.path, self.skipped = name, 0
        self.header = [str(column).strip() for column in frame.columns]
        self.layout = _layout(self.header, name) if self.header else None
        self._frame = frame.copy(deep=False)
        self._frame.columns = range(len(self.header))

    def close(self):
        pass

    def pieces(self):
        for first in range(0, len(self._frame) if self.header else 0, ROWS):
            yield self._frame.iloc[first:first + ROWS]

    def cells(self, rows, every_column):
        return _cells(rows, self.layout, self.header, every_column)


def _places(layout, header):
    """{needed column: its position}"""
    return {needed: header.index(name) for needed, name in layout.columns.items() if name in header}


def _cells(frame, layout, header, every_column):
    """See FlowFile.cells(). frame: a piece, whose columns have their positions as names."""
    place = _places(layout, header)
    texts = {name: frame[place[name]] for name in TEXTS if name in place}
    numbers = {}
    for name in NUMBERS:
        numbers[name] = _numbers(frame[place[name]])
        if name in layout.units:
            numbers[name] /= layout.units[name]
    others = {}
    if every_column:
        of_texts = {place[name] for name in texts}
        for number, name in enumerate(header):
            if number not in of_texts:
                others.setdefault(name, _numbers(frame[number]))
    return texts, numbers, others


def line_of(cells):
    """Cells as a line of CSV without its line end, quoted where needed."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)  # cells with a character of the line end are quoted
    return out.getvalue()[:-2]


def cells_of(row):
    """The cells of a line of CSV."""
    return next(csv.reader([row])) if '"' in row else row.split(",")


def _numbers(cells):
    if cells.dtype == bool:  # pandas' reading of True and False, which are not numbers here
        return np.full(len(cells), np.nan)
    if pd.api.types.is_datetime64_any_dtype(cells.dtype):
        return np.full(len(cells), np.nan)
    if isinstance(cells.dtype, pd.CategoricalDtype):
        cells = cells.astype(object)
    values = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    if cells.dtype == object:  # a column with texts: there, pandas converts numbers less exactly, and takes True for 1
        there = ~np.isnan(values)
        values[there] = [np.nan if isinstance(cell, (bool, np.bool_)) else float(cell) for cell in cells.to_numpy()[there]]
    values[~np.isfinite(values)] = np.nan
    return values


def _since_1970(times):
    return (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)


def seconds_of(cells):
    """Time stamps as seconds since 1970; NaN where none of the known forms fits. The default time zone is UTC."""
    if pd.api.types.is_datetime64_any_dtype(cells.dtype):
        return _since_1970(pd.to_datetime(cells, utc=True)).to_numpy(dtype=np.float64, na_value=np.nan)
    seconds = _numbers(cells)
    rest = np.isnan(seconds) & cells.notna().to_numpy()
    forms = ((r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?", _ISO),
             (r"\d\d/\d\d/\d{4} \d\d?:\d\d:\d\d [AP]M", "%d/%m/%Y %I:%M:%S %p"))
    for pattern, form in forms:
        if rest.any():
            fits = rest.copy()
            fits[rest] = cells[rest].str.fullmatch(pattern).to_numpy(dtype=bool)
            times = pd.to_datetime(cells[fits], format=form, errors="coerce", utc=True)
            seconds[fits] = _since_1970(times)
            rest &= ~fits
    return seconds
