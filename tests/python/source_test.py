# SPDX-License-Identifier: BSD-3-Clause
"""Captures as file objects: flowmeter.read() streams them, and neither they nor their errors can make it hang."""
import bz2
import contextlib
import gc
import gzip
import http.server
import io
import itertools
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zipfile

import flowmeter
import pytest

import capture as frames
from conftest import traffic

ENVIRONMENTS = "newest"

SMALL = frames.pcap(frames.conversation())


class Reader:
    """A file object that has nothing but read(). It gives the parts one by one; an exception is raised, a function called."""

    def __init__(self, *parts):
        self.parts = iter(parts)
        self.reads = 0

    def read(self, size):
        self.reads += 1
        part = next(self.parts, b"")
        if isinstance(part, BaseException):
            raise part
        return part() if callable(part) else part


def endless():
    """A capture without an end."""
    yield frames.pcap([])
    for i in itertools.count():
        yield b"".join(frames.pcap_record(1 + i, frames.ethernet(frames.udp(b"x" * 1000))) for _ in range(100))


@contextlib.contextmanager
def served(directory):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                         lambda *request: Quiet(*request, directory=directory)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def sent(data, stack):
    """The reading end of a connection over which another thread sends this."""
    ours, theirs = (stack.enter_context(end) for end in socket.socketpair())
    thread = threading.Thread(target=lambda: (theirs.sendall(data), theirs.shutdown(socket.SHUT_WR)))
    thread.start()
    stack.callback(thread.join)
    return ours


def through_pipe(data, stack):
    reading, writing = os.pipe()
    file = stack.enter_context(open(reading, "rb"))

    def write():
        with open(writing, "wb") as writer:
            writer.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    stack.callback(thread.join)
    return file


def compressed(path, opener, stack):
    packed = path.parent / f"packed.{opener.__module__}"
    with opener(packed, "wb") as file:
        file.write(path.read_bytes())
    return stack.enter_context(opener(packed))


def zipped(path, stack):
    with zipfile.ZipFile(path.parent / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "x.pcap")
    return stack.enter_context(stack.enter_context(zipfile.ZipFile(path.parent / "x.zip")).open("x.pcap"))


def temporary(path, stack):
    file = stack.enter_context(tempfile.NamedTemporaryFile())
    file.write(path.read_bytes())
    file.seek(0)
    return file


KINDS = {
    "str": lambda path, stack: str(path),
    "bytes": lambda path, stack: os.fsencode(path),
    "pathlib": lambda path, stack: path,
    "open": lambda path, stack: stack.enter_context(open(path, "rb")),
    "unbuffered": lambda path, stack: stack.enter_context(open(path, "rb", buffering=0)),
    "update": lambda path, stack: stack.enter_context(open(path, "r+b")),
    "temporary": temporary,
    "BytesIO": lambda path, stack: io.BytesIO(path.read_bytes()),
    "gzip": lambda path, stack: compressed(path, gzip.open, stack),
    "bz2": lambda path, stack: compressed(path, bz2.open, stack),
    "zip": zipped,
    "pipe": lambda path, stack: through_pipe(path.read_bytes(), stack),
    "socket": lambda path, stack: stack.enter_context(sent(path.read_bytes(), stack).makefile("rb")),
    "socket itself": lambda path, stack: sent(path.read_bytes(), stack),
    "unbuffered socket": lambda path, stack: stack.enter_context(sent(path.read_bytes(), stack).makefile("rb", buffering=0)),
    "HTTP": lambda path, stack: stack.enter_context(urllib.request.urlopen(
        stack.enter_context(served(path.parent)) + "/" + path.name)),
    "read() only": lambda path, stack: Reader(*(bytearray(part) for part in (SMALL[:3], SMALL[3:], path.read_bytes()[24:]))),
}


