# SPDX-License-Identifier: BSD-3-Clause
"""Flows in a notebook, an event loop, and several threads: what they look like, and how a run ends."""
import asyncio
import contextlib
import html.parser
import io
import operator
import os
import signal
import subprocess
import sys
import threading
import time

import flowmeter
import pytest

import capture as frames

ENVIRONMENTS = "newest"

SMALL = frames.pcap(frames.conversation())


class Cells(html.parser.HTMLParser):
    """The texts of a table."""

    def __init__(self, text):
        super().__init__()
        self.texts = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag in ("th", "td"):
            self.texts.append("")

    def handle_data(self, data):
        self.texts[-1] += data


def silent_fifo(tmp_path):
    """A capture that has begun and does not go on, and what keeps it open."""
    os.mkfifo(tmp_path / "fifo")
    flows = flowmeter.read(tmp_path / "fifo")
    writer = open(tmp_path / "fifo", "wb", buffering=0)
    writer.write(SMALL)
    return flows, writer


def test_flows_say_what_they_are(small):
    flows = flowmeter.read(small)
    assert repr(flows) == f"<Flows cic82 of {small}: 0 read>"
    next(flows)
    assert repr(flows) == f"<Flows cic82 of {small}: 1 read>"
    assert len(list(flows)) == 2
    assert repr(flows) == f"<Flows cic82 of {small}: 3 read>"
    flows = flowmeter.read([io.BytesIO(SMALL), small, small], features="realtime97")
    assert repr(flows) == "<Flows realtime97 of <BytesIO> and 2 more: 0 read>"
    flows.close()
    flows.close()


def test_flows_in_a_notebook(small):
    """Showing takes no flow."""
    flows = flowmeter.read([small, io.BytesIO(SMALL)], fields="src_ip,dst_ip", idle_timeout=30)
    next(flows)
    cells = Cells(flows._repr_html_()).texts
    assert dict(zip(cells[::2], cells[1::2])) == {
        "flows of": f"{small} and 1 more", "feature set": "cic82", "columns": "src_ip, dst_ip", "idle_timeout": "30",
        "flows read": "1 so far"}
    count = 1 + len(list(flows))
    cells = Cells(flows._repr_html_()).texts
    assert cells[-1] == f"{count}, all"
    assert "tot_fwd_pkts" not in cells[5]
    assert "… (82)" in flowmeter.read(small)._repr_html_()


def test_markup_is_escaped(tmp_path):
    path = tmp_path / "<b>&.pcap"
    path.write_bytes(SMALL)
    text = flowmeter.read(path)._repr_html_()
    assert "&lt;b&gt;&amp;.pcap" in text and "<b>" not in text


def test_a_flow_says_what_it_is(small):
    flow = next(flowmeter.read(small))
    assert repr(flow).startswith("Flow({'src_ip': '192.0.2.1', 'dst_ip': '192.0.2.2', 'src_port': 4000, ")
    assert repr(flow).endswith(", ... 74 more})")
    cells = Cells(flow._repr_html_()).texts
    assert cells[::2] == list(flow)
    assert cells[1::2] == ["" if value is None else str(value) for value in flow.values()]
    flow = next(flowmeter.read(small, fields="src_port,dst_port"))
    assert repr(flow) == "Flow({'src_port': 4000, 'dst_port': 53})"


def test_an_event_loop(capture):
    """`async for` gives the same flows, and the loop goes on between batches."""
    expected = [flow.as_tuple() for flow in flowmeter.read(capture)]
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main():
        counter = asyncio.create_task(count_turns())
        async with flowmeter.read(capture) as flows:
            got = [flow.as_tuple() async for flow in flows]
        counter.cancel()
        assert flows.account["flows"] == len(got)
        return got

    assert asyncio.run(main()) == expected
    assert turns > 3


def test_an_event_loop_gets_errors(damaged):
    async def main():
        count = 0
        with pytest.raises(flowmeter.CaptureError, match="after packet 7"):
            async for _ in flowmeter.read(damaged, strict=True):
                count += 1
        return count

    assert asyncio.run(main()) == 2


def test_a_cancelled_task_loses_no_flow(tmp_path):
    """Cancellation leaves the run as it is; leaving `async with` ends it. The end of the loop waits for neither."""
    flows, writer = silent_fifo(tmp_path)

    async def main():
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(flows), 0.1)
        flows.stop()
        assert len([flow async for flow in flows]) == 3

    with writer:
        asyncio.run(main())


def test_leaving_async_with_ends_a_run(tmp_path):
    flows, writer = silent_fifo(tmp_path)

    async def wait():
        async with flows:
            async for _ in flows:
                pass

    async def main():
        task = asyncio.create_task(wait())
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(flows) == []

    start = time.monotonic()
    with writer:
        asyncio.run(main())
    assert time.monotonic() - start < 20


