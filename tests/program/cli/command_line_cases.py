# SPDX-License-Identifier: BSD-3-Clause
"""Shared by the tests of command lines: a capture, and checks of exit statuses with their messages."""
import capture
import cases
import meter

OK, FAILED, USAGE = 0, 1, 2
NOBODY = 65534


class CommandLine(cases.Case):
    def setUp(self):
        super().setUp()
        self.output = self.path("flows.csv")
        self.capture = self.write("x.pcap", capture.pcap(capture.conversation()))

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def text(self, path=None):
        with open(path or self.output, encoding="utf-8") as file:
            return file.read()

    def assert_fails(self, done, code, *words):
        """This exit status, and one error line that holds these words."""
        self.assertEqual(done.code, code, done.err)
        self.assertEqual(len(done.errors), 1, done.err)
        for word in words:
            self.assertIn(word, done.errors[0])
        unlabelled = [line for line in done.err.splitlines() if not line.startswith("flowmeter-ebpf: ")]
        self.assertEqual(unlabelled, [], "lines without a level")

    def assert_replayed(self, done, rows=3, metered=7):
        self.assertEqual(done.code, OK, done.err)
        self.assertEqual(done.errors, [])
        meter.assert_balanced(self, done.account)
        self.assertEqual(done.account["metered"], metered, done.err)
        self.assertEqual(done.account["flows"], rows, done.err)
