# SPDX-License-Identifier: BSD-3-Clause
"""Shared by the tests of scripts/flow_analyzer.py: flows with values worked out by hand, and a case that runs the
script. If this Python lacks a package that the script needs, the tests are skipped."""
import csv
import os
import subprocess
import sys

import cases

from flowmeter import interpreter

LACKING = interpreter.lacks(("numpy", "pandas", "matplotlib"))
ANALYZER = os.path.join(cases.ROOT, "scripts", "flow_analyzer.py")
TABLES = ["flows_classified.csv", "packet_size_summary.csv", "strong_correlations.csv", "summary_report.csv",
          "summary_statistics.csv"]
PICTURES = ["correlation_heatmap.png", "flow_classification.png", "packet_size_analysis.png", "periodic_traffic.png",
            "timing_analysis.png", "traffic_timeline.png"]
ALL = sorted([*TABLES, *PICTURES, "report.html"])

LARGE, QUICK, INTERACTIVE, BULK, OTHER = "Large Data Transfer", "Quick Request", "Interactive", "Bulk Transfer", "Other"

COLUMNS = ("src_ip dst_ip timestamp flow_duration tot_fwd_pkts tot_bwd_pkts totlen_bwd_pkts pkt_size_avg flow_byts_s flow_iat_mean "
           "flow_iat_std fwd_pkt_len_mean fwd_pkt_len_max fwd_pkt_len_min bwd_pkt_len_mean bwd_pkt_len_max bwd_pkt_len_min "
           "pkt_len_max pkt_len_min").split()
NEEDED = [name for name in COLUMNS if name != "timestamp"]
# The example of the guide to CICFlowMeter's features.
EXAMPLE = {"src_ip": "172.21.0.3", "dst_ip": "172.21.0.2", "timestamp": "2024-05-01 10:00:00.5", "flow_duration": 0.099,
           "tot_fwd_pkts": 12, "tot_bwd_pkts": 7, "totlen_bwd_pkts": 1500, "pkt_size_avg": 163.79, "flow_byts_s": 31372,
           "flow_iat_mean": 0.0055, "flow_iat_std": 0.012, "fwd_pkt_len_mean": 120, "fwd_pkt_len_max": 400,
           "fwd_pkt_len_min": 60, "bwd_pkt_len_mean": 214.3, "bwd_pkt_len_max": 900, "bwd_pkt_len_min": 54, "pkt_len_max": 900,
           "pkt_len_min": 54}

REALTIME = {
    "src_ip": "Src IP", "dst_ip": "Dst IP", "timestamp": "Timestamp", "flow_duration": "Flow Duration",
    "tot_fwd_pkts": "Total Fwd Packets", "tot_bwd_pkts": "Total Backward Packets",
    "totlen_bwd_pkts": "Total Length of Bwd Packets", "pkt_size_avg": "Average Packet Size", "flow_byts_s": "Flow Bytes/s",
    "flow_iat_mean": "Flow IAT Mean", "flow_iat_std": "Flow IAT Std", "fwd_pkt_len_mean": "Fwd Packet Length Mean",
    "fwd_pkt_len_max": "Fwd Packet Length Max", "fwd_pkt_len_min": "Fwd Packet Length Min",
    "bwd_pkt_len_mean": "Bwd Packet Length Mean", "bwd_pkt_len_max": "Bwd Packet Length Max",
    "bwd_pkt_len_min": "Bwd Packet Length Min", "pkt_len_max": "Max Packet Length", "pkt_len_min": "Min Packet Length"}
JAVA = REALTIME | {"tot_fwd_pkts": "Total Fwd Packet", "tot_bwd_pkts": "Total Bwd packets",
                   "totlen_bwd_pkts": "Total Length of Bwd Packet", "pkt_len_max": "Packet Length Max",
                   "pkt_len_min": "Packet Length Min"}


def flows(*rows, names=None):
    """A CSV with one flow per argument: the example with these changes."""
    lines = [",".join((names or {}).get(name, name) for name in COLUMNS)]
    lines += [",".join(str((EXAMPLE | row)[name]) for name in COLUMNS) for row in rows]
    return "\n".join(lines) + "\n"


