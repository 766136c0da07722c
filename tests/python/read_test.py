# SPDX-License-Identifier: BSD-3-Clause
"""flowmeter.read(): the flows of captures as mappings; each value is equal to its cell in the program's CSV."""
import csv
import io
import logging
import os
import pathlib
import signal
import subprocess
import sys
import warnings
import threading
import time

import flowmeter
import pytest

import capture as frames

ENVIRONMENTS = "newest older"

SETS = [each.name for each in flowmeter.feature_sets()]


def csv_rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def assert_cell(value, text):
    """Compares a value of Python with its cell in the CSV."""
    if value is None:
        assert text == ""
    elif isinstance(value, str):
        assert value == text
    elif isinstance(value, int):
        assert str(value) == text
    else:
        assert isinstance(value, float) and value == float(text)


@pytest.mark.parametrize("features", SETS)
def test_flows_are_the_programs_rows(capture, program, features):
    expected = csv_rows(program("-f", capture, "--features", features, "--quality", "--fleet"))
    flows = flowmeter.read(capture, features=features, quality=True, fleet=True)
    columns = flows.columns
    got = list(flows)
    assert len(got) == len(expected) > 2 * 8192  # several batches
    assert columns == list(expected[0])
    for flow, row in zip(got, expected):
        assert list(flow) == columns
        for name in columns:
            assert_cell(flow[name], row[name])


@pytest.mark.parametrize("features", SETS)
def test_a_column_has_one_type_whatever_the_flow(capture, features):
    kinds = {}
    for flow in flowmeter.read(capture, features=features, extra="end_reason,interface"):
        for name, value in flow.items():
            if value is not None:
                kinds.setdefault(name, set()).add(type(value))
    assert all(len(types) == 1 for types in kinds.values()), kinds


def test_a_flow_is_a_mapping(small):
    flow = list(flowmeter.read(str(small)))[1]
    assert (flow["src_ip"], flow["src_port"], flow["protocol"]) == ("192.0.2.1", 4000, 6)
    assert flow["flow_duration"] == 0.3 and type(flow["flow_duration"]) is float
    assert len(flow) == 82 == len(flow.keys()) and "dst_ip" in flow and "nothing" not in flow
    assert dict(flow) == flow.as_dict() == flow
    assert flow.as_tuple() == tuple(flow.values())
    assert flow.get("nothing", 7) == 7
    with pytest.raises(KeyError, match="nothing"):
        flow["nothing"]
    with pytest.raises(TypeError):
        flow[["src_ip"]]
    with pytest.raises(TypeError):
        flowmeter.Flow()
    assert repr(flow).startswith("Flow({'src_ip': '192.0.2.1'")


def test_fields_and_extra(small):
    flows = flowmeter.read(small, fields=["dst_port", "src_ip"], extra="end_reason")
    assert flows.columns == ["dst_port", "src_ip", "end_reason"]
    assert next(flows).as_tuple() == (53, "192.0.2.1", "end")
    assert flowmeter.read(small, fields="src_ip, dst_ip").columns == ["src_ip", "dst_ip"]


def test_an_empty_cell_is_an_empty_text(small):
    flow = next(flowmeter.read(small, fields="interface,src_ip"))
    assert flow["interface"] == ""


def test_settings_are_the_programs(small, program):
    by_program = program("-f", small, "--idle-timeout", "0.05", "--subflow-gap", "0.01")
    flows = list(flowmeter.read(small, idle_timeout=0.05, subflow_gap=0.01))
    assert len(flows) == len(csv_rows(by_program)) > 3
    assert [flow["tot_fwd_pkts"] for flow in flows] == [int(row["tot_fwd_pkts"]) for row in csv_rows(by_program)]
    assert sum(flow["tot_fwd_pkts"] + flow["tot_bwd_pkts"] for flow in flowmeter.read(small, packets=2)) == 2


def test_several_captures_are_one_stream(tmp_path):
    packets = frames.conversation()
    paths = [tmp_path / "1.pcap", tmp_path / "2.pcap"]
    for path, part in zip(paths, (packets[:5], packets[5:])):
        path.write_bytes(frames.pcap(part))
    assert len(list(flowmeter.read(paths))) == 3
    assert len(list(flowmeter.read(paths[0]))) == 2


