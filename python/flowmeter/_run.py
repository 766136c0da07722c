# SPDX-License-Identifier: BSD-3-Clause
"""Runs of the meter: read(), read_frame(), meter().

Keyword arguments are options of the program, from the same table, so names, units, defaults and error checks are the same.
A run has its own thread, outside of Python. It waits when some ten thousand flows are ready and not taken.
"""
import atexit
import logging
import numbers
import operator
import os
import stat
import warnings
import weakref
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypedDict, Unpack

from . import _native
from ._errors import CaptureError, Error, MeterWarning

if TYPE_CHECKING:
    import pandas

Path = str | os.PathLike[str]
Names = str | Iterable[str]
Options = dict[str, list[str | bytes]]

_log = logging.getLogger("flowmeter")


class Settings(TypedDict, total=False):
    """Parameters of a run. If one is left out, the default of the feature set or of the program is used."""
    idle_timeout: float
    """Seconds: a longer silence ends a TCP or UDP flow."""
    icmp_idle_timeout: float
    """Seconds: a longer silence ends an ICMP flow."""
    tcp_linger: float
    """Seconds: a longer silence ends a closed TCP flow."""
    active_timeout: float
    """Seconds: a flow that lasts longer is continued by a new one."""
    activity_gap: float
    """Seconds: a longer gap is idle time and separates active periods."""
    subflow_gap: float
    """Seconds: a longer gap starts a new subflow."""
    bulk_min_packets: int
    """Number of successive payload packets that make a bulk."""
    bulk_max_gap: float
    """Seconds: a longer gap between them ends a bulk."""
    fragment_memory: float
    """Seconds for which a first fragment is remembered."""
    packets: int
    """Stop after this many packets (live: at least)."""
    max_flows: int
    """Most flows held at a time. Beyond that, old ones are forced out, with a warning."""
    max_fragments: int
    """Most first fragments remembered at a time."""


class LiveSettings(Settings, total=False):
    """Further parameters of live metering."""
    duration: float
    """Seconds after which metering stops."""
    netns: str
    """Network namespace of the interfaces: a name, a path or a PID. Only the meter's thread enters it."""
    hook: str
    """Where packets are seen: "auto", "tcx", "tc", "xdp", "xdp-generic"."""
    attach_order: str
    """Place among other programs at the hook: "first" or "last"."""
    datapath: str
    """Where times are kept: "events" or "kernel"."""
    flow_map: str
    """What a full map does: "hash" (refuse new flows: the program meters them) or "lru" (drop old ones)."""
    per_interface: bool
    """Each interface has its own flows."""
    event_memory: int
    """MiB of memory for the event streams of all CPUs."""
    batch: int
    """Most events taken before the clock is read and flows are delivered."""


class Flow(_native.Row, Mapping[str, int | float | str | None]):
    """One flow: a mapping from the names of the columns, in their order, to numbers and texts.

    As in a CSV, a number is None if the feature set leaves the cell empty, and -1 if the column does not apply to the
    protocol. dict(flow), as_dict() and as_tuple() give copies; the flow itself keeps its whole batch of some thousand
    flows in memory.
    """
    __slots__ = ()

    def __repr__(self) -> str:
        return f"Flow({self.as_dict()!r})"


# These runs must end when Python ends.
_running: "weakref.WeakSet[_native.Meter]" = weakref.WeakSet()


def watch(meter: _native.Meter) -> None:
    """Ends the run when Python ends, unless it has ended before."""
    _running.add(meter)


# A forked child does not have the threads of the runs.
os.register_at_fork(after_in_child=_running.clear)


@atexit.register
def _end_all() -> None:
    for meter in list(_running):
        meter.abandon()
    for meter in list(_running):
        meter.wait(None)


class Outcome:
    """What a run reports besides its flows."""

    def __init__(self, failure: type[Error]) -> None:
        self.failure = failure
        self.error = ""
        self.account: dict[str, int] = {}

    def report(self, meter: _native.Meter, ended: bool) -> None:
        """Takes the account, logs lines and issues warnings; at the end, raises the error of a failed run."""
        for level, text in meter.lines():
            if level == "error":
                self.error = text
            elif level == "warning":
                warnings.warn(text, MeterWarning, stacklevel=3)
            else:
                if text.startswith("seen="):
                    self.account = {name: int(count) for name, count in (part.split("=") for part in text.split())}
                _log.info(text)
        if ended and not meter.succeeded:
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
        meter.abandon()


class Flows(Iterator[Flow]):
    """The flows of a run, as they end: an iterator, and a context manager that closes it.

    Only some thousand flows are in memory at a time. If the run fails, Error is raised after the last flow. Lesser
    problems are warnings (MeterWarning).
    """

    def __init__(self, meter: _native.Meter, failure: type[Error]) -> None:
        watch(meter)
        self._meter = meter
        self._columns = meter.columns
        self._outcome = Outcome(failure)
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
    def account(self) -> dict[str, int]:
        """The number of packets by packet class, and of flows. Empty until the last flow has been taken."""
        return self._outcome.account

    def stop(self) -> None:
        """Ends metering; flows that are still open are then delivered. May be called from any thread or signal handler."""
        self._meter.stop()

    def close(self) -> None:
        """Ends the run; flows that were not taken are lost."""
        self._meter.abandon()
        self._begun.clear()
        self._flows.close()
        self._meter.wait(None)

    def frame(self) -> "pandas.DataFrame":
        """The remaining flows as a DataFrame, like that of read_frame()."""
        from ._frame import make_frame  # only this needs pandas
        begun = [(batch, operator.length_hint(rows)) for batch, rows in self._begun]
        try:
            frame = make_frame(self._meter, self._columns, begun)
            self._outcome.report(self._meter, ended=True)
        finally:
            self._meter.abandon()
            self._begun.clear()
            self._flows.close()
        return frame


