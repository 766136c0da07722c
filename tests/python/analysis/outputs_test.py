# SPDX-License-Identifier: BSD-3-Clause
"""scripts/flow_analyzer.py: outputs that cannot be written, that exist already, or that a signal interrupts."""
import os
import resource
import signal
import subprocess
import sys
import time

import analyzer
from analyzer import ALL, FIVE, FIVE_TABLES, PICTURES, TABLES, flows


class Outputs(analyzer.AnalyzerCase):
    def test_directory_that_cannot_be(self):
        self.write("out", "a file")
        done = self.run_analyzer(self.write("flow.csv", FIVE), status=3)
        self.assertIn("cannot be written", done.stderr)

    def test_outputs_that_cannot_be(self):
        """Directories have the names of some outputs: the other outputs are made, and no unfinished file is left."""
        names = ("flows_classified.csv", "summary_report.csv", "timing_analysis.png", "report.html")
        for name in names:
            os.makedirs(os.path.join(self.out, name))
        done = self.run_analyzer(self.write("flow.csv", FIVE), plots=True, status=3)
        self.assertEqual(self.made(), ALL)
        for name in names:
            self.assertIn(f"{name}: cannot be written", done.stderr)
            self.assertEqual(os.listdir(os.path.join(self.out, name)), [])
        for name in {*ALL} - {*names}:
            self.assertGreater(os.path.getsize(os.path.join(self.out, name)), 30, name)

    def test_full_disk(self):
        """A limit of the file size stands for a full disk: a file that is too large is not left, and the others are made."""
        command = ["bash", "-c", 'ulimit -f 20; trap "" XFSZ; exec "$@"', "bash", sys.executable, "-B", analyzer.ANALYZER, "--no-plots",
                   self.write("flow.csv", flows(*[{}] * 3000)), "-o", self.out]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("flows_classified.csv: cannot be written: File too large", done.stderr)
        self.assertEqual(self.made(), sorted({*TABLES, "report.html"} - {"flows_classified.csv"}))
        self.assertEqual(self.values("summary_report.csv")["Total Flows"], "3000")

    def test_full_standard_output(self):
        command = [sys.executable, "-B", analyzer.ANALYZER, self.write("flow.csv", FIVE), "-o", self.out, "--no-plots"]
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=200, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr.splitlines()[-1], "standard output: cannot be written: No space left on device$")
        self.assertEqual(self.made(), sorted([*TABLES, "report.html"]))

    def test_picture_that_cannot_be_drawn(self):
        """Some versions of matplotlib refuse such a size; others ask for some 25 GB of memory, more than there is here."""
        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))

        done = self.run_analyzer(self.write("flow.csv", FIVE), "--dpi", "9000", plots=True, status=3, preexec_fn=limit)
        self.assertEqual(done.stderr.count("cannot be drawn"), len(PICTURES))
        self.assertEqual(self.made(), sorted({*TABLES, "report.html"}))
        self.assertIn("could not be drawn", self.text("report.html"))

    def test_old_files_are_replaced_and_others_stay(self):
        os.makedirs(self.out)
        self.write("out/summary_report.csv", "old")
        self.write("out/mine.txt", "mine")
        self.run_analyzer(self.write("flow.csv", FIVE))
        self.assertEqual((self.text("mine.txt"), self.text("summary_report.csv")), ("mine", FIVE_TABLES["summary_report.csv"]))

    def test_input_may_be_an_output(self):
        self.run_analyzer(self.write("flow.csv", FIVE))
        first = self.text("flows_classified.csv")
        self.run_analyzer(os.path.join(self.out, "flows_classified.csv"))
        self.assertEqual(self.text("flows_classified.csv"), first)

    def test_stopped(self):
        """SIGTERM and SIGINT while rows are read leave no file."""
        for number in (signal.SIGTERM, signal.SIGINT):
            with subprocess.Popen([sys.executable, "-B", analyzer.ANALYZER, "-", "-o", self.out, "--no-plots"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                process.stdin.write(FIVE.encode())
                process.stdin.flush()
                try:
                    end = time.monotonic() + 60
                    while not self.made():
                        self.assertLess(time.monotonic(), end, "no output was started")
                        time.sleep(.05)
                    process.send_signal(number)
                    self.assertEqual(process.wait(60), 128 + number)
                finally:
                    process.kill()
            self.assertEqual(self.made(), [])
