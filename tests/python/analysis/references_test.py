# SPDX-License-Identifier: BSD-3-Clause
"""scripts/flow_analyzer.py on flows of the captures in ../shared, a directory beside the repository: classes and counts
are compared, row by row, with a plain implementation of the rules. Skipped if the directory is missing."""
import collections
import csv
import os
import subprocess

import analyzer
import cases

SHARED = os.path.join(os.path.dirname(cases.ROOT), "shared")
CAPTURES = ["attack_webattack_rce_797flows.pcap", "mix_ipfixprobe.pcap", "p2p_gnutella_600s.pcap", "scan_nmap_tcp_connect.pcap",
            "voip_sip_1567s.pcap"]


def classes_of(row):
    n = {name: float(row[name]) for name in ("totlen_bwd_pkts", "flow_duration", "pkt_size_avg", "flow_iat_std", "flow_iat_mean",
                                             "tot_fwd_pkts", "tot_bwd_pkts")}
    packets = n["tot_fwd_pkts"] + n["tot_bwd_pkts"]
    if n["totlen_bwd_pkts"] > 2000 and n["flow_duration"] > 0.04:
        of_type = "Large Data Transfer"
    elif n["pkt_size_avg"] < 200 and n["flow_duration"] < 0.05:
        of_type = "Quick Request"
    elif 200 <= n["pkt_size_avg"] <= 400 and n["flow_iat_std"] > 0.01:
        of_type = "Interactive"
    else:
        of_type = "Bulk Transfer" if packets > 15 else "Other"
    x = n["flow_iat_mean"]
    timing = "Very Fast" if x < 0.001 else "Fast" if x <= 0.01 else "Medium" if x <= 0.1 else "Slow"
    pattern = "Bursty" if n["flow_iat_std"] > x else "Steady"
    return of_type, timing, pattern, str(n["flow_iat_std"] < 0.01 and x > 0.001 and packets >= 2)


class AnalyzerReferences(analyzer.AnalyzerCase):
    def test_flows_of_captures(self):
        if not os.path.isdir(os.path.join(SHARED, "pcaps")):
            self.skipTest("there is no ../shared with pcaps beside the repository")
        seen = set()
        for name in CAPTURES:
            with self.subTest(capture=name):
                flows = self.path("flow.csv")
                subprocess.run([cases.meter_path, "-q", "-f", os.path.join(SHARED, "pcaps", name), "-c", flows], check=True, timeout=60)
                self.run_analyzer(flows)
                with open(flows, encoding="utf-8", newline="") as file:
                    rows = list(csv.DictReader(file))
                self.assertGreater(len(rows), 20)
                expected = [list(row.values()) + list(classes_of(row)) for row in rows]
                self.assertEqual(self.rows("flows_classified.csv")[1:], expected)
                report = self.values("summary_report.csv")
                types = collections.Counter(row[-4] for row in expected)
                seen |= set(types)
                self.assertEqual({metric.removeprefix("Flow Type: "): int(value) for metric, value in report.items()
                                  if metric.startswith("Flow Type: ") and value != "0"}, types)
                self.assertEqual(int(report["Unique Destination IPs"]), len({row["dst_ip"] for row in rows}))
                self.assertEqual(int(report["Total Forward Packets"]), sum(int(row["tot_fwd_pkts"]) for row in rows))
                self.assertAlmostEqual(float(report["Average Throughput (bytes/s)"]),
                                       sum(float(row["flow_byts_s"]) for row in rows) / len(rows), 2)
        self.assertEqual(len(seen), 5, seen)

    def test_realtime_97(self):
        """The file has its own names and units: durations are in microseconds."""
        directory = os.path.join(SHARED, "reference")
        name = "voip_sip_1567s.pcap.csv.gz"
        if not os.path.isdir(os.path.join(directory, "realtime97")):
            self.skipTest("there is no ../shared with reference/realtime97 beside the repository")
        done = self.run_analyzer(os.path.join(directory, "realtime97", name))
        self.assertIn("(realtime-97)", done.stderr)
        self.assertNotIn("timestamp", done.stderr)
        header, *rows = self.rows("flows_classified.csv")
        self.assertEqual(header[:3], ["Flow ID", "Src IP", "Dst IP"])
        self.assertGreater(len(rows), 20)
        durations = [float(row[header.index("Flow Duration")]) / 1e6 for row in rows]
        self.assertAlmostEqual(float(self.values("summary_statistics.csv")["Mean Flow Duration (s)"]), sum(durations) / len(rows), 4)

    def test_netflowmeter_114_is_refused(self):
        path = os.path.join(SHARED, "reference", "netflowmeter114", "voip_sip_1567s.pcap.csv.gz")
        if not os.path.isfile(path):
            self.skipTest("there is no ../shared with reference/netflowmeter114 beside the repository")
        self.assertIn("no packet lengths", self.run_analyzer(path, status=2).stderr)
