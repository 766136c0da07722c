# SPDX-License-Identifier: BSD-3-Clause
"""Cases that run scripts/flow_analyzer.py. They need what it needs, and go on under Debian's Python if this one has not
got it; where nothing has, they are skipped."""
import csv
import os
import subprocess
import sys

import cases

from flowmeter.analysis import interpreter

MISSING = interpreter.require("numpy", "pandas", "matplotlib")
ANALYZER = os.path.join(cases.ROOT, "scripts", "flow_analyzer.py")
TABLES = ["flows_classified.csv", "packet_size_summary.csv", "strong_correlations.csv", "summary_report.csv",
          "summary_statistics.csv"]
PICTURES = ["correlation_heatmap.png", "flow_classification.png", "packet_size_analysis.png", "periodic_traffic.png",
            "timing_analysis.png", "traffic_timeline.png"]
ALL = sorted([*TABLES, *PICTURES, "report.html"])


class AnalyzerCase(cases.Case):
    def setUp(self):
        super().setUp()
        if MISSING:
            self.skipTest(f"Python has no {' and no '.join(MISSING)}: scripts/install-dependencies --test")
        self.out = self.path("out")

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return self.path(name)

    def run_analyzer(self, *arguments, status=0, plots=False, out=True, **options):
        """The finished process; it must exit with the status, and standard output must be the output directory's name."""
        command = [sys.executable, "-B", ANALYZER, *arguments]
        command += ["-o", self.out] * out + ["--no-plots"] * (not plots)
        options.setdefault("cwd", self.directory)
        done = subprocess.run(command, capture_output=True, text=not isinstance(options.get("input"), bytes), timeout=200,
                              check=False, **options)
        self.assertEqual(done.returncode, status, f"{arguments}: {done.stderr}")
        self.assertNotIn("Traceback", str(done.stderr))
        return done

    def made(self):
        """Names in the output directory, hidden ones (unfinished files) included."""
        return sorted(os.listdir(self.out)) if os.path.isdir(self.out) else []

    def rows(self, name):
        with open(os.path.join(self.out, name), encoding="utf-8", newline="") as file:
            return list(csv.reader(file))

    def text(self, name):
        with open(os.path.join(self.out, name), encoding="utf-8", newline="") as file:
            return file.read()

    def values(self, name):
        """{metric: value} of a table of two columns."""
        return dict(self.rows(name)[1:])
