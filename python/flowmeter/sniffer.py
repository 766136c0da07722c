# SPDX-License-Identifier: BSD-3-Clause
"""The interface of the Python cicflowmeter: create_sniffer().

    from flowmeter.sniffer import create_sniffer

    sniffer, session = create_sniffer(input_file="x.pcap", input_interface=None, output_mode="csv", output="flows.csv")
    sniffer.start()
    sniffer.join()

After join() every flow is written; session.flush_flows() need not be called, and may be.
"""
import atexit
import http.client
import json
import logging
import os
import queue
import threading
import time
import urllib.error
import urllib.request
import warnings
import weakref
from collections.abc import Iterable

from . import _native, _run
from ._errors import CaptureError, Error, MeterWarning

_log = logging.getLogger("flowmeter")


class Session:
    """What is being metered and where the flows go."""

    def __init__(self, output_mode: str, output: str, fields: str | Iterable[str] | None, verbose: bool) -> None:
        self.output_mode = output_mode
        self.output = output
        self.fields = fields
        self.verbose = verbose
        self.account: dict[str, int] = {}
        """What became of every packet, once the sniffer has ended."""

    @property
    def packets_count(self) -> int:
        """Packets in flows; 0 until the sniffer has ended."""
        return self.account.get("metered", 0)

    def flush_flows(self) -> None:
        """Does nothing: when the sniffer has ended, all flows are written."""


class Sniffer:
    """A run in the background, with the methods of scapy's AsyncSniffer that the Python tool's users call."""

    def __init__(self, session: Session, captures: list[bytes], interfaces: list[str]) -> None:
        self._session = session
        self._captures = captures
        self._interfaces = interfaces
        self._arguments = _run.arguments("create_sniffer", _run.Settings, "cic82", session.fields or None, None, False,
                                         False, session.verbose, {})
        self._meter: _native.Meter | None = None
        self._poster: _Poster | None = None

    @property
    def running(self) -> bool:
        return self._meter is not None

    def start(self) -> None:
        """Begins. What cannot begin is an exception of here or of join()."""
        if self._meter:
            raise Error("the sniffer is running")
        csv = os.fsencode(self._session.output) if self._session.output_mode == "csv" else b""
        self._meter = _run.start(self._arguments, self._captures, self._interfaces, csv)
        _run.watch(self._meter)
        if not csv:
            self._poster = _Poster(self._session.output, self._meter, waits=bool(self._captures))

    def join(self, timeout: float | None = None) -> None:
        """Waits for the end (of the capture, or by stop()), for so many seconds if any are given."""
        if not self._meter:
            return
        if self._poster and not self._poster.join(timeout):
            return
        if not self._meter.wait(None if self._poster else timeout):
            return
        meter, self._meter, self._poster = self._meter, None, None
        outcome = _run.Outcome(CaptureError if self._captures else Error)
        try:
            outcome.report(meter, ended=True)
        finally:
            self._session.account = outcome.account

    def stop(self, join: bool = True) -> None:
        """Ends metering. The flows that are open then are written."""
        if not self._meter:
            raise Error("the sniffer is not running")
        self._meter.stop()
        if join:
            self.join()


