# SPDX-License-Identifier: BSD-3-Clause
"""mypy --strict over the package and over programs that use it."""
import pathlib
import subprocess
import sys

import flowmeter
import pytest

LABEL = "environment"
ENVIRONMENTS = "tools"
ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = pathlib.Path(flowmeter.__file__).parent
EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "docs/examples/talkers.py"

PROGRAM = """
import pathlib

import flowmeter
from flowmeter import analysis, diff

with flowmeter.read(pathlib.Path("x.pcap"), features="cic82", idle_timeout=30.0) as flows:
    for flow in flows:
        print(flow["src_ip"], flow.src_ip)
    reveal_type(flows.account)
found = diff.compare(flowmeter.read("x.pcap"), "x.csv", capture="x.pcap")
reveal_type(found.columns["flow_duration"].why)
result = analysis.analyze(flowmeter.read_frame("x.pcap"), limits=analysis.Limits(bulk_packets=20), correlate="all")
reveal_type(result.counts)
"""


def mypy(tmp_path, *arguments):
    return subprocess.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", *arguments],
                          capture_output=True, text=True, timeout=230, cwd=tmp_path)


def test_the_package(tmp_path):
    """The tools' internal modules are not annotated, so calls of them are not checked."""
    done = mypy(tmp_path, "--allow-untyped-calls", "--ignore-missing-imports", "--follow-imports=silent",
                *sorted(PACKAGE.glob("*.py")), PACKAGE / "diff" / "__init__.py", PACKAGE / "analysis" / "__init__.py")
    assert done.returncode == 0, done.stdout


def test_a_program_that_uses_it(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    done = mypy(tmp_path, "--ignore-missing-imports", "--follow-imports=silent", path, EXAMPLE)
    assert done.returncode == 0, done.stdout + done.stderr
    for kind in ('"dict[str, int]"', '"list[str]"', '"dict[str, dict[str, int]]"'):
        assert kind in done.stdout


def test_the_example(tmp_path):
    done = mypy(tmp_path, "--ignore-missing-imports", "--follow-imports=silent", ROOT / "docs" / "examples" / "talkers.py")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("line, error", [
    ('flowmeter.read("x.pcap", idle_timeout="30")', "arg-type"),
    ('flowmeter.read("x.pcap", idle_timout=30)', "call-arg"),
    ('flowmeter.read("x.pcap", features="cic81")', "arg-type"),
    ('flowmeter.read("x.pcap", duration=1)', "call-arg"),
    ('flowmeter.meter("lo", hook="xpd")', "arg-type"),
    ('analysis.analyze("x.csv", correlate="some")', "arg-type"),
    ('diff.compare("x.csv")', "call-arg"),
])
def test_mistakes_are_found(tmp_path, line, error):
    path = tmp_path / "program.py"
    path.write_text(f"import flowmeter\nfrom flowmeter import analysis, diff\n{line}\n")
    done = mypy(tmp_path, "--ignore-missing-imports", "--follow-imports=silent", path)
    assert done.returncode == 1 and f"[{error}]" in done.stdout, done.stdout
