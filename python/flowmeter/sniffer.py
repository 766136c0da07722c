# SPDX-License-Identifier: BSD-3-Clause
"""The interface of the Python cicflowmeter: create_sniffer().

    from flowmeter.sniffer import create_sniffer

    sniffer, session = create_sniffer(input_file="x.pcap", input_interface=None, output_mode="csv", output="flows.csv")
    sniffer.start()
    sniffer.join()

After join() every flow is written; session.flush_flows() may be called, but is not needed.
"""
import logging
import os
from collections.abc import Iterable

from . import _native, _run
from ._errors import CaptureError, Error
from ._options import Options, options
from ._source import Source, path_of

_log = logging.getLogger("flowmeter")

# How long a replay, and so join(), waits for a service that fails.
_URL_RETRY_SECONDS = "5"


class Session:
    """The output of a sniffer, and its account of packets."""

    def __init__(self, output_mode: str, output: str, fields: str | Iterable[str] | None, verbose: bool) -> None:
        self.output_mode = output_mode
        self.output = output
        self.fields = fields
        self.verbose = verbose
        self.account: dict[str, int] = {}
        """The number of packets by packet class, and of flows; empty until the sniffer has ended."""

    @property
    def packets_count(self) -> int:
        """Number of packets in flows; 0 until the sniffer has ended."""
        return self.account.get("metered", 0)

    def flush_flows(self) -> None:
        """Does nothing: when the sniffer has ended, all flows are written."""


class Sniffer:
    """A run in the background, with those methods of scapy's AsyncSniffer that users of cicflowmeter call."""

    def __init__(self, session: Session, source: Options) -> None:
        self._session = session
        self._source = source
        self._options = options("create_sniffer", live=False,
                                     settings={"fields": session.fields or None, "verbose": session.verbose})
        self._meter: _native.Meter | None = None

    @property
    def running(self) -> bool:
        return self._meter is not None

    def start(self) -> None:
        """Starts the run. If it cannot start, this or join() raises an exception."""
        if self._meter:
            raise Error("the sniffer is running")
        output: Options = {self._session.output_mode: [os.fsencode(self._session.output)]}
        if self._session.output_mode == "url":
            output["output-retry"] = [_URL_RETRY_SECONDS]
            output["time-format"] = ["python"]  # as cicflowmeter sends it
        self._meter = _run.start({**self._options, **self._source, **output})

    def join(self, timeout: float | None = None) -> None:
        """Waits until the capture ends or stop() is called, or until `timeout` seconds have passed."""
        if not self._meter or not self._meter.wait(timeout):
            return
        meter, self._meter = self._meter, None
        outcome = _run.Outcome(CaptureError if "file" in self._source and meter.outputs_complete else Error,
                               Source.none())
        try:
            outcome.report(meter, ended=True)
        finally:
            self._session.account = outcome.account

    def stop(self, join: bool = True) -> None:
        """Ends metering. The flows that are still open are written."""
        if not self._meter:
            raise Error("the sniffer is not running")
        self._meter.stop()
        if join:
            self.join()


def create_sniffer(input_file: str | os.PathLike[str] | None, input_interface: str | None, output_mode: str, output: str,
                   input_directory: str | os.PathLike[str] | None = None,
                   fields: str | Iterable[str] | None = None, verbose: bool = False) -> tuple[Sniffer, Session]:
    """Returns a sniffer and its session, for exactly one of a capture, an interface, and a directory of captures.

    output_mode: "csv" writes the flows to the file `output`; "url" sends each one to `output` by POST as a JSON object. If
    flows could not be sent (the service refuses them, fails for 5 s of a replay, or is too slow for an interface), join()
    raises Error.
    input_directory: its *.pcap, *.pcapng and *.cap files are read as one stream, in the order of their names.
    fields: only these columns; a list, or names separated by commas.
    verbose: logs more, to the logger "flowmeter".

    The flows have the columns of the feature set cic82. Raises FileNotFoundError, ValueError.
    """
    if sum(source is not None for source in (input_file, input_interface, input_directory)) != 1:
        raise ValueError("name exactly one of input_file, input_interface and input_directory")
    if not os.fspath(output):
        raise ValueError("output is empty: it must name a file or a service")
    if output_mode not in ("csv", "url"):
        raise ValueError(f'output_mode is "csv" or "url", not {output_mode!r}')
    if output_mode == "url" and not str(output).startswith(("http://", "https://")):
        raise ValueError(f"{output!r} is not an address that begins with http:// or https://")
    captures: list[str | bytes] = []
    if input_file is not None:
        captures = [path_of(input_file)]
    elif input_directory is not None:
        found = sorted(entry.path for entry in os.scandir(input_directory)
                       if entry.is_file() and entry.name.endswith((".pcap", ".pcapng", ".cap")))
        if not found:
            raise ValueError(f"no capture (*.pcap, *.pcapng, *.cap) is in {os.fspath(input_directory)}")
        captures = [path_of(path) for path in found]
    if output_mode == "csv" and os.path.exists(output):
        for capture in captures:
            if capture != b"-" and os.path.samefile(capture, output):
                raise ValueError(f"output {os.fspath(output)} is also an input")
    session = Session(output_mode, output, fields, verbose)
    if verbose:
        _log.setLevel(logging.INFO)
        if not _log.hasHandlers():
            _log.addHandler(logging.StreamHandler())
    source: Options = {"file": captures} if input_interface is None else {"iface": [input_interface]}
    return Sniffer(session, source), session
