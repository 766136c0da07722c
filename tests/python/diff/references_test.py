# SPDX-License-Identifier: BSD-3-Clause
"""scripts/diff on captures in ../shared, a directory beside the repository: it explains every difference between the correct
mode and the Python program, the Java program, and this program's compat modes. Skipped if the directory is missing."""
import csv
import os
import subprocess
import sys

import cases

SHARED = os.path.join(os.path.dirname(cases.ROOT), "shared")
DIFF = os.path.join(cases.ROOT, "scripts", "diff")
# Time-outs and collections, ICMP, fragments, IPv6, tags, padding, clocks that step back, packets after the close.
CAPTURES = ["attack_dns_txt_c2.pcap", "icmp_tunnel_1123s.pcap", "mix_many_protocols_qinq_vlan.pcap", "p2p_gnutella_600s.pcap",
            "vpn_surfshark_out_of_order.pcap", "mix_ipfixprobe.pcap", "odd/snaplen_tcp_timestamp.pcap"]


class DiffReferences(cases.Case):
    def check(self, a, b, name, program):
        done = subprocess.run([sys.executable, "-B", DIFF, a, b, "--capture", os.path.join(SHARED, "pcaps", name), "--csv", "-"],
                              capture_output=True, text=True, timeout=200, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""), f"{name}, {program}:\n{done.stdout[-3000:]}")
        lines = [line for line in csv.DictReader(done.stdout.splitlines()) if line["kind"] == "column"]
        self.assertEqual(len(lines), 82)
        self.assertGreater(sum(int(line["different"]) for line in lines), 30, f"{name}, {program}")

    def each(self, directory, program, mode=None):
        references = os.path.join(SHARED, "reference")
        if not os.path.isdir(os.path.join(references, directory)):
            self.skipTest(f"there is no ../shared with reference/{directory} beside the repository")
        for name in CAPTURES:
            with self.subTest(capture=name):
                other = os.path.join(references, directory, name + ".csv.gz")
                if mode:
                    other = self.path("other.csv")
                    subprocess.run([cases.meter_path, "-q", "--compat", mode, "-f", os.path.join(SHARED, "pcaps", name), "-c", other],
                                   env=os.environ | {"TZ": "UTC"}, check=True, timeout=60)
                self.check(os.path.join(references, "correct", name + ".csv.gz"), other, name, program)

    def test_python_against_correct(self):
        self.each("nqmn-py", "nqmn")

    def test_java_against_correct(self):
        self.each("java", "java")

    def test_compat_modes_against_correct(self):
        for mode in ("python", "java"):
            self.each("correct", "--compat " + mode, mode)
