# SPDX-License-Identifier: BSD-3-Clause
"""flowmeter.sniffer: the interface for programs that were written for the Python cicflowmeter."""
import csv
import http.server
import json
import os
import threading

import flowmeter
import pytest
from flowmeter.sniffer import create_sniffer

import capture as frames

# The example of the Python tool's README; only the import is changed.
EXAMPLE = '''
from flowmeter.sniffer import create_sniffer

# Process PCAP file
sniffer, session = create_sniffer(
    input_file="example.pcap",
    input_interface=None,
    output_mode="csv",
    output="flows.csv",
    verbose=True
)

sniffer.start()
sniffer.join()
'''


def test_the_example(tmp_path, monkeypatch, capsys, program):
    (tmp_path / "example.pcap").write_bytes(frames.pcap(frames.conversation()))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(EXAMPLE, names)
    assert (tmp_path / "flows.csv").read_text() == program("-f", "example.pcap")
    session = names["session"]
    session.flush_flows()
    assert session.packets_count == 7 and session.output == "flows.csv"
    assert (tmp_path / "flows.csv").read_text().count("\n") == 4


def test_columns_of_the_python_tool(small, tmp_path):
    output = tmp_path / "flows.csv"
    sniffer, _ = create_sniffer(small, None, "csv", str(output), None, "src_ip,dst_ip,tot_fwd_pkts", False)
    sniffer.start()
    sniffer.join()
    with open(output, newline="", encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["src_ip", "dst_ip", "tot_fwd_pkts"] and len(rows) == 3


def test_a_directory(tmp_path, program):
    packets = frames.conversation()
    for name, part in (("b.pcap", packets[5:]), ("a.pcap", packets[:5]), ("notes.txt", [])):
        (tmp_path / name).write_bytes(frames.pcap(part))
    output = tmp_path / "flows.csv"
    sniffer, _ = create_sniffer(None, None, "csv", str(output), input_directory=tmp_path)
    sniffer.start()
    sniffer.join()
    assert output.read_text() == program("-f", tmp_path / "a.pcap", "-f", tmp_path / "b.pcap")
    with pytest.raises(ValueError, match="no capture"):
        create_sniffer(None, None, "csv", "x.csv", input_directory=os.path.dirname(__file__))


def test_stopping(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    output = tmp_path / "flows.csv"
    sniffer, session = create_sniffer(tmp_path / "fifo", None, "csv", str(output))
    assert not sniffer.running
    with pytest.raises(flowmeter.Error, match="not running"):
        sniffer.stop()
    sniffer.start()
    with pytest.raises(flowmeter.Error, match="is running"):
        sniffer.start()
    with open(tmp_path / "fifo", "wb", buffering=0) as writer:
        writer.write(frames.pcap(frames.conversation()))
        sniffer.join(0.3)
        assert sniffer.running
        sniffer.stop()
    assert not sniffer.running and session.packets_count == 7
    assert output.read_text().count("\n") == 4
    sniffer.join()  # as programs do in a `finally`


def test_what_cannot_be(small, tmp_path):
    output = str(tmp_path / "flows.csv")
    for arguments in ((small, "eth0", "csv", output), (None, None, "csv", output), (small, None, "json", output),
                      (small, None, "url", output), (small, None, "csv", "")):
        with pytest.raises(ValueError):
            create_sniffer(*arguments)
    with pytest.raises(FileNotFoundError):
        create_sniffer(str(tmp_path / "none.pcap"), None, "csv", output)
    content = small.read_bytes()
    with pytest.raises(ValueError, match="also an input"):
        create_sniffer(small, None, "csv", str(small))
    assert small.read_bytes() == content
    sniffer, _ = create_sniffer(small, None, "csv", output, fields="src_ipp")
    with pytest.raises(ValueError, match="src_ip"):
        sniffer.start()
    sniffer, _ = create_sniffer(small, None, "csv", str(tmp_path / "none" / "flows.csv"))
    with pytest.raises(flowmeter.Error, match="cannot write output"):
        sniffer.start()
    sniffer, _ = create_sniffer(small, None, "csv", "/dev/full")
    sniffer.start()
    with pytest.raises(flowmeter.Error, match="No space left") as failure:
        sniffer.join()
    assert failure.type is flowmeter.Error  # not CaptureError: the output failed


def test_damaged_captures(damaged, tmp_path):
    sniffer, _ = create_sniffer(damaged, None, "csv", str(tmp_path / "flows.csv"))
    sniffer.start()
    with pytest.warns(flowmeter.MeterWarning, match="after packet 7"):
        sniffer.join()
    assert (tmp_path / "flows.csv").read_text().count("\n") == 3
    (tmp_path / "text.pcap").write_text("this is no capture, however long one reads\n")
    sniffer, _ = create_sniffer(tmp_path / "text.pcap", None, "csv", str(tmp_path / "flows.csv"))
    sniffer.start()
    with pytest.raises(flowmeter.CaptureError, match="text.pcap"):
        sniffer.join()


class Service:
    """A service that takes flows by POST. It answers the next requests with the statuses in `answers`, then with 200."""

    def __init__(self, answers=()):
        self.flows, self.requests = [], 0
        answers = list(answers)
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.requests += 1
                status = answers.pop(0) if answers else 200
                if status == 200:
                    assert self.headers["Content-Type"] == "application/json"
                    service.flows.append(json.loads(body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/flows"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def test_flows_by_post(small):
    with Service() as service:
        sniffer, session = create_sniffer(small, None, "url", service.url)
        sniffer.start()
        sniffer.join()
    assert service.flows == [flow.as_dict() for flow in flowmeter.read(small)]
    assert session.packets_count == 7


def test_a_service_that_fails_for_a_while(small):
    with Service([503, 500]) as service:
        sniffer, _ = create_sniffer(small, None, "url", service.url)
        sniffer.start()
        with pytest.warns(flowmeter.MeterWarning, match="503; trying again"):
            sniffer.join()
    assert len(service.flows) == 3 and service.requests == 5


def test_a_service_that_refuses(small):
    with Service([400]) as service:
        sniffer, _ = create_sniffer(small, None, "url", service.url)
        sniffer.start()
        with pytest.warns(flowmeter.MeterWarning, match="400"), pytest.raises(flowmeter.Error, match="1 row refused"):
            sniffer.join()
    assert len(service.flows) == 2 and service.requests == 3


def test_a_service_that_is_not_there(small):
    with Service() as service:
        url = service.url
    sniffer, session = create_sniffer(small, None, "url", url)
    sniffer.start()
    with pytest.warns(flowmeter.MeterWarning), pytest.raises(flowmeter.Error, match="3 rows lost"):
        sniffer.join()
    assert session.packets_count == 7
