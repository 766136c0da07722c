# SPDX-License-Identifier: BSD-3-Clause
"""docs/examples equals what scripts/make-examples makes today, its 82 columns equal those of the independent model, and
other tools accept its capture."""
import csv
import math
import os
import re
import shutil
import subprocess
import sys

import cases
import meter

EXAMPLES = os.path.join(cases.ROOT, "docs", "examples")
CAPTURE = os.path.join(EXAMPLES, "example.pcap")
PACKAGE = os.path.join(cases.ROOT, "python")


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout


def table(text):
    return list(csv.reader(text.splitlines()))


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class Examples(cases.Case):
    def assert_same_tables(self, ours, theirs, name):
        """Compares numbers up to the last digit but one: compilers and libraries may round differently."""
        self.assertEqual([len(row) for row in ours], [len(row) for row in theirs], name)
        for number, (our_row, their_row) in enumerate(zip(ours, theirs)):
            for column, ours_text, theirs_text in zip(ours[0], our_row, their_row):
                if ours_text == theirs_text:
                    continue
                try:
                    same = math.isclose(float(ours_text), float(theirs_text), rel_tol=1e-12)
                except ValueError:
                    same = False
                self.assertTrue(same, f"{name}, row {number}, {column}: {ours_text} is not {theirs_text}")

    def files(self, directory):
        return sorted(os.path.relpath(os.path.join(parent, name), directory)
                      for parent, _, names in os.walk(directory) for name in names)

    def test_are_what_is_made_today(self):
        made = self.path("made")
        done = subprocess.run([sys.executable, "-B", os.path.join(cases.ROOT, "scripts", "make-examples"), "--program",
                               cases.meter_path, "--output", made], capture_output=True, text=True, timeout=240)
        self.assertEqual(done.returncode, 0, done.stderr)
        # Programs and notebooks are examples that are not made.
        found, expected = self.files(made), [name for name in self.files(EXAMPLES) if not name.endswith((".ipynb", ".py"))]
        if "no analysis" in done.stderr:
            print(done.stderr.strip())
            expected = [name for name in expected if not name.startswith("analysis")]
        self.assertEqual(found, expected, "make-examples makes other files than docs/examples has")
        for name in found:
            new, old = os.path.join(made, name), os.path.join(EXAMPLES, name)
            if name.endswith(".png"):
                self.assertGreater(min(os.path.getsize(each) for each in (new, old)), 1000, name)
            elif name.endswith(".csv"):
                self.assert_same_tables(table(read(new)), table(read(old)), name)
            else:
                with open(new, "rb") as ours, open(old, "rb") as theirs:
                    self.assertTrue(ours.read() == theirs.read(), f"{name} differs: run scripts/make-examples")

    def test_every_feature_set_of_the_program_has_its_rows(self):
        sets = [line.split()[0] for line in output_of(cases.meter_path, "features").splitlines() if line.strip()]
        self.assertIn("cic82", sets)
        for name in sets:
            rows = table(read(os.path.join(EXAMPLES, name + ".csv")))
            self.assertGreater(len(rows), 9, name)

    def test_rows_are_those_of_the_independent_model(self):
        expected = output_of("env", f"PYTHONPATH={PACKAGE}", sys.executable, "-B", "-m", "flowmeter.models.cic82", CAPTURE)
        self.assert_same_tables(table(read(os.path.join(EXAMPLES, "cic82.csv"))), table(expected), "cic82.csv")

    def test_the_account_in_the_readme_is_that_of_the_program(self):
        done = meter.run("-f", CAPTURE, "-c", "flows.csv", cwd=self.directory)
        self.assertEqual((done.code, done.warnings), (0, []), done.err)
        self.assertIn(done.err.strip(), read(os.path.join(EXAMPLES, "README.md")))

    def test_numbers_in_the_readme_are_in_the_rows(self):
        """In the numbered paragraphs, `column` 123 names a column of that flow's row and its value."""
        with open(os.path.join(EXAMPLES, "cic82.csv"), newline="", encoding="utf-8") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: row["timestamp"])
        paragraphs = re.split(r"^(\d)\. ", read(os.path.join(EXAMPLES, "README.md")), flags=re.M)[1:]
        checked = 0
        for number, text in zip(paragraphs[::2], paragraphs[1::2]):
            for column, value in re.findall(r"`(\w+)`(?: is)?\s(-?\d+(?:\.\d+)?)", text):
                self.assertEqual(float(rows[int(number) - 1][column]), float(value), f"flow {number}, {column}")
                checked += 1
        self.assertGreaterEqual(checked, 12)

    def test_tcpdump_finds_no_fault(self):
        if shutil.which("tcpdump") is None:
            self.skipTest("needs tcpdump")
        said = output_of("tcpdump", "-nn", "-vv", "-r", CAPTURE)
        # The line of a packet starts with its time.
        self.assertEqual(len(re.findall(r"^\d\d:\d\d:\d\d\.\d{6} ", said, flags=re.M)), 65)
        self.assertGreater(len(re.findall(r"\(correct\)|cksum ok|sum ok", said)), 50)
        for word in ("incorrect", "bad", "wrong", "truncated", "malformed"):
            self.assertNotIn(word, said.lower())