@pytest.fixture(autouse=True)
def leaves_no_descriptor():
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    yield
    end = time.monotonic() + 20
    while len(os.listdir("/proc/self/fd")) > before:  # a thread closes its end when it is told that there is no reader
        assert time.monotonic() < end
        gc.collect()
        time.sleep(0.02)


@pytest.fixture(scope="module")
def expected(capture):
    return [flow.as_tuple() for flow in flowmeter.read(capture)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_capture(capture, expected, kind):
    with contextlib.ExitStack() as stack:
        flows = flowmeter.read(KINDS[kind](capture, stack))
        got = [flow.as_tuple() for flow in flows]
        if kind == "read() only":  # conversation() is twice in it
            assert flows.account["seen"] == len(traffic()) + 8
        else:
            assert got == expected


def test_several_in_order(tmp_path):
    """Paths and file objects are one stream: the flow that begins in the first capture goes on in the last one."""
    packets = frames.conversation()
    path = tmp_path / "1.pcap"
    path.write_bytes(frames.pcap(packets[:2]))
    (tmp_path / "3.pcap").write_bytes(frames.pcap(packets[4:5]))
    captures = [path, io.BytesIO(frames.pcap(packets[2:4])), str(tmp_path / "3.pcap"), Reader(frames.pcap(packets[5:]))]
    assert [flow.as_tuple() for flow in flowmeter.read(iter(captures))] == \
        [flow.as_tuple() for flow in flowmeter.read(io.BytesIO(SMALL))]


def test_many_file_objects():
    """One thread reads them, one after the other."""
    before = threading.active_count()
    files = [io.BytesIO(frames.pcap([(float(i), frames.ethernet(frames.udp()))])) for i in range(400)]
    flows = flowmeter.read(files)
    assert threading.active_count() <= before + 1
    assert sum(flow["tot_fwd_pkts"] for flow in flows) == 400


def test_reading_begins_at_the_position(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"begin" + SMALL)
    with open(path, "rb") as file:
        assert file.read(5) == b"begin"
        assert len(list(flowmeter.read(file))) == 3
        assert file.tell() == 5 + len(SMALL)
    memory = io.BytesIO(b"begin" + SMALL)
    memory.seek(5)
    assert len(list(flowmeter.read(memory))) == 3
    for writer_waits in (False, True):  # what was read ahead, with and without more that can be read now
        reading, writing = os.pipe()
        with open(reading, "rb") as file, open(writing, "wb", buffering=0) as writer:
            writer.write(b"begin" + SMALL[:100])
            assert file.read(5) == b"begin"
            timer = threading.Timer(0.5 if writer_waits else 0, lambda w=writer: (w.write(SMALL[100:]), w.close()))
            timer.start()
            assert len(list(flowmeter.read(file))) == 3
            timer.join()
            assert os.get_blocking(reading)


def test_a_file_object_that_does_not_block():
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with open(reading, "rb", buffering=0) as file, open(writing, "wb", buffering=0) as writer:
        flows = flowmeter.read(file)
        for part in (SMALL[:50], SMALL[50:]):
            time.sleep(0.1)
            writer.write(part)
        writer.close()
        assert len(list(flows)) == 3


def test_only_what_is_needed_is_read():
    file = Reader()
    file.parts = endless()
    flows = flowmeter.read(file, packets=500)
    assert sum(flow["tot_fwd_pkts"] for flow in flows) == 500
    assert file.reads < 100  # the pipe holds 1 MiB
    flows = flowmeter.read(file)
    time.sleep(0.2)
    flows.close()


@pytest.mark.parametrize("broken", [SMALL[:100] + b"\xff" * 1000, b"this is no capture" * 10], ids=["damaged", "no capture"])
def test_the_rest_of_a_damaged_capture_is_not_waited_for(broken):
    """The meter leaves it, and goes on with the next capture, or ends."""
    long = itertools.chain([broken], itertools.repeat(b"\xff" * 100_000, 100))
    flows = flowmeter.read([Reader(*long), io.BytesIO(SMALL)])
    if broken.startswith(b"this"):
        with pytest.raises(flowmeter.CaptureError, match="<Reader>: not a pcap or pcapng capture"):
            list(flows)
    else:
        with pytest.warns(flowmeter.MeterWarning, match="^<Reader>: record cut short.* after packet"):
            assert len(list(flows)) > 2


@pytest.mark.parametrize("error", [OSError("the disk is gone"), EOFError("the stream ended"), ValueError(), KeyboardInterrupt()],
                         ids=repr)
@pytest.mark.parametrize("strict", [False, True])
def test_a_file_object_that_raises(error, strict):
    """The flows before are delivered. Then CaptureError is raised, and no warning about the record that is cut short."""
    flows = flowmeter.read(Reader(SMALL[:-7], error), strict=strict)
    got = []
    with pytest.raises(flowmeter.CaptureError, match=f"cannot read <Reader>: {str(error) or type(error).__name__}$") as caught:
        got.extend(flows)
    assert caught.value.__cause__ is error
    assert len(got) == 2 and flows.account["seen"] == 7
    assert list(flows) == []


def test_other_captures_are_still_read_if_one_raises(small):
    flows = flowmeter.read([Reader(SMALL[:30], OSError("lost")), small, io.BytesIO(SMALL)])
    got = []
    with pytest.raises(flowmeter.CaptureError, match="lost"):
        got.extend(flows)
    assert flows.account["seen"] == 16


def test_an_error_after_stop_does_not_matter():
    waiting = threading.Event()
    file = Reader(SMALL, lambda: waiting.wait(60) and 1 / 0)
    flows = flowmeter.read(file)
    while file.reads < 2:
        time.sleep(0.01)
    time.sleep(0.2)
    flows.stop()
    waiting.set()
    assert len(list(flows)) == 3


def test_an_archive_that_breaks_off(tmp_path):
    path = tmp_path / "x.pcap.gz"
    path.write_bytes(gzip.compress(frames.pcap(traffic()))[:-50_000])
    count = 0
    with gzip.open(path) as file, pytest.raises(flowmeter.CaptureError, match="x.pcap.gz: Compressed file ended") as caught:
        for _ in flowmeter.read(file):
            count += 1
    assert isinstance(caught.value.__cause__, EOFError) and count > 100


def test_text_is_refused(tmp_path, small):
    with open(small, encoding="latin-1") as file, pytest.raises(TypeError, match=r'small.pcap gives text: .*binary mode \("rb"\)'):
        flowmeter.read([io.BytesIO(SMALL), file])
    with pytest.raises(TypeError, match="binary mode"):
        flowmeter.read(io.StringIO("x"))
    for text in ("text", ""):
        with pytest.raises(TypeError, match="<Reader> gives text"):
            list(flowmeter.read(Reader(text)))


def test_what_is_no_capture_at_all():
    for capture in (3, None, [3]):
        with pytest.raises(TypeError, match="a capture is a path or a binary file object, not a (int|NoneType)"):
            flowmeter.read(capture)
    with pytest.raises(ValueError, match="content is io.BytesIO"):
        flowmeter.read(SMALL)
    with pytest.raises(flowmeter.CaptureError, match="<BytesIO>: the file is empty"):
        list(flowmeter.read(io.BytesIO()))
    with pytest.raises(flowmeter.CaptureError, match="<Reader>: .*bytes-like object"):
        list(flowmeter.read(Reader(7)))
    with pytest.raises(ValueError, match="idle_timeout"):
        flowmeter.read(io.BytesIO(SMALL), idle_timeout=-1)


def test_stop_and_close_do_not_wait_for_a_silent_file_object():
    for end in ("stop", "close", "del"):
        reading, writing = os.pipe()
        with open(writing, "wb", buffering=0) as writer, open(reading, "rb") as file:
            flows = flowmeter.read(file)
            writer.write(SMALL)
            time.sleep(0.3)
            start = time.monotonic()
            if end == "stop":
                flows.stop()
                assert len(list(flows)) == 3
            elif end == "close":
                flows.close()
            del flows
            file.close()
            assert time.monotonic() - start < 10


SILENT = """if 1:
    import flowmeter, io, os, socket, sys, threading
    kind = sys.argv[1]
    if kind == "pipe":
        file = open(os.pipe()[0], "rb")
    elif kind == "stdin":
        file = sys.stdin.buffer
    elif kind == "socket":
        sockets = socket.socketpair()
        file = sockets[0].makefile("rb")
    else:
        class Silent:
            def read(self, size):
                threading.Event().wait()
        file = Silent()
"""


@pytest.mark.parametrize("kind", ["pipe", "stdin", "socket", "object"])
@pytest.mark.parametrize("end", ["interrupt", "exit"])
def test_a_silent_file_object_keeps_python_from_nothing(kind, end):
    """Neither Ctrl-C in a loop, in a block that closes the file, nor the end of Python waits for it."""
    script = SILENT + ("    flows = flowmeter.read(file)\n" if end == "exit" else "") + """
    print("ready", flush=True)
    """ + ("import time; time.sleep(0.3)\n" if end == "exit" else """
    import contextlib
    with file if kind != "object" else contextlib.nullcontext():
        for flow in flowmeter.read(file):
            pass
    """)
    with subprocess.Popen([sys.executable, "-c", script, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
            if end == "interrupt":
                time.sleep(0.5)
                process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
            error = process.stderr.read()
        finally:
            process.kill()
    if end == "interrupt":
        assert process.returncode == -signal.SIGINT and error.rstrip().endswith("KeyboardInterrupt")
    else:
        assert (process.returncode, error) == (0, "")


def test_sigpipe_does_not_end_the_process():
    """Many programs restore the default action of SIGPIPE, so that they end with `| head`."""
    script = ("import flowmeter, itertools, io, signal, sys, time\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
              "class File:\n    parts = itertools.chain([open(sys.argv[1], 'rb').read()], itertools.repeat(bytes(1 << 20)))\n"
              "    def read(self, size): return next(self.parts)\n"
              "assert len(list(flowmeter.read(File(), packets=8))) == 3\ntime.sleep(0.3)\n")
    with tempfile.NamedTemporaryFile() as file:
        file.write(SMALL)
        file.flush()
        subprocess.run([sys.executable, "-c", script, file.name], check=True, timeout=60)


def test_a_fork_meanwhile():
    """The child holds no end of the pipes, so the parent's captures end."""
    waiting, second = threading.Event(), threading.Event()
    flows = flowmeter.read([Reader(SMALL, lambda: (second.set(), waiting.wait(60), b"")[2]), io.BytesIO(SMALL)])
    assert second.wait(60)
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(1)
    try:
        waiting.set()
        assert len(list(flows)) > 3 and flows.account["seen"] == 16
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.skipif("ASAN_OPTIONS" in os.environ, reason="AddressSanitizer keeps freed memory")
def test_memory_is_bounded():
    """A capture of 300 MB is streamed: neither it nor a copy on disk is ever whole."""
    script = """if 1:
        import flowmeter, itertools, re, sys
        sys.path.insert(0, sys.argv[1])
        import capture as frames
        record = b"".join(frames.pcap_record(1, frames.ethernet(frames.udp(b"x" * 1400))) for _ in range(200))
        class File:
            parts = itertools.chain([frames.pcap([])], itertools.repeat(record, 1000))
            def read(self, size): return next(self.parts, b"")
        flows = list(flowmeter.read(File()))
        assert [flow["tot_fwd_pkts"] for flow in flows] == [200_000]
        print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)
        """
    support = pathlib.Path(frames.__file__).parent
    done = subprocess.run([sys.executable, "-c", script, support], capture_output=True, text=True, timeout=200, check=True)
    assert int(done.stdout) < 60  # MiB