# One flow of each type; the last one has a single packet.
FIVE = flows(
    {"flow_duration": 1, "tot_fwd_pkts": 10, "tot_bwd_pkts": 20, "totlen_bwd_pkts": 20000, "pkt_size_avg": 700, "flow_byts_s": 21000,
     "flow_iat_mean": 0.05, "flow_iat_std": 0.06, "fwd_pkt_len_mean": 100, "fwd_pkt_len_max": 200, "fwd_pkt_len_min": 60,
     "bwd_pkt_len_mean": 1000, "bwd_pkt_len_max": 1500, "bwd_pkt_len_min": 54, "pkt_len_max": 1500, "pkt_len_min": 54},
    {"src_ip": "172.21.0.9", "flow_duration": 0.002, "tot_fwd_pkts": 1, "tot_bwd_pkts": 1, "totlen_bwd_pkts": 150, "pkt_size_avg": 110,
     "flow_byts_s": 110000, "flow_iat_mean": 0.002, "flow_iat_std": 0, "fwd_pkt_len_mean": 70, "fwd_pkt_len_max": 70,
     "fwd_pkt_len_min": 70, "bwd_pkt_len_mean": 150, "bwd_pkt_len_max": 150, "bwd_pkt_len_min": 150, "pkt_len_max": 150, "pkt_len_min": 70},
    {"dst_ip": "2001:db8::1", "flow_duration": 2, "tot_fwd_pkts": 3, "tot_bwd_pkts": 2, "totlen_bwd_pkts": 600, "pkt_size_avg": 280,
     "flow_byts_s": 700, "flow_iat_mean": 0.5, "flow_iat_std": 0.4, "fwd_pkt_len_mean": 266.66, "fwd_pkt_len_max": 300,
     "fwd_pkt_len_min": 200, "bwd_pkt_len_mean": 300, "bwd_pkt_len_max": 300, "bwd_pkt_len_min": 300, "pkt_len_max": 300, "pkt_len_min": 200},
    {"flow_duration": 0.16, "tot_fwd_pkts": 17, "tot_bwd_pkts": 0, "totlen_bwd_pkts": 0, "pkt_size_avg": 500, "flow_byts_s": 53125,
     "flow_iat_mean": 0.01, "flow_iat_std": 0.001, "fwd_pkt_len_mean": 500, "fwd_pkt_len_max": 500, "fwd_pkt_len_min": 500,
     "bwd_pkt_len_mean": 0, "bwd_pkt_len_max": 0, "bwd_pkt_len_min": 0, "pkt_len_max": 500, "pkt_len_min": 500},
    {"flow_duration": 0, "tot_fwd_pkts": 1, "tot_bwd_pkts": 0, "totlen_bwd_pkts": 0, "pkt_size_avg": 450, "flow_byts_s": 0,
     "flow_iat_mean": 0, "flow_iat_std": 0, "fwd_pkt_len_mean": 450, "fwd_pkt_len_max": 450, "fwd_pkt_len_min": 450,
     "bwd_pkt_len_mean": 0, "bwd_pkt_len_max": 0, "bwd_pkt_len_min": 0, "pkt_len_max": 450, "pkt_len_min": 450})

FIVE_TABLES = {
    "summary_statistics.csv": """Metric,Value
Total Flows,5
Unique Source IPs,2
Unique Destination IPs,2
Mean Flow Duration (s),0.6324
Max Flow Duration (s),2.0000
Min Flow Duration (s),0.0000
Mean Packet Size (bytes),408.00
Mean Throughput (bytes/s),36965.00
""",
    "packet_size_summary.csv": """Direction,Mean (bytes),Max (bytes),Min (bytes)
Forward,277.33,500,60
Backward,483.33,1500,54
Overall,408.00,1500,54
""",
    "summary_report.csv": """Metric,Value
Total Flows,5
Unique Source IPs,2
Unique Destination IPs,2
Average Flow Duration (s),0.6324
Average Throughput (bytes/s),36965.00
Average Packet Size (bytes),408.00
Total Forward Packets,32
Total Backward Packets,23
Most Common Flow Type,Large Data Transfer
Periodic Flows,2
Non-Periodic Flows,3
Periodic Mean Interval (s),0.0060
Flow Type: Large Data Transfer,1
Flow Type: Quick Request,1
Flow Type: Interactive,1
Flow Type: Bulk Transfer,1
Flow Type: Other,1
Timing: Very Fast,1
Timing: Fast,2
Timing: Medium,1
Timing: Slow,1
Pattern: Steady,4
Pattern: Bursty,1
""",
}
FIVE_CLASSES = [",Large Data Transfer,Medium,Bursty,False", ",Quick Request,Fast,Steady,True", ",Interactive,Slow,Steady,False",
                ",Bulk Transfer,Fast,Steady,True", ",Other,Very Fast,Steady,False"]


class AnalyzerCase(cases.Case):
    def setUp(self):
        super().setUp()
        if LACKING:
            self.skipTest(LACKING)
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
