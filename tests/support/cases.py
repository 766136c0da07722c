# SPDX-License-Identifier: BSD-3-Clause
"""Runs unittest cases one by one for ctest: --list prints their names, and a skipped case exits with status 77.

A test program calls main(). Each ctest test then is `python3 PROGRAM.py --meter PATH Class.test_name`; by hand,
without a name, all cases run.
"""
import argparse
import os
import signal
import sys
import tempfile
import unittest

SKIPPED = 77
# Below ctest's time-out, which kills: a case that hangs is to take its namespaces and processes with it.
CASE_SECONDS = 240

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
meter_path = os.path.join(ROOT, "build", "flowmeter-ebpf")


class Case(unittest.TestCase):
    """A case with a directory of its own, which other users may enter and write to."""

    maxDiff = None

    def setUp(self):
        signal.alarm(CASE_SECONDS)
        self.addCleanup(signal.alarm, 0)
        directory = tempfile.TemporaryDirectory(prefix="fmtest-")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        os.chmod(self.directory, 0o777)

    def path(self, name):
        return os.path.join(self.directory, name)


def all_cases(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from all_cases(item)
        else:
            yield item


def main():
    global meter_path
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("--meter", default=meter_path, help="the program under test")
    parser.add_argument("names", nargs="*", metavar="Class.test_name")
    arguments = parser.parse_args()
    # Under the name that the cases import it by, whatever name the interpreter gave to the script.
    sys.modules["cases"].meter_path = os.path.abspath(arguments.meter)
    loader = unittest.defaultTestLoader
    everything = loader.loadTestsFromModule(sys.modules["__main__"])
    if arguments.list:
        for case in all_cases(everything):
            print(case.id().removeprefix("__main__."))
        return

    def unwind(number, _):
        raise TimeoutError(f"stopped by {signal.Signals(number).name}")

    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, unwind)
    suite = everything
    if arguments.names:
        suite = loader.loadTestsFromNames(arguments.names, sys.modules["__main__"])
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    if not result.wasSuccessful() or result.testsRun == 0:
        sys.exit(1)
    if len(result.skipped) == result.testsRun:
        for _, reason in result.skipped:
            print("skipped:", reason)
        sys.exit(SKIPPED)
