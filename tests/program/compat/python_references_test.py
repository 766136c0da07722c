# SPDX-License-Identifier: BSD-3-Clause
"""--compat python on the captures of ../shared, a directory beside the repository: the bytes that the original program
wrote. Skipped where that directory is absent."""
import concurrent.futures
import gzip
import os

import cases
import meter

SHARED = os.path.join(os.path.dirname(cases.ROOT), "shared")
REFERENCE = os.path.join(SHARED, "reference", "nqmn-py")


def first_difference(ours, theirs):
    for number, (a, b) in enumerate(zip(ours.split(b"\r\n"), theirs.split(b"\r\n")), 1):
        if a != b:
            return f"line {number}:\n  {a.decode()}\n  {b.decode()}"
    return f"{len(ours)} bytes, not {len(theirs)}"


class PythonReferences(cases.Case):
    def setUp(self):
        super().setUp()
        if not os.path.isdir(REFERENCE):
            self.skipTest("there is no ../shared beside the repository")

    def test_same_bytes(self):
        folder = os.path.join(SHARED, "pcaps")
        names = sorted(os.path.join(sub, name) for sub in ("", "odd")
                       for name in os.listdir(os.path.join(folder, sub)) if ".pcap" in name)
        self.assertTrue(names, "no captures in ../shared/pcaps")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            wrong = [text for text in pool.map(self.compare, names) if text]
        print(f"{len(names) - len(wrong)} of {len(names)} captures are equal to {os.path.relpath(REFERENCE, SHARED)}")
        if wrong:
            self.fail("\n" + "\n".join(wrong))

    def compare(self, name):
        """Describes the difference in the output of this capture; "" if there is none."""
        output = self.path(name.replace("/", "_") + ".csv")
        done = meter.run("-f", os.path.join(SHARED, "pcaps", name), "--compat", "python", "-c", output)
        if done.code != 0:
            return f"{name}: exit status {done.code}: {done.err.strip()}"
        with open(output, "rb") as file:
            ours = file.read()
        with gzip.open(os.path.join(REFERENCE, name + ".csv.gz")) as file:
            theirs = file.read()
        return "" if ours == theirs else f"{name}: {first_difference(ours, theirs)}"
