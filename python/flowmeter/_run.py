# SPDX-License-Identifier: BSD-3-Clause
"""Runs of the meter: read(), read_frame(), meter().

Keyword arguments are options of the program, from the same table, so names, units, defaults and error checks are the same.
A run has its own thread, outside of Python. It waits when some ten thousand flows are ready and not taken.
"""
import atexit
import functools
import itertools
import logging
import operator
import os
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, Unpack

from . import _native
from ._errors import CaptureError, Error, MeterWarning
from ._options import Options, in_python, options, with_settings
from ._progress import Progress
from ._settings import LiveSettings, Path, Settings
from ._source import Captures, Source

if TYPE_CHECKING:
    import pandas

Value = int | float | str | None

_log = logging.getLogger("flowmeter")


class Flow(_native.Row, Mapping[str, Value]):
    """One flow: a mapping from the names of the columns, in their order, to numbers and texts. Columns whose names are
    identifiers are attributes, too: flow.src_ip.

    As in a CSV, a number is None if the feature set leaves the cell empty, and -1 if the column does not apply to the
    protocol. dict(flow), as_dict() and as_tuple() give copies; the flow itself keeps its whole batch of some thousand
    flows in memory.
    """
    __slots__ = ()

    def __repr__(self) -> str:
        first = [f"{name!r}: {self[name]!r}" for name in itertools.islice(self, 8)]
        rest = len(self) - len(first)
        return f"Flow({{{', '.join(first)}{f', ... {rest} more' if rest else ''}}})"

    def _repr_html_(self) -> str:
        from ._html import table
        return table(self.items())

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for name in self if name.isidentifier())})

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (tuple(self), self.as_tuple())


@functools.lru_cache(maxsize=16)
def _indices(names: tuple[str, ...]) -> dict[str, int]:
    return {name: i for i, name in enumerate(names)}


def _restored(names: tuple[str, ...], values: tuple[Value, ...]) -> Flow:
    """A flow that was pickled. It has its own cells."""
    return _native.row_of(Flow, _indices(names), values)


atexit.register(_native.end_all)
os.register_at_fork(after_in_child=_native.after_fork)


class Asked(NamedTuple):
    """What a run was asked for."""
    inputs: list[str]
    settings: Mapping[str, object]
    source: Source

    @property
    def features(self) -> str:
        return str(self.settings.get("features") or _native.feature_sets()[0][0])

    @property
    def names(self) -> str:
        rest = len(self.inputs) - 1
        return self.inputs[0] + (f" and {rest} more" if rest else "")


class Caller:
    """The line that called this package: warnings are about it, also if another thread takes the flows."""

    def __init__(self) -> None:
        frame = sys._getframe()
        while frame.f_back and os.path.dirname(frame.f_code.co_filename) == os.path.dirname(__file__):
            frame = frame.f_back
        self._file, self._line, self._globals = frame.f_code.co_filename, frame.f_lineno, frame.f_globals

    def warn(self, text: str) -> None:
        warnings.warn_explicit(in_python(text), MeterWarning, self._file, self._line, self._globals.get("__name__"),
                               self._globals.setdefault("__warningregistry__", {}))


class Outcome:
    """What a run reports besides its flows."""

    def __init__(self, failure: type[Error], source: Source) -> None:
        self.warn: Callable[[str], None] = Caller().warn
        self.failure = failure
        self.source = source
        self.error = ""
        self.account: dict[str, int] = {}
        self.progress: Progress | None = None
        self._warnings: list[str] = []
        self.stream_error: BaseException | None = None  # of which that reader gets only the text

    def _take_warnings(self) -> list[str]:
        warned, self._warnings = self._warnings, []
        return warned

    def report(self, meter: _native.Meter, ended: bool) -> None:
        """Takes the account and logs lines; at the end, raises the error of a failed run. Issues warnings, those of a replay at
        the end, because a warning may be an exception, which must not cost the flows and the account."""
        for level, text in meter.lines():
            if level == "error":
                self.error = self.source.named(text)
            elif level == "warning":
                if not self.source.explains(text):  # else the error says it
                    self._warnings.append(self.source.named(text))
            else:
                if text.startswith("seen="):
                    self.account = {name: int(count) for name, count in (part.split("=") for part in text.split())}
                _log.info(text)
        failure = None
        if ended:
            if self.progress:
                self.progress.end()
            failure = self.source.failure(self.failure)
            self.source.close()
            if not failure and not meter.succeeded:
                failure = self.failure(self.error or "the run has failed")
        if ended or self.failure is Error:
            for text in self._take_warnings():
                self.warn(text)
        if failure:
            try:
                raise failure
            finally:
                del failure  # else its traceback has this frame, which has the failure: only the collector would free the run