def test_the_error_of_a_cancelled_task_is_raised_later(damaged):
    flows = flowmeter.read(damaged, strict=True)
    list(zip(range(2), flows))
    slow = threading.Event()
    advance = flows._advance

    async def main():
        flows._advance = lambda **keep: slow.wait(60) and advance(**keep)
        task = asyncio.create_task(anext(flows))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        slow.set()
        with pytest.raises(flowmeter.CaptureError, match="after packet 7"):
            while True:
                await anext(flows)

    asyncio.run(main())


def test_threads_share_the_flows_of_a_run(capture):
    """Each flow goes to one of them."""
    expected = sorted(flow.as_tuple() for flow in flowmeter.read(capture))
    flows = flowmeter.read(capture)
    got = [[], [], []]

    def take(mine):
        mine.extend(flow.as_tuple() for flow in flows)

    def take_one_by_one():
        for flow in iter(lambda: next(flows, None), None):
            got[2].append(flow.as_tuple())

    threads = [threading.Thread(target=take, args=(got[0],)), threading.Thread(target=take, args=(got[1],)),
               threading.Thread(target=take_one_by_one)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(row for rows in got for row in rows) == expected


def test_threads_of_eight_runs(tmp_path):
    counts = {}
    for i in range(8):
        (tmp_path / f"{i}.pcap").write_bytes(frames.pcap(
            [(1 + j * 1e-3, frames.ethernet(frames.udp(b"", f"10.{i}.{j >> 8}.{j & 255}"))) for j in range(1000 * (i + 1))]))

    def count(i):
        counts[i] = sum(flow["src_ip"].startswith(f"10.{i}.") for flow in flowmeter.read(tmp_path / f"{i}.pcap"))

    threads = [threading.Thread(target=count, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert counts == {i: 1000 * (i + 1) for i in range(8)}


def test_progress(capture, capsys):
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    flows = flowmeter.read([capture, capture], progress=True)
    count = sum(1 for _ in flows)
    shown = capsys.readouterr().err
    assert "100%" in shown and f"flows={count}" in shown and f"packets={flows.account['seen']}" in shown
    assert str(capture) in shown and shown.endswith("\n")
    with flowmeter.read(io.BytesIO(SMALL), progress=True):
        pass
    assert "<BytesIO>" in capsys.readouterr().err
    list(flowmeter.read(io.BytesIO(SMALL)))
    assert capsys.readouterr().err == ""


def test_progress_without_tqdm(small):
    script = ("import sys\nsys.modules['tqdm'] = None\nimport flowmeter\n"
              "assert len(list(flowmeter.read(sys.argv[1], progress=True))) == 3\n")
    done = subprocess.run([sys.executable, "-c", script, small], capture_output=True, timeout=60, check=True)
    assert done.stderr == b""


def test_a_bar_does_not_keep_a_run(tmp_path):
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    os.mkfifo(tmp_path / "fifo")
    before = len(os.listdir("/proc/self/task"))
    flows = flowmeter.read(tmp_path / "fifo", progress=True)
    del flows
    end = time.monotonic() + 60
    while len([thread for thread in threading.enumerate() if "progress" in thread.name]) > 0:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert len(os.listdir("/proc/self/task")) <= before + 1  # tqdm has a monitor


def test_the_end_of_python_while_threads_start_runs(small):
    """A thread that is in native code when Python ends must not end the process by a signal."""
    script = """if True:
        import sys, threading, time, flowmeter
        sys.unraisablehook = threading.excepthook = lambda *_: None  # what is raised there does not matter
        def read():
            while True:
                list(flowmeter.read(sys.argv[1]))
        for _ in range(3):
            threading.Thread(target=read, daemon=True).start()
        time.sleep(0.2)"""
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", script, small], capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr


ENDS = {
    "loop": "for flow in flows: pass",
    "next": "while next(flows, None): pass",
    "frame": "flows.frame()",
    "arrow": "pyarrow.RecordBatchReader.from_stream(flows).read_all()",
    "asyncio": "async def main():\n    async for flow in flows: pass\nasyncio.run(main())",
    "async with": "async def main():\n    async with flows:\n        async for flow in flows: pass\n"
                  "asyncio.run(main())",
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("end", ["interrupt", "exit"])
def test_the_end_of_python_while_a_run_waits(tmp_path, how, end):
    """Ctrl-C ends a call that waits for flows. If Python ends while threads wait for flows, it neither hangs nor crashes."""
    modules = "sys, threading, time, flowmeter"
    if needed := {"frame": "pandas", "arrow": "pyarrow", "asyncio": "asyncio", "async with": "asyncio"}.get(how):
        pytest.importorskip(needed, reason=f"{needed} is not installed")
        modules += f", {needed}"  # not in the thread: Python refuses imports while it ends
    os.mkfifo(tmp_path / "fifo")
    script = f"import {modules}\nflows = flowmeter.read(sys.argv[1])\ndef run():\n" + "".join(
        f"    {line}\n" for line in ENDS[how].splitlines())
    if end == "exit":
        # One run has one Arrow reader.
        script += (f"for _ in range({1 if how == 'arrow' else 3}):\n    threading.Thread(target=run, daemon=True).start()\ntime.sleep(1)\n"
                   "print('ready', flush=True)\n")
    else:
        script += "print('ready', flush=True)\nrun()\n"
    with subprocess.Popen([sys.executable, "-X", "faulthandler", "-c", script, tmp_path / "fifo"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        try:
            with open(tmp_path / "fifo", "wb", buffering=0) as writer:
                writer.write(SMALL)
                assert process.stdout.readline() == "ready\n", process.stderr.read()
                if end == "interrupt":
                    time.sleep(1)
                    process.send_signal(signal.SIGINT)
                process.wait(60)
            error = process.stderr.read()
        finally:
            process.kill()
    if end == "interrupt":
        assert "KeyboardInterrupt" in error and process.returncode in (-signal.SIGINT, 1), error
    else:
        assert process.returncode == 0 and (not error or error.endswith("OSError: Python is ending\n")), error


READERS = {
    "pyarrow": "pyarrow.RecordBatchReader.from_stream(flows).read_all()",
    "polars": "polars.DataFrame(flows)",
    "duckdb": "connection.sql('select count(*) from flows').fetchall()",
}


@pytest.mark.parametrize("module", READERS)
@pytest.mark.parametrize("begins", ["before", "at once", "after"])
def test_an_arrow_reader_while_python_ends(tmp_path, module, begins):
    """It gets an error or the end. It must not be kept, because it may have locks that the end of the process needs."""
    pytest.importorskip(module, reason=f"{module} is not installed")
    os.mkfifo(tmp_path / "fifo")
    script = f"""if True:
        import atexit, sys, threading, time
        ending = threading.Event()
        @atexit.register
        def end():  # after the package's, which was registered later
            ending.set()
            time.sleep(0.5)
        import flowmeter, pyarrow, {module}
        connection = {module}.connect() if "{module}" == "duckdb" else None
        flows = flowmeter.read(sys.argv[1])
        def run():
            {"ending.wait()" if begins == "after" else "pass"}
            {READERS[module]}
        threading.Thread(target=run, daemon=True).start()
        {"time.sleep(1)" if begins == "before" else "pass"}"""
    with subprocess.Popen([sys.executable, "-X", "faulthandler", "-c", script, tmp_path / "fifo"], stderr=subprocess.PIPE,
                          text=True) as process:
        try:
            with open(tmp_path / "fifo", "wb", buffering=0) as writer:
                with contextlib.suppress(BrokenPipeError):  # the process may have ended by then
                    writer.write(SMALL)
                process.wait(60)
            error = process.stderr.read()
        finally:
            process.kill()
    assert process.returncode == 0 and (not error or error.startswith("Exception in thread")), error


def test_interrupting_leaves_a_process_that_goes_on(tmp_path):
    """As in a notebook: the interrupted run is over, and others can be started."""
    flows, writer = silent_fifo(tmp_path)
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with writer, pytest.raises(KeyboardInterrupt):
        list(flows)
    timer.join()
    assert list(flows) == []
    assert len(list(flowmeter.read(io.BytesIO(SMALL)))) == 3


def test_a_fork_that_reads(capture):
    """A forked child reads captures and file objects, also when its parent has a bar and threads."""
    with flowmeter.read(capture, progress=True) as flows:
        next(flows)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if len(list(flowmeter.read([io.BytesIO(SMALL), capture]))) > 10_000 else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert sum(1 for _ in flows) > 10_000


def test_columns_that_are_not_there(small):
    for call in (flowmeter.read, flowmeter.read_frame):
        with pytest.raises(ValueError, match=r'^fields: no column "nothing" \(flowmeter.features\(\) and .* list them'):
            call(small, fields=["src_ip", "nothing"])
        with pytest.raises(ValueError, match='^extra: no column "nothing"'):
            call(small, extra="nothing")
    flow = next(flowmeter.read(small, fields=["src_ip"]))
    with pytest.raises(KeyError, match="dst_ip"):
        operator.itemgetter("dst_ip")(flow)
    with pytest.raises(AttributeError, match="dst_ip"):
        operator.attrgetter("dst_ip")(flow)