def test_account(small, caplog):
    with caplog.at_level(logging.INFO, "flowmeter"):
        flows = flowmeter.read(small)
        assert flows.account == {}
        list(flows)
    assert flows.account["seen"] == 8 and flows.account["metered"] == 7 and flows.account["not_ip"] == 1
    assert flows.account["flows"] == 3
    assert any("seen=8" in record.message for record in caplog.records)


def test_refused_settings(small):
    for wrong, words in (({"features": "cic81"}, "cic81.*cic82"), ({"idle_timeout": -1}, "^idle_timeout"),
                         ({"bulk_min_packets": 0}, "^bulk_min_packets"), ({"fields": "src_ipp"}, "src_ip"),
                         ({"fields": []}, "fields"), ({"max_flows": "many"}, "max_flows"),
                         ({"fields": " "}, "fields names no column"), ({"features": b"cic82"}, "cic82"),
                         ({"features": ""}, "cic82"), ({"quality": "perhaps"}, "quality.*neither true nor false")):
        with pytest.raises(ValueError, match=words):
            flowmeter.read(small, **wrong)
    for name, value in (("features", None), ("quality", None), ("idle_timeout", None), ("strict", False)):
        assert len(list(flowmeter.read(small, **{name: value}))) == 3  # as if it were not given
    for switch in (True, False):
        with pytest.raises(TypeError, match="idle_timeout"):
            flowmeter.read(small, idle_timeout=switch)
    with pytest.raises(ValueError, match="per_interface.*neither true nor false"):
        flowmeter.meter("lo", per_interface="perhaps")
    with pytest.raises(ValueError, match="no capture"):
        flowmeter.read([])
    for unknown in ("duration", "idle", "compat"):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{unknown}'"):
            flowmeter.read(small, **{unknown: 1})


def test_captures_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        flowmeter.read(tmp_path / "none.pcap")
    assert os.fspath(caught.value.filename) == str(tmp_path / "none.pcap")
    with pytest.raises(IsADirectoryError):
        flowmeter.read(tmp_path)
    if os.geteuid() != 0:
        (tmp_path / "closed.pcap").write_bytes(b"")
        (tmp_path / "closed.pcap").chmod(0)
        with pytest.raises(PermissionError):
            flowmeter.read(tmp_path / "closed.pcap")


def test_what_is_no_capture(tmp_path):
    path = tmp_path / "text.pcap"
    path.write_text("this is no capture, however long one reads\n")
    with pytest.raises(flowmeter.CaptureError, match="text.pcap"):
        list(flowmeter.read(path))


def test_names_of_any_bytes(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"-\xff[1,2] \xe4.pcap")
    pathlib.Path(os.fsdecode(path)).write_bytes(frames.pcap(frames.conversation()))
    assert len(list(flowmeter.read(os.fsdecode(path)))) == 3
    pathlib.Path(os.fsdecode(path)).write_bytes(frames.pcap(frames.conversation())[:-7])
    with pytest.warns(flowmeter.MeterWarning, match="after packet 7") as caught:
        flows = flowmeter.read(path)
        assert len(list(flows)) == 2
    assert os.fsdecode(path) in str(caught[0].message)
    flows._repr_html_().encode()


def test_a_damaged_capture_gives_what_is_whole_and_warns(damaged):
    flows = flowmeter.read(damaged)
    with pytest.warns(flowmeter.MeterWarning, match="after packet 7") as caught:
        assert len(list(flows)) == 2
    assert caught[0].filename == __file__
    assert flows.account["seen"] == 7


def test_a_damaged_capture_is_an_error_if_strict(damaged):
    got = []
    with pytest.raises(flowmeter.CaptureError, match="after packet 7"):
        for flow in flowmeter.read(damaged, strict=True):
            got.append(flow)
    assert len(got) == 2


def test_flows_forced_out_are_warned_of(capture):
    with pytest.warns(flowmeter.MeterWarning, match="max_flows"):
        flows = list(flowmeter.read(capture, max_flows=64))
    assert sum(flow["tot_fwd_pkts"] + flow["tot_bwd_pkts"] for flow in flows) == 7 + 1 + 17_000 + 5667


def test_an_iteration_that_is_left_ends_the_run(capture):
    before = threading_count()
    for flow in flowmeter.read(capture):
        break
    with flowmeter.read(capture) as flows:
        next(flows)
    with pytest.raises(StopIteration):
        next(flows)
    del flows, flow
    wait_until(lambda: threading_count() == before)


