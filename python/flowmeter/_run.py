# SPDX-License-Identifier: BSD-3-Clause
"""Runs of the meter: read(), read_frame(), meter().

Keyword arguments are options of the program, from the same table, so names, units, defaults and error checks are the same.
A run has its own thread, outside of Python. It waits when some ten thousand flows are ready and not taken.
"""
import atexit
import functools
import inspect
import logging
import numbers
import operator
import os
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from . import _native
from ._errors import CaptureError, Error, MeterWarning
from ._settings import LiveSettings, Settings
from ._source import Captures, Source

if TYPE_CHECKING:
    import pandas

Options = dict[str, list[str | bytes]]
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
        return f"Flow({self.as_dict()!r})"

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


class Outcome:
    """What a run reports besides its flows."""

    def __init__(self, failure: type[Error], source: Source | None = None) -> None:
        self.failure = failure
        self.source = source
        self.error = ""
        self.account: dict[str, int] = {}
        self.handed_over = False  # to the reader of an Arrow stream
        self.stream_error: BaseException | None = None  # of which that reader gets only the text

    def report(self, meter: _native.Meter, ended: bool) -> None:
        """Takes the account, logs lines and issues warnings; at the end, raises the error of a failed run."""
        for level, text in meter.lines():
            if level == "error":
                self.error = self.source.named(text) if self.source else text
            elif level == "warning":
                if self.source and self.source.explains(text):
                    continue  # the error says it
                if self.source:
                    text = self.source.named(text)
                warnings.warn(text, MeterWarning, stacklevel=3)
            else:
                if text.startswith("seen="):
                    self.account = {name: int(count) for name, count in (part.split("=") for part in text.split())}
                _log.info(text)
        if not ended:
            return
        if self.source:
            failure = self.source.failure(self.failure)
            self.source.close()
            if failure:
                raise failure
        if not meter.succeeded:
            raise self.failure(self.error or "the run has failed")


def _flows(meter: _native.Meter, names: dict[str, int], outcome: Outcome,
           begun: list[tuple[_native.Batch, Iterator[Flow]]]) -> Generator[Flow, None, None]:
    try:
        while (batch := meter.next_batch()) is not None:
            rows = iter(batch.rows(Flow, names))
            begun[:] = [(batch, rows)]
            yield from rows
            outcome.report(meter, ended=False)
        outcome.report(meter, ended=True)
    finally:
        if not outcome.handed_over:
            meter.abandon()


class Flows(Iterator[Flow]):
    """The flows of a run, as they end: an iterator, and a context manager that closes it.

    Only some thousand flows are in memory at a time. If the run fails, Error is raised after the last flow. Lesser
    problems are warnings (MeterWarning).
    """

    def __init__(self, meter: _native.Meter, failure: type[Error], source: Source | None = None) -> None:
        self._source = source
        if source:
            source.start(meter)
        self._meter = meter
        self._columns = meter.columns
        self._outcome = Outcome(failure, source)
        self._begun: list[tuple[_native.Batch, Iterator[Flow]]] = []  # the current batch, and its flows not yet taken
        self._flows = _flows(meter, {column[0]: i for i, column in enumerate(self._columns)}, self._outcome, self._begun)

    def __iter__(self) -> Iterator[Flow]:
        return self._flows

    def __next__(self) -> Flow:
        return next(self._flows)

    def __enter__(self) -> "Flows":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return [column[0] for column in self._columns]

    @property
    def stream_error(self) -> BaseException | None:
        """The error of the run, of which the reader of an Arrow stream gets only the text, in an error of its own."""
        return self._outcome.stream_error

    @property
    def account(self) -> dict[str, int]:
        """The number of packets by packet class, and of flows. Empty until the last flow has been taken."""
        return self._outcome.account

    def stop(self) -> None:
        """Ends metering; flows that are still open are then delivered. May be called from any thread or signal handler."""
        if self._source:
            self._source.stop()
        self._meter.stop()

    def close(self) -> None:
        """Ends the run; flows that were not taken are lost."""
        self._meter.abandon()
        self._begun.clear()
        self._flows.close()
        self._meter.wait(None)
        if self._source:
            self._source.close()

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
        version, feature set and settings. requested_schema is ignored.
        """
        self._outcome.handed_over = True
        begun = [(batch, operator.length_hint(rows)) for batch, rows in self._begun]
        self._begun.clear()
        self._flows.close()
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
                    warnings.warn(f"{missing} times are null, because a timestamp cannot represent them", MeterWarning,
                                  stacklevel=2)
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
        begun = [(batch, operator.length_hint(rows)) for batch, rows in self._begun]
        try:
            frame = make_frame(self._meter, self._columns, begun)
            self._outcome.report(self._meter, ended=True)
        finally:
            self._meter.abandon()
            self._begun.clear()
            self._flows.close()
        return frame


def _keywords() -> dict[str, dict[str, Any]]:
    """The options that are keywords, by name or former name."""
    return {name.replace("-", "_"): option for option in _native.options()
            for name in (option["name"], option["former_name"]) if name}


def _text(name: str, value: object, kind: str) -> str | bytes:
    """The value of an option, as a command line has it. kind: the type of the option; "" of a switch."""
    if isinstance(value, bool) and kind:
        raise TypeError(f"{name} cannot be {value}")
    if kind == "A,B,..." and not isinstance(value, str) and isinstance(value, Iterable):
        value = ",".join(value)
    if kind == "A,B,..." and not str(value).strip():
        raise ValueError(f"{name} names no column")
    if isinstance(value, os.PathLike):
        return os.fsencode(value)
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        return repr(float(value))
    return str(value)


def options(function: str, *, live: bool, settings: Mapping[str, object]) -> Options:
    """The options of a run, except input and output. function: the caller's name, for error messages."""
    chosen: Options = {}
    keywords = _keywords()
    for name, value in settings.items():
        option = keywords.get(name)
        if option is None or (option["live_only"] and not live):
            raise TypeError(f"{function}() got an unexpected keyword argument '{name}'")
        if value is not None and (value is not False or option["type"]):
            chosen[option["name"]] = [_text(name, value, option["type"])]
    return chosen


