# SPDX-License-Identifier: BSD-3-Clause
"""Tests of the Python package against the program of the same build. ctest sets METER_PROGRAM and PYTHONPATH. If all tests
of a file are skipped, it says why and exits with 77, as ctest expects."""
import os
import subprocess

import pytest

import capture as frames
import cases

cases.meter_path = os.environ.get("METER_PROGRAM", cases.meter_path)

ICMP_ECHO = bytes([8, 0, 0, 0, 0, 7, 0, 1])


def traffic():
    """conversation(), a ping, and enough UDP flows for several batches; in two of these, no cell is empty or zero."""
    packets = [*frames.conversation(), (4.0, frames.ethernet(frames.ipv4(1, ICMP_ECHO)))]
    for flow in range(17_000):
        source = f"10.1.{flow >> 8}.{flow & 255}"
        packets.append((5 + flow * 1e-4, frames.ethernet(frames.udp(b"z" * (flow % 90), source))))
    for flow in range(0, 17_000, 3):
        source = f"10.1.{flow >> 8}.{flow & 255}"
        packets.append((7 + flow * 1e-4, frames.ethernet(frames.udp(b"z", frames.SERVER, source, (53, 4000)))))
    return packets


@pytest.fixture(scope="session")
def capture(tmp_path_factory):
    path = tmp_path_factory.mktemp("captures") / "traffic.pcap"
    path.write_bytes(frames.pcap(traffic()))
    return path


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.pcap"
    path.write_bytes(frames.pcap(frames.conversation()))
    return path


@pytest.fixture
def damaged(tmp_path):
    path = tmp_path / "damaged.pcap"
    path.write_bytes(frames.pcap(frames.conversation())[:-7])
    return path


@pytest.fixture(scope="session")
def program():
    """Runs the program and returns its standard output."""
    def run(*arguments):
        done = subprocess.run([cases.meter_path, "-q", "-c", "-", *map(str, arguments)], capture_output=True, text=True,
                              check=True, timeout=60)
        return done.stdout
    return run


def pytest_terminal_summary(terminalreporter):
    stats = terminalreporter.stats
    if "skipped" in stats and not any(stats.get(kind) for kind in ("passed", "failed", "error")):
        for report in stats["skipped"]:
            print("skipped:", str(report.longrepr[2]).removeprefix("Skipped: "))


def pytest_sessionfinish(session, exitstatus):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if "skipped" in reporter.stats and not any(reporter.stats.get(kind) for kind in ("passed", "failed", "error")):
        session.exitstatus = 77
