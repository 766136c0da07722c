# SPDX-License-Identifier: BSD-3-Clause
"""The memory of a process does not grow with the number of runs that have ended, however they ended."""
import importlib.util
import os
import subprocess
import sys

import pytest

ENVIRONMENTS = "newest"

# Reads the capture in the `ways`, one after the other, and prints by how many KiB the resident memory grew over each 500 times,
# after 200, until it has not grown, at most 20 times. A leaked batch of flows for each run would be some 50 MB, an object of
# Python some 50 KiB. What is kept for good, such as a cache or the pools of an allocator, grows in some of these only.
SCRIPT = """
import contextlib, itertools, sys, warnings
import flowmeter

warnings.simplefilter("ignore", flowmeter.MeterWarning)
path = sys.argv[1]

def resident_kib():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4

ways = itertools.cycle(({ways}))
for _ in range(200):
    with contextlib.suppress(ValueError, flowmeter.CaptureError):
        next(ways)()
for _ in range(20):
    before = resident_kib()
    for _ in range(500):
        with contextlib.suppress(ValueError, flowmeter.CaptureError):
            next(ways)()
    print(resident_kib() - before)
    if resident_kib() - before < {most}:
        break
"""
MOST_KIB = 32
TO_THE_END = ["lambda: list(flowmeter.read(path))"]
OTHERWISE = ["lambda: [flow.as_dict() for flow in flowmeter.read(path, features='netflowmeter114')]",
             "lambda: next(flowmeter.read(path))", "lambda: flowmeter.read(path)", "lambda: flowmeter.read(path).close()",
             "lambda: flowmeter.read(path, features='none')",  # ValueError
             "lambda: list(flowmeter.read(flowmeter.__file__))"]  # CaptureError
TABLES = {"pandas": "lambda: flowmeter.read_frame(path)", "pyarrow": "lambda: __import__('pyarrow').table(flowmeter.read(path))"}


@pytest.mark.skipif("ASAN_OPTIONS" in os.environ, reason="AddressSanitizer keeps freed memory")
@pytest.mark.parametrize("ways", [TO_THE_END, OTHERWISE, TABLES], ids=["to the end", "otherwise", "tables"])
def test_a_thousand_runs(small, ways):
    if ways is TABLES:
        ways = [way for package, way in TABLES.items() if importlib.util.find_spec(package)]
        if not ways:
            pytest.skip("neither pandas nor pyarrow is installed")
    # One arena for all threads: otherwise the allocator may keep memory for each thread that it has seen.
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(ways=", ".join(ways) + ",", most=MOST_KIB), small], capture_output=True, text=True,
                          timeout=200, env={**os.environ, "MALLOC_ARENA_MAX": "1"})
    assert done.returncode == 0, done.stderr
    grown = [int(line) for line in done.stdout.split()]
    assert min(grown) < MOST_KIB, grown
