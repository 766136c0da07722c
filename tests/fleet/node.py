# SPDX-License-Identifier: BSD-3-Clause
"""One node of a fleet: a host and its meter, which is killed and started again."""
import tempfile

import cases
import meter
import metrics
import network

SMALL = ("--max-flows", "32768", "--event-memory", "16", "--idle-timeout", "3", "--tcp-linger", "1", "--active-timeout", "15")


class Node:
    """arguments: of its outputs."""

    def __init__(self, case, host, pins, *arguments):
        self.case, self.host, self.name = case, host, f"node-{host.number}"
        private = tempfile.TemporaryDirectory(prefix="fmfleet-")
        case.addCleanup(private.cleanup)
        self.rows = case.path(self.name + ".csv")
        self.socket = case.path(self.name + ".metrics")
        self.command = [cases.meter_path, "-v", "--netns", host.namespace.name, "-i", network.LINK, *SMALL,
                        "--pin", f"{pins}/{self.name}", "--state-dir", private.name + "/state", "--meter-id", self.name, "--fleet",
                        "--extra", "direction,end_reason", "-c", self.rows, "--spool", private.name + "/spool",
                        "--metrics", "unix:" + self.socket, *arguments]
        self.runs = []

    def start(self, *more):
        log = self.case.path(f"{self.name}-{len(self.runs)}.log")
        self.runs.append(meter.Process(self.case, log, [*self.command, *more]))
        self.runs[-1].wait_attached()

    def kill(self):
        self.runs[-1].process.kill()
        self.runs[-1].process.wait()

    def stop(self):
        """A stop that must succeed."""
        done = self.runs[-1].stop()
        self.case.assertEqual((done.code, done.errors), (0, []), done.err[-3000:])
        meter.assert_balanced(self.case, done.account)
        return done.account

    def end(self):
        """Ends the metering; returns the account of all runs."""
        self.stop()
        self.start("--unpin", "--drain", "120")
        return self.stop()

    def rows_made(self):
        """By its own file."""
        try:
            with open(self.rows, "rb") as file:
                return max(0, file.read().count(b"\n") - 1)
        except FileNotFoundError:
            return 0

    def rows_spooled(self):
        """By its metrics; 0 while it does not run."""
        try:
            return sum(metrics.scrape(self.socket).by("flowmeter_output_spooled_rows", "output").values())
        except OSError:
            return 0
