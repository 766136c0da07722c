# SPDX-License-Identifier: BSD-3-Clause
"""Shared by all cases in Python. run_cases.py runs them."""
import os
import signal
import tempfile
import unittest

# Shorter than ctest's time-out, which kills the process: a case that hangs must still clean up.
CASE_SECONDS = 240

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
meter_path = os.path.join(ROOT, "build", "flowmeter-ebpf")


class Case(unittest.TestCase):
    """A case with a directory of its own, which other users may enter and write to, as /tmp."""

    maxDiff = None

    def setUp(self):
        signal.alarm(CASE_SECONDS)
        self.addCleanup(signal.alarm, 0)
        directory = tempfile.TemporaryDirectory(prefix="fmtest-")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        os.chmod(self.directory, 0o1777)

    def path(self, name):
        return os.path.join(self.directory, name)
