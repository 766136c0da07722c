# SPDX-License-Identifier: BSD-3-Clause
"""scripts/flow_analyzer.py: options and environment, and the whole way from a capture to the page."""
import os
import pty
import re
import subprocess
import sys

import analyzer
import cases
from analyzer import ALL, BULK, FIVE, INTERACTIVE, LARGE, OTHER, QUICK, TABLES


class CommandLine(analyzer.AnalyzerCase):
    def test_usage(self):
        for wrong in (["--timing", "3", "2", "1"], ["--correlation", "1.5"], ["--bulk-packets", "many"], ["--large-bytes", "nan"],
                      ["--dpi", "0"], ["--precedence", "first"], ["--nothing"], ["a", "b"], ["-", "--compare", "-"]):
            with self.subTest(wrong):
                done = self.run_analyzer(*wrong, status=2)
                self.assertEqual((done.stdout, self.made()), ("", []))

    def test_version_is_the_project_s(self):
        with open(os.path.join(cases.ROOT, "CMakeLists.txt"), encoding="utf-8") as file:
            version = re.search(r"project\(flowmeter-ebpf VERSION (\S+)", file.read())[1]
        self.assertEqual(self.run_analyzer("--version").stdout, f"flow_analyzer.py {version}\n")

    def test_tables_without_matplotlib(self):
        os.makedirs(self.path("shadow/matplotlib"))
        self.write("shadow/matplotlib/__init__.py", "raise ImportError('not to be loaded')")
        environment = os.environ | {"PYTHONPATH": self.path("shadow")}
        self.run_analyzer(self.write("flow.csv", FIVE), env=environment)
        self.assertEqual(self.made(), sorted([*TABLES, "report.html"]))

    def test_no_display_is_needed(self):
        environment = os.environ | {"MPLBACKEND": "nonsense", "DISPLAY": ":77"}
        self.run_analyzer(self.write("flow.csv", FIVE), plots=True, env=environment)
        self.assertEqual(self.made(), ALL)

    def test_quiet_and_progress(self):
        path = self.write("flow.csv", FIVE)
        self.assertEqual(self.run_analyzer(path, "-q").stderr, "")
        self.assertIn("- DEBUG - summary_report.csv: 23 rows", self.run_analyzer(path, "-v").stderr)
        for quiet, shown in (([], True), (["-q"], False)):
            terminal, its_end = pty.openpty()
            with subprocess.Popen([sys.executable, "-B", analyzer.ANALYZER, path, "-o", self.out, "--no-plots", *quiet],
                                  stdout=subprocess.DEVNULL, stderr=its_end) as process:
                os.close(its_end)
                said = b""
                try:
                    while data := os.read(terminal, 4096):
                        said += data
                except OSError:  # Linux reports the end of a terminal in this way
                    pass
                self.assertEqual(process.wait(60), 0)
            os.close(terminal)
            self.assertEqual(b"5 flows read, 100 %" in said, shown, said)


class EndToEnd(analyzer.AnalyzerCase):
    def test_capture_to_page(self):
        """The meter makes flows of a capture, and the analyser classifies them: each kind of conversation is in its class."""
        import office_capture

        capture = self.path("office.pcap")
        made = office_capture.write(capture)
        subprocess.run([cases.meter_path, "-q", "-f", capture, "-c", self.path("flow.csv")], check=True, timeout=60)
        done = self.run_analyzer(self.path("flow.csv"), plots=True)
        self.assertNotIn("WARNING", done.stderr)
        self.assertEqual(self.made(), ALL)
        header, *rows = self.rows("flows_classified.csv")
        self.assertEqual(len(rows), sum(made.values()))
        port, of_type, periodic = (header.index(name) for name in ("dst_port", "flow_type", "is_periodic"))
        self.assertEqual({row[of_type] for row in rows if row[port] == "53"}, {QUICK})
        self.assertEqual({row[of_type] for row in rows if row[port] == "443"}, {LARGE})
        self.assertEqual({row[of_type] for row in rows if row[port] == "22"}, {INTERACTIVE})
        self.assertEqual({(row[of_type], row[periodic]) for row in rows if row[port] == "8883"}, {(OTHER, "True")})
        self.assertEqual({row[of_type] for row in rows if row[port] == "514"}, {BULK})
        self.assertEqual(len({row[port] for row in rows} - {"53", "443", "22", "8883", "514"}), made["scan"])
        for mode, layout in (("python", "82 features"), ("java", "Java CICFlowMeter")):
            subprocess.run([cases.meter_path, "-q", "--compat", mode, "-f", capture, "-c", self.path("flow.csv")], check=True, timeout=60)
            done = self.run_analyzer(self.path("flow.csv"))
            self.assertRegex(done.stderr, rf"2\d\d flows \({layout}\)")
            self.assertNotIn("left out", done.stderr)
            self.assertNotIn("timestamp", done.stderr)