def _names(what: str, names: Names) -> str:
    text = names if isinstance(names, str) else ",".join(names)
    if not text.strip():
        raise ValueError(f"{what} names no column")
    return text


def _keywords() -> dict[str, tuple[str, str, bool]]:
    """{keyword: (option, type, live only)}, including former names."""
    return {name.replace("-", "_"): (option, kind, live)
            for option, former, kind, live in _native.options() for name in (option, former)}


def options(function: str, *, live: bool, settings: Mapping[str, object], features: str = "cic82",
            fields: Names | None = None, extra: Names | None = None, quality: bool = False, strict: bool = False,
            verbose: bool = False) -> Options:
    """The options of a run, except input and output. function: the caller's name, for error messages."""
    chosen: Options = {"features": [features if isinstance(features, str) else str(features)]}
    chosen |= {name: [_names(name, value)] for name, value in (("fields", fields), ("extra", extra))
               if value is not None}
    chosen |= {name: ["true"] for name, value in (("quality", quality), ("strict", strict), ("verbose", verbose))
               if value}
    keywords = _keywords()
    for name, value in settings.items():
        option, kind, live_only = keywords.get(name, ("", "", True))
        if not option or (live_only and not live):
            raise TypeError(f"{function}() got an unexpected keyword argument '{name}'")
        if isinstance(value, bool) and kind:
            raise TypeError(f"{name} cannot be {value}")
        if value is None or value is False:
            continue
        if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
            chosen[option] = [repr(float(value))]
        else:
            chosen[option] = [str(value)]
    return chosen


def captures_of(capture: Path | Iterable[Path]) -> list[str | bytes]:
    """The paths of the captures. Raises Python's own OSError if one does not exist or may not be read."""
    paths = [capture] if isinstance(capture, (str, bytes, os.PathLike)) else list(capture)
    if not paths:
        raise ValueError("no capture was named")
    for path in paths:
        if path == "-":
            continue
        if stat.S_ISDIR(os.stat(path).st_mode):
            raise IsADirectoryError(21, "Is a directory", os.fspath(path))
        if not os.access(path, os.R_OK):
            raise PermissionError(13, "Permission denied", os.fspath(path))
    return [os.fsencode(path) for path in paths]


def start(options: Options) -> _native.Meter:
    """Starts a run. Raises ValueError, PermissionError or Error."""
    try:
        return _native.Meter(options)
    except _native.Failure as failure:
        raise Error(str(failure)) from None


def read(capture: Path | Iterable[Path], *, features: str = "cic82", fields: Names | None = None,
         extra: Names | None = None, quality: bool = False, strict: bool = False, verbose: bool = False,
         **settings: Unpack[Settings]) -> Flows:
    """The flows of a capture (pcap or pcapng; "-" is standard input), or of several captures read as one stream, in order.

    features: the feature set; feature_sets() lists all of them.
    fields: only these columns, in this order; a list, or names separated by commas.
    extra: these columns are appended after the others.
    quality: appends columns that show how reliable a flow is.
    strict: a damaged capture is an error (CaptureError) instead of a warning, raised after the flows that could be read.
    settings: time-outs and gaps in seconds, limits; see Settings.
    """
    captures = captures_of(capture)
    chosen = options("read", live=False, settings=settings, features=features, fields=fields, extra=extra,
                     quality=quality, strict=strict, verbose=verbose)
    return Flows(start({**chosen, "file": captures}), CaptureError)


def read_frame(capture: Path | Iterable[Path], *, features: str = "cic82", fields: Names | None = None,
               extra: Names | None = None, quality: bool = False, strict: bool = False, verbose: bool = False,
               **settings: Unpack[Settings]) -> "pandas.DataFrame":
    """The flows of a capture as a DataFrame: one row per flow, one column per feature. The arguments are those of read().

    Numbers are int64 or float64. Texts are "string", or "category" if there are few different values (protocol, interface,
    direction, end_reason). Empty cells are <NA> or NaN. Times are texts, because captures can contain times that datetime64
    cannot represent; pandas.to_datetime() converts them.
    """
    captures = captures_of(capture)
    chosen = options("read_frame", live=False, settings=settings, features=features, fields=fields, extra=extra,
                     quality=quality, strict=strict, verbose=verbose)
    return Flows(start({**chosen, "file": captures}), CaptureError).frame()


def meter(interface: str | Iterable[str], *, features: str = "cic82", fields: Names | None = None,
          extra: Names | None = None, quality: bool = False, verbose: bool = False,
          **settings: Unpack[LiveSettings]) -> Flows:
    """The flows on network interfaces, delivered as they end; without a limit, or for `duration` seconds.

    Needs the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; without them PermissionError is raised. Metering has
    started when this returns. If flows are taken too slowly, they are buffered; beyond a limit, packets may lose their times,
    but not their counts.

    interface: a name, a pattern ("veth*"), a regular expression ("/^(eth|ens)/") or "any"; or several of them.
    settings: time-outs and gaps in seconds, limits, where to attach; see LiveSettings.
    The other arguments are those of read().
    """
    interfaces = [interface] if isinstance(interface, str) else list(interface)
    if not interfaces:
        raise ValueError("no interface was named")
    chosen = options("meter", live=True, settings=settings, features=features, fields=fields, extra=extra,
                     quality=quality, verbose=verbose)
    return Flows(start({**chosen, "iface": interfaces}), Error)