class Flows(Iterator[Flow], AsyncIterator[Flow]):
    """The flows of a run, as they end: an iterator, also an asynchronous one, and a context manager that closes it.

    Only some thousand flows are in memory at a time. If the run fails, Error is raised after the last flow. Lesser
    problems are warnings (MeterWarning). Several threads may take flows; each flow goes to one of them.
    """

    def __init__(self, meter: _native.Meter, failure: type[Error], asked: Asked, progress: bool = False) -> None:
        self._meter = meter
        self._asked = asked
        self._columns = meter.columns
        self._names = {column[0]: i for i, column in enumerate(self._columns)}
        self._outcome = Outcome(failure, asked.source)
        self._batch: _native.Batch | None = None
        self._rows: Iterator[Flow] = iter(())  # the flows of the batch that are not taken
        self._over = False  # there are no more batches for the iterator
        self._streamed = False
        self._taking = threading.Lock()  # the next batch
        self._missed: BaseException | None = None  # an error that nobody may have waited for
        asked.source.start(meter)
        if progress:
            self._outcome.progress = Progress(meter, asked.names, asked.source.total_bytes, live=failure is Error)

    def __repr__(self) -> str:
        return f"<Flows {self._asked.features} of {self._asked.names}: {self.taken} read>"

    def _repr_html_(self) -> str:
        from ._html import flows_table
        return flows_table(self._asked, self.columns, self.taken, self._over)

    def _advance(self, keep_error: bool = False) -> bool:
        """Makes sure that there are flows to take. Returns False if all were taken.

        keep_error: an error is raised by the next call, too, because the caller may have been cancelled.
        """
        with self._taking:
            if operator.length_hint(self._rows):
                return True  # another thread was here
            if error := self._missed:
                self._missed = error if keep_error else None
                raise error
            if self._over:
                return False
            try:
                if self._batch:
                    self._outcome.report(self._meter, ended=False)
                self._batch = self._meter.next_batch()
                if not self._batch:
                    self._over = True
                    self._outcome.report(self._meter, ended=True)
                    return False
                self._rows = iter(self._batch.rows(Flow, self._names))
                return True
            except BaseException as error:
                self._over = True
                self._missed = error if keep_error else None
                self._meter.abandon()
                raise

    def __iter__(self) -> Iterator[Flow]:
        while self._advance():
            yield from self._rows

    def __next__(self) -> Flow:
        while True:
            for flow in self._rows:
                return flow
            if not self._advance():
                raise StopIteration

    def __enter__(self) -> "Flows":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __aiter__(self) -> "Flows":
        return self

    async def __anext__(self) -> Flow:
        from ._thread import in_thread
        while True:
            for flow in self._rows:
                return flow
            try:
                more = await in_thread(functools.partial(self._advance, keep_error=True))
            except Exception:
                self._missed = None
                raise
            if not more:
                raise StopAsyncIteration

    async def __aenter__(self) -> "Flows":
        return self

    async def __aexit__(self, *exception: object) -> None:
        from ._thread import in_thread
        await in_thread(self.close)

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return [column[0] for column in self._columns]

    @property
    def taken(self) -> int:
        """The number of flows that were taken so far."""
        return self._meter.rows_taken - operator.length_hint(self._rows)

    @property
    def stream_error(self) -> BaseException | None:
        """The error of the run, of which the reader of an Arrow stream gets only the text, in an error of its own."""
        return self._outcome.stream_error

    def redirect_warnings(self, to: Callable[[str], None]) -> None:
        """Gives warnings to this function instead of issuing them."""
        self._outcome.warn = to

    @property
    def account(self) -> dict[str, int]:
        """The number of packets by packet class, and of flows. Empty until the last flow has been taken."""
        return self._outcome.account

    def stop(self) -> None:
        """Ends metering; flows that are still open are then delivered. May be called from any thread or signal handler."""
        self._asked.source.stop()
        self._meter.stop()

    def close(self) -> None:
        """Ends the run; flows that were not taken are lost."""
        self._over = True
        self._rows = iter(())
        self._meter.abandon()
        self._meter.wait(None)
        if self._outcome.progress:
            self._outcome.progress.end()
        self._asked.source.close()

    def _hand_over(self) -> list[tuple[_native.Batch, int]]:
        """Ends the iteration. Returns the begun batch, with the number of its flows that were not taken."""
        begun = [(self._batch, operator.length_hint(self._rows))] if self._batch else []
        self._over = True
        self._batch = None
        self._rows = iter(())
        return begun

    def __arrow_c_schema__(self) -> object:
        """Arrow's PyCapsule interface: the schema of __arrow_c_stream__."""
        return self._meter.arrow_schema()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Arrow's PyCapsule interface: the remaining flows, in batches of up to 8192. pyarrow.table(flows) calls this, as
        does every reader that knows the interface (polars, DuckDB, pandas, …).

        Integers are int64, other numbers float64, texts utf8, texts with few different values (protocol, interface, direction,
        end_reason) dictionaries, times timestamp[us, UTC] (with nanoseconds: timestamp[ns, UTC]). The types do not depend on
        the traffic: cells without a value are null, as are times that a timestamp cannot represent; these are counted in a
        MeterWarning and as "unrepresentable_times" of the account. Metadata of a field: its unit and definition; of the schema:
        version, feature set and settings. requested_schema is ignored. The flows can be read once.
        """
        with self._taking:
            if self._streamed:
                raise Error("these flows are those of an Arrow reader, which may have read them: to read them twice, make a "
                            "table of them, for example pyarrow.table(flows)")
            self._streamed = True
            begun = self._hand_over()
        missing = 0

        def after(batch: _native.Batch | None, error: BaseException | None) -> None:
            nonlocal missing
            if error is not None:
                self._outcome.stream_error = error
                return
            if batch is not None:
                missing += batch.unrepresentable_times
            try:
                self._outcome.report(self._meter, ended=batch is None)
                if batch is None and missing:
                    self._outcome.account["unrepresentable_times"] = missing
                    self._outcome.warn(f"{missing} times are null, because a timestamp cannot represent them")
            except BaseException as raised:
                self._outcome.stream_error = raised
                raise

        return self._meter.arrow_stream(begun, after)

    def frame(self, dtype_backend: str | None = None) -> "pandas.DataFrame":
        """The remaining flows as a DataFrame, like that of read_frame()."""
        if dtype_backend not in (None, "pyarrow"):
            raise ValueError(f"{dtype_backend!r} is not a dtype_backend (choose from: None, 'pyarrow')")
        from ._frame import arrow_frame, make_frame  # only these need pandas
        if dtype_backend:
            return arrow_frame(self)
        with self._taking:
            try:
                frame = make_frame(self._meter, self._columns, self._hand_over())
                self._outcome.report(self._meter, ended=True)
            finally:
                self._meter.abandon()
        return frame


def start(options: Options) -> _native.Meter:
    """Starts a run. Raises ValueError, PermissionError or Error."""
    try:
        return _native.Meter(options)
    except ValueError as wrong:
        raise ValueError(in_python(str(wrong))) from None
    except _native.Failure as failure:
        raise Error(str(failure)) from None


def _replay(function: str, captures: Captures, settings: Settings, progress: bool = False) -> Flows:
    chosen = options(function, live=False, settings=settings)
    source = Source(captures)
    try:
        meter = start({**chosen, "file": source.paths})
    except BaseException:
        source.close(started=False)
        raise
    return Flows(meter, CaptureError, Asked(source.names, settings, source), progress)


@with_settings(Settings)
def read(capture: Captures, *, progress: bool = False, **settings: Unpack[Settings]) -> Flows:
    """The flows of a capture (pcap or pcapng), or of several captures read as one stream, in order.

    capture: a path, "-" (standard input), or a binary file object, which is read while the flows are taken; or several of
    these. It is not closed.
    progress: shows a bar, if tqdm is installed.
    settings: feature set, columns, time-outs, limits; help(flowmeter.Settings) describes them. With strict=True, a damaged
    capture is an error (CaptureError) instead of a warning, raised after the flows that could be read.
    """
    return _replay("read", capture, settings, progress)


@with_settings(Settings)
def read_frame(capture: Captures, *, dtype_backend: str | None = None, progress: bool = False,
               **settings: Unpack[Settings]) -> "pandas.DataFrame":
    """The flows of a capture as a DataFrame: one row per flow, one column per feature. The arguments are those of read().

    Numbers are int64 or float64. Texts are "string", or "category" if there are few different values (protocol, interface,
    direction, end_reason). Empty cells are <NA> or NaN; a column of integers that can have such is float64. Times are texts,
    because captures can contain times that datetime64 cannot represent; pandas.to_datetime() converts them.

    dtype_backend="pyarrow" gives the types of Flows.__arrow_c_stream__() instead, without a copy of the numbers. It needs
    pandas 2 or newer, and pyarrow.
    """
    return _replay("read_frame", capture, settings, progress).frame(dtype_backend)


def _flows_of(function: str, source: Captures | Flows, settings: Settings, progress: bool) -> Flows:
    if isinstance(source, Flows):
        if settings:
            raise TypeError(f"{function}() of flows got an unexpected keyword argument '{next(iter(settings))}'")
        return source
    return _replay(function, source, settings, progress)


@with_settings(Settings)
def write_parquet(source: Captures | Flows, path: Path, *, compression: str = "zstd", row_group_rows: int = 131_072,
                  progress: bool = False, **settings: Unpack[Settings]) -> dict[str, int]:
    """Writes flows to a Parquet file, and returns the account of packets. Needs pyarrow.

    source: captures, with the settings of read(); or flows that read() or meter() has returned.
    compression: "zstd", "snappy", "gzip", "lz4", "none".
    row_group_rows: about so many rows are in memory at a time, and in each row group.

    The types are those of Flows.__arrow_c_stream__(). The metadata of the file has version, feature set, settings and account.
    The file has its name when it is complete. If the run fails, it has the flows that were read, and the error in its metadata.
    Ctrl-C ends the run like Flows.stop(): KeyboardInterrupt is raised when the file is complete.
    """
    from ._arrow import ParquetFile, write
    return write(_flows_of("write_parquet", source, settings, progress), path,
                 ParquetFile, compression, row_group_rows)


@with_settings(Settings)
def write_feather(source: Captures | Flows, path: Path, *, compression: str | None = "lz4",
                  batch_rows: int = 65_536, progress: bool = False, **settings: Unpack[Settings]) -> dict[str, int]:
    """Writes flows to a Feather file (Arrow's IPC file format), and returns the account of packets. Needs pyarrow.

    compression: "lz4", "zstd", or None. batch_rows: about so many rows are in memory at a time, and in each record batch.
    The rest is as in write_parquet(), except that the account is not in the file.
    """
    from ._arrow import FeatherFile, write
    return write(_flows_of("write_feather", source, settings, progress), path,
                 FeatherFile, compression, batch_rows)


@with_settings(LiveSettings)
def meter(interface: str | Iterable[str], *, progress: bool = False, **settings: Unpack[LiveSettings]) -> Flows:
    """The flows on network interfaces, delivered as they end; without a limit, or for `duration` seconds.

    Needs the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; without them PermissionError is raised. Metering has
    started when this returns. If flows are taken too slowly, they are buffered; beyond a limit, packets may lose their times,
    but not their counts.

    interface: a name, a pattern ("veth*"), a regular expression ("/^(eth|ens)/") or "any"; or several of them.
    settings: those of read(), and where to attach; help(flowmeter.LiveSettings) describes them.
    """
    interfaces = [interface] if isinstance(interface, str) else list(interface)
    if not interfaces:
        raise ValueError("no interface was named")
    chosen = options("meter", live=True, settings=settings)
    return Flows(start({**chosen, "iface": [*interfaces]}), Error, Asked(interfaces, settings, Source.none()), progress)