class _Poster:
    """Sends each flow as a JSON object of its own by POST.

    One thread takes the flows, another sends them, so that a service that is slow or gone does not hold up a live
    meter: flows that do not fit between the two are dropped and counted, as are those that it refuses.
    """
    _WAITING = 10_000  # flows
    _TIMEOUT_S = 5.0
    _PAUSES_S = (0.2, 1.0)  # before the second and the third attempt

    def __init__(self, url: str, meter: _native.Meter, waits: bool) -> None:
        self._url = url
        self._meter = meter
        self._waits = waits
        self._names = {column[0]: i for i, column in enumerate(meter.columns)}
        self._flows: queue.Queue[_native.Row | None] = queue.Queue(self._WAITING)
        self._sent = self._dropped = self._refused = 0
        self._why = ""
        self._threads = [threading.Thread(target=each, name="flowmeter-" + each.__name__.strip("_"), daemon=True)
                         for each in (self._take, self._send_all)]
        _posters.add(self)
        for thread in self._threads:
            thread.start()

    def abandon(self) -> None:
        self._meter.abandon()
        self._threads[0].join(5)

    def join(self, timeout: float | None) -> bool:
        """Whether it is done; then flows that were not sent are warned of."""
        end = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))
            if thread.is_alive():
                return False
        lost = self._dropped + self._refused
        if lost:
            warnings.warn(f"{lost} of {lost + self._sent} flows were not sent to {self._url}"
                          f" ({self._why or 'it is too slow'})", MeterWarning, stacklevel=3)
        return True

    def _take(self) -> None:
        while (batch := self._meter.next_batch()) is not None:
            for row in batch.rows(_run.Flow, self._names):
                try:
                    self._flows.put(row, block=self._waits)
                except queue.Full:
                    self._dropped += 1
        self._flows.put(None)

    def _send_all(self) -> None:
        while (row := self._flows.get()) is not None:
            if self._send(json.dumps(row.as_dict()).encode()):
                self._sent += 1
            else:
                self._refused += 1

    def _send(self, body: bytes) -> bool:
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"}, method="POST")
        # A service that was not there for one flow is given less time for the next.
        for pause in (*(() if self._why else self._PAUSES_S), None):
            try:
                with urllib.request.urlopen(request, timeout=self._TIMEOUT_S):
                    self._why = ""
                    return True
            except urllib.error.HTTPError as error:
                reason, again = f"HTTP {error.code} {error.reason}", error.code >= 500
                error.close()
            except (OSError, http.client.HTTPException) as error:
                reason, again = str(getattr(error, "reason", error)), True
            if pause is None or not again:
                break
            time.sleep(pause)
        if not self._why:
            _log.warning("cannot send flows to %s: %s", self._url, reason)
        self._why = reason
        return False


_posters: "weakref.WeakSet[_Poster]" = weakref.WeakSet()


# A thread that waits for flows must have returned before Python ends.
@atexit.register
def _end_all() -> None:
    for poster in list(_posters):
        poster.abandon()


def create_sniffer(input_file: str | os.PathLike[str] | None, input_interface: str | None, output_mode: str, output: str,
                   input_directory: str | os.PathLike[str] | None = None,
                   fields: str | Iterable[str] | None = None, verbose: bool = False) -> tuple[Sniffer, Session]:
    """A sniffer and its session, from exactly one of a capture, an interface, and a directory of captures.

    output_mode: "csv" writes the flows to the file `output`; "url" sends each as a JSON object by POST to `output`.
    input_directory: its *.pcap, *.pcapng and *.cap, in the order of their names, as one stream.
    fields: only these columns, with commas between or as a list.
    verbose: logs more, to the logger "flowmeter".

    The flows are those of the feature set cic82. Raises FileNotFoundError, ValueError.
    """
    if sum(source is not None for source in (input_file, input_interface, input_directory)) != 1:
        raise ValueError("name exactly one of input_file, input_interface and input_directory")
    if output_mode not in ("csv", "url"):
        raise ValueError(f'output_mode is "csv" or "url", not {output_mode!r}')
    if output_mode == "url" and not str(output).startswith(("http://", "https://")):
        raise ValueError(f"{output!r} is not an address that begins with http:// or https://")
    captures: list[bytes] = []
    if input_file is not None:
        captures = _run.captures_of(input_file)
    elif input_directory is not None:
        found = sorted(entry.path for entry in os.scandir(input_directory)
                       if entry.is_file() and entry.name.endswith((".pcap", ".pcapng", ".cap")))
        if not found:
            raise ValueError(f"no capture (*.pcap, *.pcapng, *.cap) is in {os.fspath(input_directory)}")
        captures = _run.captures_of(found)
    if output_mode == "csv" and os.path.exists(output):
        for capture in captures:
            if capture != b"-" and os.path.samefile(capture, output):
                raise ValueError(f"output {os.fspath(output)} is also an input")
    session = Session(output_mode, output, fields, verbose)
    if verbose:
        _log.setLevel(logging.INFO)
        if not _log.hasHandlers():
            _log.addHandler(logging.StreamHandler())
    return Sniffer(session, captures, [] if input_interface is None else [input_interface]), session
