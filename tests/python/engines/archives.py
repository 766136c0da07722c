# SPDX-License-Identifier: BSD-3-Clause
"""Captures, a web server that breaks off or waits in the middle of one, and the rows that an engine must give."""
import contextlib
import glob
import http.server
import os
import threading
import warnings

import capture as frames


def udp_flows(count, network):
    """count flows of one to three packets."""
    packets = []
    for flow in range(count):
        source = f"10.{network}.{flow >> 8}.{flow & 255}"
        for packet in range(1 + flow % 3):
            packets.append((5 + flow * 1e-3 + packet * 1e-4, frames.ethernet(frames.udp(b"z" * (flow % 90), source))))
    return packets


def capture_of(count, network):
    return frames.pcap([*frames.conversation(), *udp_flows(count, network)])


class CaptureServer(http.server.ThreadingHTTPServer):
    """Serves captures with ranges, as object stores do."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.captures = {}
        self.cut = set()  # these break off in the middle, always
        self.hold = set()  # these wait in the middle for `go`
        self.held = threading.Event()
        self.client_port = 0  # of the request that waits
        self.half_way = 0  # how often a client has asked for the middle of a capture of `hold`
        self.go = threading.Event()

    def url(self, name):
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.send_file(with_body=False)

    def do_GET(self):
        self.send_file(with_body=True)

    def send_file(self, with_body):
        name = self.path.strip("/")
        if name not in self.server.captures:
            self.send_error(404)
            return
        data = self.server.captures[name]
        wanted = self.headers.get("Range")
        first, last = 0, len(data) - 1
        if wanted:
            start, _, end = wanted.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(end or last), last)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        if with_body:
            with contextlib.suppress(ConnectionError):
                self.send_range(name, data, first, last + 1)

    def send_range(self, name, data, first, end):
        middle = len(data) // 2
        if first < middle < end and name in self.server.cut | self.server.hold:
            self.wfile.write(data[first:middle])
            first = middle
            if name in self.server.cut:
                self.close_connection = True
                return
            self.server.half_way += 1
            self.server.client_port = self.client_address[1]
            self.server.held.set()
            self.server.go.wait(240)
        self.wfile.write(data[first:end])

    def log_message(self, *_):
        pass


def process_with_port(port):
    """The PID of the process on this machine whose connection has this local port."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        inodes = {fields[9] for fields in map(str.split, table) if fields[1].endswith(f":{port:04X}") and fields[9] != "0"}
    for descriptor in glob.glob("/proc/[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if os.readlink(descriptor)[8:-1] in inodes and os.readlink(descriptor).startswith("socket:"):
                return int(descriptor.split("/")[2])
    raise AssertionError(f"no process has a connection from port {port}")


def ancestor(pid, words):
    """The PID of the nearest process above this one, or itself, whose command line contains the words."""
    while pid > 1:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            if words in file.read():
                return pid
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            pid = next(int(line.split()[1]) for line in file if line.startswith("PPid:"))
    raise AssertionError(f"no process with {words}")


def one_process(captures, **settings):
    """The rows that every engine must give, in order: {source_file, row, the cells of flowmeter.read()}."""
    import flowmeter  # by tests of the native module only
    import pyarrow

    rows = []
    for capture in captures:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", flowmeter.MeterWarning)
            flows = pyarrow.RecordBatchReader.from_stream(flowmeter.read(capture, **settings))
            number = 0
            with contextlib.suppress(OSError, pyarrow.ArrowException):  # no capture
                for batch in flows:
                    for cells in batch.to_pylist():
                        rows.append({"source_file": str(capture), "row": number, **cells})
                        number += 1
    return sorted(rows, key=place)


def place(row):
    return row["source_file"], row["row"]


def rows_of(table):
    """The rows of a pyarrow table, in order."""
    return sorted(table.to_pylist(), key=place)