def test_stop_keeps_what_was_read(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    flows = flowmeter.read(fifo)
    with open(fifo, "wb", buffering=0) as writer:
        writer.write(frames.pcap(frames.conversation()))
        time.sleep(0.2)
        timer = threading.Timer(0.2, flows.stop)
        timer.start()
        assert len(list(flows)) == 3  # although the writer is open and silent
        timer.join()


def test_closing_a_run_that_waits_for_its_input(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    flows = flowmeter.read(tmp_path / "fifo")  # blocks in open(2)
    start = time.monotonic()
    flows.close()
    assert time.monotonic() - start < 5


def test_interrupt_from_the_keyboard(tmp_path):
    """KeyboardInterrupt ends a loop that waits for flows, and then Python ends."""
    os.mkfifo(tmp_path / "fifo")
    script = "import flowmeter, sys\nprint('ready', flush=True)\nlist(flowmeter.read(sys.argv[1]))\n"
    with subprocess.Popen([sys.executable, "-c", script, tmp_path / "fifo"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "KeyboardInterrupt" in error and process.returncode == -signal.SIGINT


def test_a_script_that_ends_in_the_middle(capture):
    """Unfinished runs neither keep Python from ending nor crash it."""
    script = "import flowmeter, sys\nflows = flowmeter.read(sys.argv[1])\nnext(flows)\nother = flowmeter.read(sys.argv[1])\n"
    done = subprocess.run([sys.executable, "-c", script, capture], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_fork_meanwhile(capture):
    """A child process can start its own runs but cannot use its parent's; when it ends, the parent's run continues."""
    script = """if 1:
        import flowmeter, os, sys
        flows = flowmeter.read(sys.argv[1])
        next(flows)
        child = os.fork()
        if child == 0:
            assert len(list(flowmeter.read(sys.argv[1]))) > 17000
            try:
                list(flows)
            except RuntimeError as error:
                assert "fork" in str(error)
                sys.exit(3)
            sys.exit(4)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        assert len(list(flows)) > 17000
        """
    done = subprocess.run([sys.executable, "-c", script, capture], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_fork_leaves_a_with_block(capture):
    script = ("import flowmeter, os, sys\nwith flowmeter.read(sys.argv[1]) as flows:\n    next(flows)\n    child = os.fork()\n"
              "if child: sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\nsys.exit(5)")
    done = subprocess.run([sys.executable, "-c", script, capture], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (5, "")


def test_a_warning_that_is_an_error_loses_no_account(damaged):
    flows = flowmeter.read(damaged)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(flowmeter.MeterWarning, match="after packet 7"):
            list(flows)
    assert flows.account["seen"] == 7


@pytest.mark.skipif("ASAN_OPTIONS" in os.environ, reason="AddressSanitizer keeps freed memory")
def test_memory_is_bounded_while_iterating(tmp_path):
    """Flows that are forced out are delivered while the capture is read, so not all rows are in memory at once."""
    path = tmp_path / "long.pcap"
    with open(path, "wb") as file:
        file.write(frames.pcap_header())
        for i in range(150_000):
            source = f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}"
            file.write(frames.pcap_record(1 + i * 0.01, frames.ethernet(frames.udp(b"", source))))
    script = (
        "import flowmeter, re, sys\n"
        "flows = flowmeter.read(sys.argv[1], max_flows=4096)\n"
        "next(flows)\n"
        "count = 1 + sum(1 for flow in flows)\n"
        "print(count, int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024)\n")
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, timeout=100, check=True)
    count, peak = map(int, done.stdout.split())
    assert count == 150_000
    assert peak < 70  # MiB; the rows alone would be 95


@pytest.mark.parametrize("before", ["", "flowmeter.features()"])
def test_sub_interpreters_are_refused(small, before):
    """Also if the main interpreter has loaded the native module, which Python may then copy."""
    pytest.importorskip("_xxsubinterpreters")
    script = f"""if 1:
        import _xxsubinterpreters as interpreters, flowmeter
        {before}
        interpreters.run_string(interpreters.create(), "import flowmeter; flowmeter.read('{small}')")
        """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "flowmeter works only in Python's main interpreter" in done.stderr, done.stderr


def test_threads_of_several_runs(capture):
    expected = sum(1 for _ in flowmeter.read(capture))
    counts = []
    threads = [threading.Thread(target=lambda: counts.append(sum(1 for _ in flowmeter.read(capture)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [expected] * 4


def threading_count():
    return len(os.listdir("/proc/self/task"))


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
