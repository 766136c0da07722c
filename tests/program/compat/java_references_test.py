# SPDX-License-Identifier: BSD-3-Clause
"""--compat java on the captures of ../shared, a directory beside the repository: the rows of the Java CICFlowMeter itself,
byte for byte, and its numbers of packets. Skipped where that directory is absent."""
import concurrent.futures
import csv
import gzip
import os

import cases
import meter
from flowmeter.models import java_cicflowmeter

SHARED = os.path.join(os.path.dirname(cases.ROOT), "shared")
REFERENCE = os.path.join(SHARED, "reference", "java")


class JavaReferences(cases.Case):
    def test_all_captures(self):
        if not os.path.isdir(REFERENCE):
            self.skipTest("there is no ../shared with reference/java beside the repository")
        with open(os.path.join(REFERENCE, "MANIFEST.tsv"), newline="", encoding="utf-8") as file:
            expected = list(csv.DictReader(file, delimiter="\t"))
        self.assertTrue(expected)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            wrong = [text for text in pool.map(self.compare, expected) if text]
        print(f"{len(expected) - len(wrong)} of {len(expected)} captures agree with reference/java")
        if wrong:
            self.fail("\n" + "\n".join(wrong))

    def compare(self, expected):
        """Describes the differences in rows or account of this capture; "" if there are none."""
        name = expected["file"]
        output = self.path(name.replace("/", "_") + ".csv")
        done = meter.run("--compat", "java", "-f", os.path.join(SHARED, "pcaps", name), "-c", output, prefix=("env", "TZ=UTC"))
        if done.code != 0:
            return f"{name}: exit status {done.code}: {done.err.strip()}"
        reference = os.path.join(REFERENCE, name + ".csv.gz")
        rows = (java_cicflowmeter.HEADER + "\n").encode()
        if int(expected["rows"]) > 0:
            with gzip.open(reference) as file:
                rows = file.read()
        with open(output, "rb") as file:
            got = file.read()
        os.remove(output)
        wrong = []
        if got != rows:
            pairs = zip(got.split(b"\n"), rows.split(b"\n"))
            wrong.append(f"rows differ, {len(got.splitlines()) - 1} for {expected['rows']}, first: "
                         f"{next(((a, b) for a, b in pairs if a != b), 'one is longer')}")
        account = meter_account(done.err)
        used = account["taken"] + account["taken_as_raw_ip"]
        for what, number, column in (("seen", account["seen"], "packets_read"), ("used", used, "packets_used"),
                                     ("by the second walk", account["taken_as_raw_ip"], "packets_fallback")):
            if number != int(expected[column]):
                wrong.append(f"{number} packets {what}, not {expected[column]}")
        return f"{name}: " + "; ".join(wrong) if wrong else ""


def meter_account(text):
    line = next(line for line in text.splitlines() if " seen=" in line)
    return {name: int(number) for name, number in (pair.split("=") for pair in line.split() if "=" in pair)}