_Function = TypeVar("_Function", bound=Callable[..., object])


def _with_settings(settings: type) -> Callable[[_Function], _Function]:
    """Lists the settings in the signature, for help() and completion in notebooks."""
    def listed(function: _Function) -> _Function:
        own = inspect.signature(function)
        shown = [each for each in own.parameters.values() if each.kind is not each.VAR_KEYWORD]
        shown += [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
                  for name, kind in settings.__annotations__.items()]
        vars(function)["__signature__"] = own.replace(parameters=shown)
        return function
    return listed


def start(options: Options) -> _native.Meter:
    """Starts a run. Raises ValueError, PermissionError or Error."""
    try:
        return _native.Meter(options)
    except _native.Failure as failure:
        raise Error(str(failure)) from None


def _replay(function: str, captures: Captures, settings: Settings) -> Flows:
    chosen = options(function, live=False, settings=settings)
    source = Source(captures)
    try:
        meter = start({**chosen, "file": source.paths})
    except BaseException:
        source.close(started=False)
        raise
    return Flows(meter, CaptureError, source)


@_with_settings(Settings)
def read(capture: Captures, **settings: Unpack[Settings]) -> Flows:
    """The flows of a capture (pcap or pcapng), or of several captures read as one stream, in order.

    capture: a path, "-" (standard input), or a binary file object, which is read while the flows are taken; or several of
    these. It is not closed.
    settings: feature set, columns, time-outs, limits; help(flowmeter.Settings) describes them. With strict=True, a damaged
    capture is an error (CaptureError) instead of a warning, raised after the flows that could be read.
    """
    return _replay("read", capture, settings)


@_with_settings(Settings)
def read_frame(capture: Captures, *, dtype_backend: str | None = None, **settings: Unpack[Settings]) -> "pandas.DataFrame":
    """The flows of a capture as a DataFrame: one row per flow, one column per feature. The arguments are those of read().

    Numbers are int64 or float64. Texts are "string", or "category" if there are few different values (protocol, interface,
    direction, end_reason). Empty cells are <NA> or NaN; a column of integers that can have such is float64. Times are texts,
    because captures can contain times that datetime64 cannot represent; pandas.to_datetime() converts them.

    dtype_backend="pyarrow" gives the types of Flows.__arrow_c_stream__() instead, without a copy of the numbers. It needs
    pandas 2 or newer, and pyarrow.
    """
    return _replay("read_frame", capture, settings).frame(dtype_backend)


def _flows_of(function: str, source: Captures | Flows, settings: Settings) -> Flows:
    if isinstance(source, Flows):
        if settings:
            raise TypeError(f"{function}() of flows got an unexpected keyword argument '{next(iter(settings))}'")
        return source
    return _replay(function, source, settings)


@_with_settings(Settings)
def write_parquet(source: Captures | Flows, path: Path, *, compression: str = "zstd", row_group_rows: int = 131_072,
                  **settings: Unpack[Settings]) -> dict[str, int]:
    """Writes flows to a Parquet file, and returns the account of packets. Needs pyarrow.

    source: captures, with the settings of read(); or flows that read() or meter() has returned.
    compression: "zstd", "snappy", "gzip", "lz4", "none".
    row_group_rows: about so many rows are in memory at a time, and in each row group.

    The types are those of Flows.__arrow_c_stream__(). The metadata of the file has version, feature set, settings and account.
    The file has its name when it is complete. If the run fails, it has the flows that were read, and the error in its metadata.
    Ctrl-C ends the run like Flows.stop(): KeyboardInterrupt is raised when the file is complete.
    """
    from ._arrow import ParquetFile, write
    return write(_flows_of("write_parquet", source, settings), path,
                 lambda name, schema: ParquetFile(name, schema, compression=compression), row_group_rows)


@_with_settings(Settings)
def write_feather(source: Captures | Flows, path: Path, *, compression: str | None = "lz4",
                  batch_rows: int = 65_536, **settings: Unpack[Settings]) -> dict[str, int]:
    """Writes flows to a Feather file (Arrow's IPC file format), and returns the account of packets. Needs pyarrow.

    compression: "lz4", "zstd", or None. batch_rows: about so many rows are in memory at a time, and in each record batch.
    The rest is as in write_parquet(), except that the account is not in the file.
    """
    from ._arrow import FeatherFile, write
    return write(_flows_of("write_feather", source, settings), path,
                 lambda name, schema: FeatherFile(name, schema, compression=compression), batch_rows)


@_with_settings(LiveSettings)
def meter(interface: str | Iterable[str], **settings: Unpack[LiveSettings]) -> Flows:
    """The flows on network interfaces, delivered as they end; without a limit, or for `duration` seconds.

    Needs the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; without them PermissionError is raised. Metering has
    started when this returns. If flows are taken too slowly, they are buffered; beyond a limit, packets may lose their times,
    but not their counts.

    interface: a name, a pattern ("veth*"), a regular expression ("/^(eth|ens)/") or "any"; or several of them.
    settings: those of read(), and where to attach; help(flowmeter.LiveSettings) describes them.
    """
    interfaces: list[str | bytes] = [interface] if isinstance(interface, str) else list(interface)
    if not interfaces:
        raise ValueError("no interface was named")
    chosen = options("meter", live=True, settings=settings)
    return Flows(start({**chosen, "iface": interfaces}), Error)
