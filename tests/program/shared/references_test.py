# SPDX-License-Identifier: BSD-3-Clause
"""Replays the reference captures of ../shared, a directory beside the repository, and compares rows and account with
what is given there. Skipped where that directory is absent."""
import concurrent.futures
import csv
import os
import subprocess
import sys

import cases
import meter

SHARED = os.path.join(os.path.dirname(cases.ROOT), "shared")
CORRECT = os.path.join(SHARED, "reference", "correct")
SHORT = ("--idle-timeout", "10", "--icmp-idle-timeout", "5", "--tcp-linger", "1", "--active-timeout", "20")
COUNTS = ("metered", "not_ip", "other_protocol", "malformed", "unattributed_fragment", "flows")


def captures():
    folder = os.path.join(SHARED, "pcaps")
    return sorted(os.path.join(sub, name) for sub in ("", "odd")
                  for name in os.listdir(os.path.join(folder, sub)) if ".pcap" in name)


class References(cases.Case):
    def setUp(self):
        super().setUp()
        if not os.path.isdir(SHARED):
            self.skipTest("there is no ../shared beside the repository")

    def test_default_timeouts(self):
        self.compare_all(CORRECT, ())

    def test_short_timeouts(self):
        self.compare_all(os.path.join(CORRECT, "short"), SHORT)

    def test_netflowmeter114(self):
        # The same flows as in the default set, so its counts hold.
        self.compare_all(os.path.join(SHARED, "reference", "netflowmeter114"), ("--features", "netflowmeter114"),
                         CORRECT)

    def test_realtime97(self):
        # Other time-outs, so other flows than in the default set; the packets are the same.
        self.compare_all(os.path.join(SHARED, "reference", "realtime97"), ("--features", "realtime97"), CORRECT,
                         ("--key", "Flow ID", "--time", "Timestamp"))

    def compare_all(self, reference, arguments, counts=None, keys=()):
        with open(os.path.join(counts or reference, "COUNTS.tsv"), newline="", encoding="utf-8") as file:
            expected = {row["file"]: row for row in csv.DictReader(file, delimiter="\t")}
        names = captures()
        self.assertTrue(names, "no captures in ../shared/pcaps")
        self.assertEqual(names, sorted(expected), "captures and COUNTS.tsv do not name the same files")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            wrong = list(pool.map(lambda name: self.compare(name, reference, arguments, expected[name], keys), names))
        wrong = [text for text in wrong if text]
        print(f"{len(names) - len(wrong)} of {len(names)} captures agree with {os.path.relpath(reference, SHARED)}")
        if wrong:
            self.fail("\n" + "\n".join(wrong))

    def compare(self, name, reference, arguments, expected, keys):
        """Describes the differences in rows or account of this capture; "" if there are none."""
        output = self.path(name.replace("/", "_") + ".csv")
        done = meter.run("-f", os.path.join(SHARED, "pcaps", name), "-c", output, *arguments)
        if done.code != 0:
            return f"{name}: exit status {done.code}: {done.err.strip()}"
        wrong = []
        # Cells as numbers, then as text the columns that identify a flow, as they may have more digits than a double.
        for how in (["--header"], ["--exact", "--only", ",".join(keys[1::2])])[:2 if keys else 1]:
            differ = subprocess.run([sys.executable, os.path.join(SHARED, "tools", "compare_csv.py"), "--unordered",
                                     *how, *keys, output, os.path.join(reference, name + ".csv.gz")],
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if differ.returncode != 0:
                wrong.append(f"rows differ:\n{differ.stdout.strip()}")
        if done.account.get("seen") != int(expected["read"]):
            wrong.append(f"seen {done.account.get('seen')}, not {expected['read']}")
        for count in COUNTS:
            if count == "flows" and keys:
                continue
            if done.account.get(count) != int(expected[count]):
                wrong.append(f"{count} {done.account.get(count)}, not {expected[count]}")
        with open(output, encoding="utf-8") as file:
            in_rows = meter.packets_in(meter.rows_of(file.read()))
        if in_rows != int(expected["metered"]):
            wrong.append(f"{in_rows} packets in rows, not {expected['metered']}")
        damage = [line for line in done.warnings if "earlier packets were used" in line]
        if bool(damage) != bool(expected["damage"]):
            wrong.append(f"damage: \"{expected['damage']}\", but warned of: {damage}")
        os.remove(output)
        return f"{name}: " + "; ".join(wrong) if wrong else ""
