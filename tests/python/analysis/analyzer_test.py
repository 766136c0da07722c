# SPDX-License-Identifier: BSD-3-Clause
"""scripts/flow_analyzer.py: classes and tables against values worked out by hand, inputs of other programs and broken ones,
outputs that cannot be written, and that each picture shows what it is to show."""
import base64
import gzip
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import time

import analyzer
import cases
from analyzer import ALL, PICTURES, TABLES

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
    """A CSV of flows that differ from the example as said."""
    lines = [",".join((names or {}).get(name, name) for name in COLUMNS)]
    lines += [",".join(str((EXAMPLE | row)[name]) for name in COLUMNS) for row in rows]
    return "\n".join(lines) + "\n"


def of_type(duration, backward_bytes, size, packets, deviation):
    return {"flow_duration": duration, "totlen_bwd_pkts": backward_bytes, "pkt_size_avg": size, "tot_fwd_pkts": packets,
            "tot_bwd_pkts": 0, "flow_iat_std": deviation}


LARGE, QUICK, INTERACTIVE, BULK, OTHER = "Large Data Transfer", "Quick Request", "Interactive", "Bulk Transfer", "Other"
# duration, backward bytes, mean size, packets, deviation; its type where the first and where the last rule counts.
TYPES = [
    ((0.099, 1500, 163.79, 19, 0.012), BULK, BULK),
    ((0.099, 2500, 163.79, 19, 0.02), LARGE, BULK),
    ((0.045, 2500, 150, 10, 0.001), LARGE, QUICK),
    ((0.5, 5000, 300, 12, 0.02), LARGE, INTERACTIVE),
    ((0.02, 500, 100, 20, 0.001), QUICK, BULK),
    ((0.5, 1000, 300, 20, 0.02), INTERACTIVE, BULK),
    ((0.05, 2000, 200, 15, 0.01), OTHER, OTHER),  # each limit is out of its class but 200 and 400
    ((0.5, 1000, 200, 3, 0.0101), INTERACTIVE, INTERACTIVE),
    ((0.5, 1000, 400, 3, 0.0101), INTERACTIVE, INTERACTIVE),
    ((0.5, 1000, 400.01, 3, 0.0101), OTHER, OTHER),
    ((0.04, 9999, 500, 3, 0), OTHER, OTHER),
    ((0.0401, 2001, 500, 3, 0), LARGE, LARGE),
    ((0.049, 0, 199.9, 3, 0), QUICK, QUICK),
    ((0.5, 0, 500, 16, 0), BULK, BULK),
    (("", "NaN", "x", 16, "inf"), BULK, BULK),  # what is no number holds in no rule
    (("", "", "", "", ""), OTHER, OTHER),
]

# mean, deviation; timing, pattern, periodic (of many packets)
TIMES = [
    (0, 0, "Very Fast", "Steady", "False"), (-1, 0.5, "Very Fast", "Bursty", "False"),
    (0.000999, 0.000999, "Very Fast", "Steady", "False"), (0.001, 0.0099, "Fast", "Bursty", "False"),
    (0.0011, 0.0099, "Fast", "Bursty", "True"), (0.0011, 0.01, "Fast", "Bursty", "False"), (0.01, 0.02, "Fast", "Bursty", "False"),
    (0.010001, 0.01, "Medium", "Steady", "False"), (0.1, 0, "Medium", "Steady", "True"), (0.1000001, 0.1000001, "Slow", "Steady", "False"),
    ("", 0, "", "", "False"), (0.5, "nan", "Slow", "", "False"), ("inf", "inf", "", "", "False"),
]


class Classes(analyzer.AnalyzerCase):
    def classified(self, *arguments):
        self.run_analyzer(self.path("flow.csv"), *arguments)
        return [row[-4:] for row in self.rows("flows_classified.csv")[1:]]

    def test_flow_types(self):
        self.write("flow.csv", flows(*(of_type(*of_flow) for of_flow, _, _ in TYPES)))
        self.assertEqual([row[0] for row in self.classified()], [first for _, first, _ in TYPES])
        self.assertEqual([row[0] for row in self.classified("--precedence", "last")], [last for _, _, last in TYPES])

    def test_times(self):
        self.write("flow.csv", flows(*({"flow_iat_mean": mean, "flow_iat_std": deviation} for mean, deviation, *_ in TIMES)))
        self.assertEqual([row[1:] for row in self.classified()], [list(of_flow) for _, _, *of_flow in TIMES])

    def test_periodic_needs_packets(self):
        rows = [{"tot_fwd_pkts": n, "tot_bwd_pkts": 1, "flow_iat_mean": 0.5, "flow_iat_std": 0} for n in (0, 1, 2, 3)]
        self.write("flow.csv", flows(*rows, rows[0] | {"tot_fwd_pkts": ""}))
        self.assertEqual([row[3] for row in self.classified()], ["False", "True", "True", "True", "False"])
        self.assertEqual([row[3] for row in self.classified("--periodic-min-packets", "4")], ["False"] * 3 + ["True", "False"])

    def test_limits_are_options(self):
        """Each limit, moved across the value of a flow, moves the flow."""
        plain = of_type(0.5, 1000, 500, 3, 0)
        for options, row, place, before, after in (
                (("--large-bytes", "999"), plain, 0, OTHER, LARGE),
                (("--large-duration", "0.6"), plain | {"totlen_bwd_pkts": 3000}, 0, LARGE, OTHER),
                (("--quick-size", "501"), plain | {"flow_duration": 0.01}, 0, OTHER, QUICK),
                (("--quick-duration", "0.6"), plain | {"pkt_size_avg": 100}, 0, OTHER, QUICK),
                (("--interactive-sizes", "300", "500"), plain | {"flow_iat_std": 1}, 0, OTHER, INTERACTIVE),
                (("--interactive-iat-std", "0.5"), of_type(0.5, 0, 300, 3, 0.4), 0, INTERACTIVE, OTHER),
                (("--bulk-packets", "2"), plain, 0, OTHER, BULK),
                (("--timing", "0.006", "0.01", "0.1"), plain, 1, "Fast", "Very Fast"),
                (("--periodic-iat-std", "0.02"), EXAMPLE, 3, "False", "True"),
                (("--periodic-iat-mean", "0.1"), plain, 3, "True", "False")):
            with self.subTest(options):
                self.write("flow.csv", flows(row))
                self.assertEqual(self.classified()[0][place], before)
                self.assertEqual(self.classified(*options)[0][place], after)
                if place != 3:
                    self.assertIn(options[-1].removeprefix("0."), self.text("report.html"))


# One flow of each type, and one of a single packet. Sizes: forward 6 * 75 + 10 + 20 + 3 * 30 + 1 packets.
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


class Tables(analyzer.AnalyzerCase):
    def test_one_flow_of_each_class(self):
        done = self.run_analyzer(self.write("flow.csv", FIVE), plots=True)
        self.assertEqual(done.stdout, self.out + "\n")
        self.assertRegex(done.stderr, r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - INFO - .*: 5 flows \(82 features\)\n$")
        self.assertEqual(self.made(), ALL)
        for name, expected in FIVE_TABLES.items():
            self.assertEqual(self.text(name), expected, name)
        header, *lines = FIVE.splitlines()
        expected = [header + ",flow_type,timing_category,traffic_pattern,is_periodic"]
        expected += [line + of_flow for line, of_flow in zip(lines, FIVE_CLASSES)]
        self.assertEqual(self.text("flows_classified.csv"), "\n".join(expected) + "\n")

    def test_correlations(self):
        """r = 1 and -1, 2 / sqrt(5) = 0.894 of (1, 2, 3, 4) and (1, 1, 2, 2), a constant, too few numbers."""
        rows = [{"flow_duration": x, "pkt_size_avg": 10 * x + 1e9, "flow_byts_s": -x, "flow_iat_mean": "" if x > 2 else x,
                 "tot_fwd_pkts": 7, "tot_bwd_pkts": (x + 1) // 2, "fwd_pkt_len_mean": (5, 1, 4, 5)[x - 1],
                 "bwd_pkt_len_mean": 0.1 + 0.2} for x in (1, 2, 3, 4)]
        # (5, 1, 4, 5) with (1, 2, 3, 4): 1.5 / sqrt(10.75 * 5); with (1, 1, 2, 2): 1.5 / sqrt(10.75). Both below 0.7.
        self.run_analyzer(self.write("flow.csv", flows(*rows)))
        strong = [["flow_byts_s", "tot_bwd_pkts", "-0.8944"], ["flow_duration", "tot_bwd_pkts", "0.8944"],
                  ["pkt_size_avg", "tot_bwd_pkts", "0.8944"]]
        whole = [["flow_duration", "flow_byts_s", "-1.0000"], ["flow_duration", "pkt_size_avg", "1.0000"],
                 ["pkt_size_avg", "flow_byts_s", "-1.0000"]]
        self.assertEqual(self.rows("strong_correlations.csv")[0], ["Feature 1", "Feature 2", "Correlation"])
        self.assertEqual(self.rows("strong_correlations.csv")[1:], whole + strong)
        self.run_analyzer(self.path("flow.csv"), "--correlation", "0.9")
        self.assertEqual(len(self.rows("strong_correlations.csv")), 4)

    def test_correlations_over_pieces(self):
        """Against numpy's own, over several pieces, with numbers missing and far from 0."""
        import numpy as np
        from flowmeter.analysis import analysis

        random = np.random.default_rng(5)
        values = random.normal(size=(9000, 4)) @ random.normal(size=(4, 4)) + (1e6, 0, -3, 1e-6)
        values[random.random(values.shape) < .1] = np.nan
        values[:3000, 2] = np.nan  # not a number in the whole first piece
        correlation = analysis.Correlation()
        for piece in np.split(values, 3):
            correlation.add(dict(zip("abcd", piece.T)))
        names, r = correlation.matrix()
        self.assertEqual(names, list("abcd"))
        for i in range(4):
            for j in range(4):
                both = ~np.isnan(values[:, i]) & ~np.isnan(values[:, j])
                self.assertAlmostEqual(r[i, j], np.corrcoef(values[both, i], values[both, j])[0, 1], 9)

    def test_correlation_far_from_the_first_number(self):
        """A pair whose rows all lie far from a column's first number, in a row where the other column has none."""
        rows = [{"flow_duration": x, "flow_byts_s": y, "pkt_size_avg": 0.1} for x, y in ((1e9, ""), (1, 2), (2, 4), (3, 6))]
        self.run_analyzer(self.write("flow.csv", flows(*rows)))
        self.assertEqual(self.rows("strong_correlations.csv")[1:], [["flow_duration", "flow_byts_s", "1.0000"]])

    def test_all_numeric_columns(self):
        text = "".join(line + (",extra,name\n" if i == 0 else f",{-i},text\n") for i, line in enumerate(FIVE.splitlines()))
        self.run_analyzer(self.write("flow.csv", text), "--correlate", "all", "--correlation", "0")
        names = {name for row in self.rows("strong_correlations.csv")[1:] for name in row[:2]}
        self.assertEqual(names, {*COLUMNS, "extra"} - {"src_ip", "dst_ip", "timestamp"})

    def test_comparison(self):
        other = self.write("other.csv", flows(*({"flow_duration": x, "flow_byts_s": 0} for x in (1, 2, 6))))
        self.run_analyzer(self.write("flow.csv", FIVE), "--compare", other)
        self.assertEqual(self.made(), sorted(["comparison.csv", "report.html", *TABLES]))
        header, *rows = self.rows("comparison.csv")
        self.assertEqual(header, ["Metric", "Input", "Other", "Difference", "Relative (%)"])
        rows = {row[0]: row[1:] for row in rows}
        self.assertEqual(rows["Total Flows"], ["5", "3", "-2", "-40.00"])
        self.assertEqual(rows["Mean flow_duration"], ["0.632400", "3.000000", "2.367600", "374.38"])
        self.assertEqual(rows["Median flow_duration"], ["0.160000", "2.000000", "1.840000", "1150.00"])
        self.assertEqual(rows["Flow Type: Bulk Transfer (%)"], ["20.00", "100.00", "80.00", "400.00"])
        self.assertEqual(rows["Periodic (%)"], ["40.00", "0.00", "-40.00", "-100.00"])
        self.run_analyzer(other, "--compare", self.path("flow.csv"))
        rows = {row[0]: row[1:] for row in self.rows("comparison.csv")[1:]}
        self.assertEqual(rows["Mean flow_byts_s"], ["0.000000", "36965.000000", "36965.000000", ""])
        self.assertEqual(len(rows), 1 + 16 + 5 + 4 + 2 + 1)


class Inputs(analyzer.AnalyzerCase):
    def expect_five(self, names=None):
        for name, expected in FIVE_TABLES.items():
            self.assertEqual(self.text(name), expected, name)
        self.assertEqual([",".join(["", *row[-4:]]) for row in self.rows("flows_classified.csv")[1:]], FIVE_CLASSES)

    def test_forms_of_the_file(self):
        for name, content in (("mark.csv", b"\xef\xbb\xbf" + FIVE.replace("\n", "\r\n").encode()), ("x.csv.gz", gzip.compress(FIVE.encode())),
                              ("no-end.csv", FIVE[:-1]), ("blank.csv", FIVE.replace("\n", "\n\n"))):
            with self.subTest(name):
                self.run_analyzer(self.write(name, content))
                self.expect_five()
        for content in (FIVE.encode(), gzip.compress(FIVE.encode())):
            done = self.run_analyzer("-", out=False, input=content, cwd=self.directory)
            self.assertEqual(done.stdout, b".\n")
            self.out = self.directory
            self.expect_five()

    def test_usual_places(self):
        done = self.run_analyzer(out=False, status=1)
        self.assertIn("cicflowmeter/output/flow.csv, output/flow.csv, flow.csv", done.stderr)
        os.makedirs(self.path("output"))
        self.write("output/flow.csv", FIVE)
        self.write("flow.csv", "")
        self.assertEqual(self.run_analyzer(out=False).stdout, "output/analysis\n")
        self.out = self.path("output/analysis")
        self.expect_five()

    def test_cells_stay_as_they_were(self):
        header, *lines = FIVE.splitlines()
        odd = ['"a, ""b"""', " 1 ", "é", '"two\nlines"', "007"]
        text = "\n".join([header + ", note", *(f"{line},{cell}" for line, cell in zip(lines, odd))]) + "\n"
        self.run_analyzer(self.write("flow.csv", text))
        rows = self.rows("flows_classified.csv")
        self.assertEqual([row[len(COLUMNS)] for row in rows], [" note", 'a, "b"', " 1 ", "é", "two\nlines", "007"])
        self.assertEqual([row[:len(COLUMNS)] for row in rows], [line.split(",") for line in FIVE.splitlines()])
        self.expect_five()

    def test_classes_that_are_there_are_replaced(self):
        header, *lines = FIVE.splitlines()
        text = "\n".join(["is_periodic," + header + ",flow_type", *(f"maybe,{line},old" for line in lines)])
        self.run_analyzer(self.write("flow.csv", text))
        self.assertEqual(self.rows("flows_classified.csv")[0], [*COLUMNS, "flow_type", "timing_category", "traffic_pattern", "is_periodic"])
        self.expect_five()

    def test_order_and_more_columns(self):
        rows = [line.split(",")[::-1] for line in FIVE.splitlines()]
        self.run_analyzer(self.write("flow.csv", "\n".join(",".join(row) for row in rows)))
        self.expect_five()

    def test_bad_rows_are_left_out_and_counted(self):
        header, *lines = FIVE.splitlines()
        bad = [lines[0] + ",1", lines[0].rsplit(",", 1)[0], '"' + lines[0], "what is this"]
        mixed = [header] + [line for pair in zip(lines, bad) for line in pair] + lines[4:]
        done = self.run_analyzer(self.write("flow.csv", "\n".join(mixed)))
        self.assertIn("4 rows have a number of fields other", done.stderr)
        self.expect_five()
        self.assertIn("4 rows have a number of fields other", self.text("report.html"))

    def test_quotes_inside_cells(self):
        """A quote that does not begin its cell is a character like others, and takes no row with it; a quoted cell that does
        not end costs its own row only."""
        header, *lines = FIVE.splitlines()
        for cells, gone in ((['5" disk', "x", '7"', "x", 'a"b"c'], 0), (["x", '"open', "x", "x", "x"], 1)):
            text = "\n".join([header + ",note", *(f"{line},{cell}" for line, cell in zip(lines, cells))]) + "\n"
            done = self.run_analyzer(self.write("flow.csv", text))
            self.assertEqual([row[len(COLUMNS)] for row in self.rows("flows_classified.csv")[1:]],
                             [cell for cell in cells if not cell.startswith('"')])
            self.assertEqual("1 rows have a number of fields other" in done.stderr, gone == 1)

    def test_numbers_beside_texts(self):
        """A number means the same whatever else is in its column: here one just below a limit of 200, and True, which is none."""
        below = {"flow_duration": 0.01, "pkt_size_avg": "199.99999999999997", "tot_fwd_pkts": 1, "tot_bwd_pkts": 0}
        for other in ("7", "x", "True", ""):
            self.run_analyzer(self.write("flow.csv", flows(below, {"pkt_size_avg": other})))
            self.assertEqual(self.rows("flows_classified.csv")[1][-4], QUICK, other)
        done = self.run_analyzer(self.write("flow.csv", flows({"flow_duration": "True"}, {"flow_duration": ""})))
        self.assertIn("left out: flow_duration 2", done.stderr)

    def test_cells_that_are_no_numbers(self):
        rows = [{"flow_duration": value} for value in ("", "x", "NaN", "-inf", "1e999", "True", "2")]
        done = self.run_analyzer(self.write("flow.csv", flows(*rows, {"pkt_len_max": "?"})))
        self.assertIn("not finite numbers are left out: flow_duration 6, pkt_len_max 1", done.stderr)
        self.assertEqual(done.stderr.count("WARNING"), 1)
        self.assertEqual(self.values("summary_statistics.csv")["Mean Flow Duration (s)"], "1.0495")  # 2 and 0.099
        self.assertEqual(self.rows("flows_classified.csv")[4][3], "-inf")
        for cells in (("True", "False"), ("1e308", "1.5e308")):  # no numbers; numbers whose sum is none
            self.run_analyzer(self.write("flow.csv", flows(*({"flow_duration": cell} for cell in cells))))
            self.assertEqual(self.values("summary_statistics.csv")["Mean Flow Duration (s)"], "")
        self.run_analyzer(self.write("flow.csv", flows(*[{"tot_fwd_pkts": "1e308"}] * 2)))
        self.assertEqual(self.values("summary_report.csv")["Total Forward Packets"], "")

    def test_microseconds_at_a_limit(self):
        """50 ms exactly is not below the limit of 0.05 s of a quick request."""
        row = {"flow_duration": 50000, "pkt_size_avg": 100, "tot_fwd_pkts": 1, "tot_bwd_pkts": 1}
        for names in (REALTIME, JAVA):
            self.run_analyzer(self.write("flow.csv", flows(row, row | {"flow_duration": 49999}, names=names)))
            self.assertEqual([line[-4] for line in self.rows("flows_classified.csv")[1:]], [OTHER, QUICK])

    def test_other_feature_sets(self):
        micro = lambda row, *names: row | {name: f"{row[name] * 1e6:.3f}" for name in names}
        for name, names, row, word in (
                ("realtime-97", REALTIME, micro(EXAMPLE | {"timestamp": "1231010435.577706000"}, "flow_duration"), "INFO"),
                ("Java CICFlowMeter", JAVA, micro(EXAMPLE | {"timestamp": "01/05/2024 10:00:00 AM"}, "flow_duration", "flow_iat_mean",
                                                  "flow_iat_std"), "payload")):
            with self.subTest(name):
                done = self.run_analyzer(self.write("flow.csv", flows(row, names=names)))
                self.assertIn(f"1 flows ({name})", done.stderr)
                self.assertIn(word, done.stderr)
                self.assertEqual(self.values("summary_statistics.csv")["Mean Flow Duration (s)"], "0.0990")
                self.assertEqual(self.rows("flows_classified.csv")[1][-4:], ["Bulk Transfer", "Fast", "Bursty", "False"])
                self.assertNotIn("timestamp", done.stderr)
        os.rename(self.out, self.path("before"))
        done = self.run_analyzer(self.write("flow.csv", "flow_id,timestamp,src_ip,packets_count,fwd_total_payload_bytes\n"), status=2)
        self.assertIn("netflowmeter-114", done.stderr)
        self.assertEqual(self.made(), [])

    def test_missing_columns_are_named(self):
        gone = ["flow_iat_std", "src_ip", "pkt_len_min"]
        lines = [line.split(",") for line in FIVE.splitlines()]
        stays = [i for i, name in enumerate(COLUMNS) if name not in gone]
        done = self.run_analyzer(self.write("flow.csv", "\n".join(",".join(line[i] for i in stays) for line in lines)), status=2)
        self.assertRegex(done.stderr, "missing: src_ip, flow_iat_std, pkt_len_min\n$")
        self.assertEqual((done.stderr.count("\n"), done.stdout, self.made()), (1, "", []))
        self.run_analyzer(self.write("flow.csv", "hello\n"), status=2)

    def test_no_input(self):
        os.mkdir(self.path("directory"))
        cut = self.write("cut.csv.gz", gzip.compress(FIVE.encode() * 50)[:-20])
        for path, word in ((self.path("none.csv"), "No such file"), (self.path("directory"), "directory"), (cut, "end-of-stream")):
            done = self.run_analyzer(path, status=1)
            self.assertIn(word, done.stderr)
            self.assertEqual((done.stderr.count("\n"), done.stdout, self.made()), (1, "", []))
        done = self.run_analyzer(self.write("flow.csv", FIVE), "--compare", self.path("none.csv"), status=1)
        self.assertEqual(self.made(), [])

    def test_no_flows(self):
        for text, columns in (("", []), (FIVE.splitlines()[0], COLUMNS)):
            done = self.run_analyzer(self.write("flow.csv", text), plots=True)
            self.assertIn("no flows", done.stderr)
            self.assertEqual(self.made(), ALL)
            self.assertEqual(self.rows("flows_classified.csv"), [[*columns, "flow_type", "timing_category", "traffic_pattern", "is_periodic"]])
            self.assertEqual(self.rows("strong_correlations.csv"), [["Feature 1", "Feature 2", "Correlation"]])
            self.assertEqual([row[1] for row in self.rows("summary_statistics.csv")[1:]], ["0", "0", "0", "", "", "", "", ""])
            self.assertEqual(self.rows("packet_size_summary.csv")[1:], [[way, "", "", ""] for way in ("Forward", "Backward", "Overall")])
            self.assertEqual(self.values("summary_report.csv")["Most Common Flow Type"], "")

    def test_one_flow(self):
        self.run_analyzer(self.write("flow.csv", flows({})), plots=True)
        values = self.values("summary_statistics.csv")
        self.assertEqual({values[f"{which} Flow Duration (s)"] for which in ("Mean", "Max", "Min")}, {"0.0990"})
        self.assertEqual(len(self.rows("strong_correlations.csv")), 1)
        self.assertEqual(self.made(), ALL)

    def test_column_without_a_number(self):
        """One of them, or all: still everything is made."""
        self.run_analyzer(self.write("flow.csv", flows(*[dict.fromkeys(NEEDED[2:], "")] * 3)), plots=True)
        self.assertEqual(self.made(), ALL)
        self.assertEqual([row[1] for row in self.rows("summary_statistics.csv")[1:]], ["3", "1", "1", "", "", "", "", ""])
        self.assertEqual({row[-4] for row in self.rows("flows_classified.csv")[1:]}, {OTHER})
        self.run_analyzer(self.write("flow.csv", flows(*[{"tot_fwd_pkts": ""}] * 3)))
        values = self.values("summary_report.csv")
        self.assertEqual((values["Total Forward Packets"], values["Total Backward Packets"]), ("", "21"))

    def test_time_stamps(self):
        import pandas as pd
        from flowmeter.analysis import flows as reading

        texts = ["2024-05-01 10:00:00", "2024-05-01 10:00:00.25", "2024-05-01T10:00:00Z", "2024-05-01T12:00:00.5+02:00",
                 "01/05/2024 10:00:00 AM", "01/05/2024 10:00:00 PM", "1714557600.125", "2024-13-01 10:00:00", "yesterday", ""]
        expected = [0, .25, 0, .5, 0, 43200, .125, None, None, None]
        seconds = reading.seconds_of(pd.Series([text or None for text in texts]))
        self.assertEqual([None if value != value else round(value - 1714557600, 6) for value in seconds], expected)

    def test_unknown_time_stamps_are_said(self):
        done = self.run_analyzer(self.write("flow.csv", flows({}, {"timestamp": "soon"})))
        self.assertIn("1 timestamps are not understood", done.stderr)
        done = self.run_analyzer(self.write("flow.csv", flows({"timestamp": ""}, {"timestamp": "soon"})))
        self.assertIn("no usable timestamp", done.stderr)


class Outputs(analyzer.AnalyzerCase):
    def test_directory_that_cannot_be(self):
        self.write("out", "a file")
        done = self.run_analyzer(self.write("flow.csv", FIVE), status=3)
        self.assertIn("cannot be written", done.stderr)

    def test_outputs_that_cannot_be(self):
        """A directory is in their place: the others are made, nothing half-written is left."""
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
        """The size limit of files stands for it: what is too large is not there, the rest is."""
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
        done = self.run_analyzer(self.write("flow.csv", FIVE), "--dpi", "9000", plots=True, status=3)
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
        """SIGTERM and SIGINT while rows come: no file is left."""
        for number in (signal.SIGTERM, signal.SIGINT):
            with subprocess.Popen([sys.executable, "-B", analyzer.ANALYZER, "-", "-o", self.out, "--no-plots"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                process.stdin.write(FIVE.encode())
                process.stdin.flush()
                try:
                    end = time.monotonic() + 60
                    while not self.made():
                        self.assertLess(time.monotonic(), end, "nothing was begun")
                        time.sleep(.05)
                    process.send_signal(number)
                    self.assertEqual(process.wait(60), 128 + number)
                finally:
                    process.kill()
            self.assertEqual(self.made(), [])


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
                    while octets := os.read(terminal, 4096):
                        said += octets
                except OSError:  # how Linux ends a terminal
                    pass
                self.assertEqual(process.wait(60), 0)
            os.close(terminal)
            self.assertEqual(b"5 flows read, 100 %" in said, shown, said)


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in [*axes.texts, axes.title]]


class Pictures(analyzer.AnalyzerCase):
    def figures(self, rows):
        """{name: figure} of a generated table of flows, and its analysis."""
        import generate_flows
        from flowmeter.analysis import analysis, classes, flows as reading, plots

        path = self.path("flow.csv")
        generate_flows.table(rows).to_csv(path, index=False)
        source = reading.FlowFile(path)
        self.addCleanup(source.close)
        result = analysis.Analysis(classes.Limits())
        for piece in source.pieces():
            result.add(*source.cells(piece, False))
        result.finish()
        self.assertEqual(result.flows, rows)
        return {name: draw(result) for name, draw in plots.PICTURES.items()}, result

    def check_images(self, figures, least):
        """Each can be drawn, has the size that is said, and this share of pixels that are not white."""
        import matplotlib.image
        import numpy as np

        for name, figure in figures.items():
            octets = io.BytesIO()
            figure.savefig(octets, format="png", dpi=50)
            size = struct.unpack(">II", octets.getvalue()[16:24])
            self.assertEqual(size, tuple(int(50 * inches) for inches in figure.get_size_inches()), name)
            octets.seek(0)
            inked = np.mean(np.any(matplotlib.image.imread(octets)[:, :, :3] < .95, axis=2))
            self.assertGreater(inked, least, name)
            self.assert_within(figure, name)

    def assert_within(self, figure, name):
        """No text of a panel, neither title nor label, leaves the picture."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        whole = figure.bbox
        for axes in figure.axes:
            labels = [axes.title, axes.xaxis.label, axes.yaxis.label] if axes.axison else [axes.title]
            for axis in (axes.xaxis, axes.yaxis) if axes.axison else ():
                low, high = sorted(axis.get_view_interval())
                labels += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            for text in (*labels, *axes.texts):
                box = text.get_window_extent(canvas.get_renderer())
                self.assertTrue(not text.get_text() or not text.get_visible() or
                                box.x0 >= -2 and box.y0 >= -2 and box.x1 <= whole.x1 + 2 and box.y1 <= whole.y1 + 2,
                                f"{name}: {text.get_text()!r} {box}")

    def test_no_flows(self):
        figures, _ = self.figures(0)
        for name, panels in (("flow_classification.png", 2), ("timing_analysis.png", 4), ("packet_size_analysis.png", 4),
                             ("periodic_traffic.png", 2), ("correlation_heatmap.png", 1), ("traffic_timeline.png", 3)):
            self.assertEqual(texts(figures[name]).count("no data"), panels, name)
        self.check_images(figures, .0005)

    def test_one_flow(self):
        figures, _ = self.figures(1)
        self.check_images(figures, .003)
        self.assertNotIn("no data", [text for figure in figures.values() for text in texts(figure)])
        self.assertIn("100.0 %", texts(figures["periodic_traffic.png"]))

    def test_what_is_drawn(self):
        figures, result = self.figures(400)
        self.check_images(figures, .02)
        pie, boxes = figures["flow_classification.png"].axes
        there = sum(count > 0 for count in result.types.values())
        self.assertGreater(there, 3)
        self.assertEqual(len(pie.patches), there)
        self.assertEqual(sum(bool(text.get_text()) for text in pie.texts), sum(count >= 12 for count in result.types.values()))  # 3 % of 400
        self.assertEqual(len(boxes.patches), there)
        bars, pattern, histogram, scatter = figures["timing_analysis.png"].axes
        self.assertEqual([bar.get_height() for bar in bars.patches], list(result.timings.values()))
        self.assertEqual(len(pattern.patches), 2)
        self.assertEqual(sum(bar.get_height() for bar in histogram.patches), 400)
        self.assertEqual((len(histogram.patches), histogram.get_yscale()), (30, "log"))
        self.assertEqual((scatter.get_xscale(), scatter.get_yscale()), ("log", "log"))
        mean, deviation = result.columns["flow_iat_mean"], result.columns["flow_iat_std"]
        shown = int(((mean > 0) & (deviation > 0)).sum())
        self.assertEqual(len(scatter.collections[0].get_offsets()), shown)
        self.assertIn(f"{400 - shown} flows with 0 or less", scatter.get_title())
        sizes, bars, histogram, boxes = figures["packet_size_analysis.png"].axes
        self.assertEqual(len(sizes.collections[0].get_offsets()), 400)
        self.assertEqual((sum(bar.get_height() for bar in bars.patches), len(bars.patches)), (400, 4))
        pie, over_time = figures["periodic_traffic.png"].axes
        self.assertEqual(sorted(len(points.get_offsets()) for points in over_time.collections),
                         sorted([result.periodic, 400 - result.periodic]))
        heat = figures["correlation_heatmap.png"].axes[0]
        self.assertEqual((len(heat.texts), heat.images[0].get_clim()), (64, (-1, 1)))
        rates, sizes, durations = figures["traffic_timeline.png"].axes
        self.assertEqual((len(rates.lines[0].get_xdata()), len(sizes.collections[0].get_offsets())), (400, 400))
        self.assertEqual(len(durations.collections[0].get_segments()), 400)
        self.assertEqual(durations.get_xlabel(), "time since the first flow (s)")
        for figure in figures.values():
            for axes in figure.axes:
                self.assertTrue(axes.title.get_text() or axes is figure.axes[-1])  # a colour bar has none

    def test_many_flows_are_thinned_and_counts_are_not(self):
        figures, result = self.figures(120_000)
        self.check_images(figures, .02)
        _, _, histogram, _ = figures["timing_analysis.png"].axes
        self.assertEqual(sum(bar.get_height() for bar in histogram.patches), 120_000)
        for axes in figures["traffic_timeline.png"].axes:
            self.assertIn("1 in 3 of 120,000 flows drawn", axes.get_title())
            self.assertEqual(len(axes.collections[0].get_offsets() if axes is not figures["traffic_timeline.png"].axes[2]
                                 else axes.collections[0].get_segments()), 40_000)

    def test_without_time_stamps_rows_are_numbered(self):
        from flowmeter.analysis import plots

        _, result = self.figures(30)
        result.columns["time"][:] = float("nan")
        timeline = plots.traffic_timeline(result)
        self.assertEqual(list(timeline.axes[0].lines[0].get_xdata()), list(range(1, 31)))
        self.assertIn("row number", timeline.axes[2].get_xlabel())
        result.columns["flow_duration"][:] = float("nan")  # then the last panel is empty, and the one above has the axis
        timeline = plots.traffic_timeline(result)
        self.assertIn("row number", timeline.axes[1].get_xlabel())
        self.assertEqual(texts(timeline)[-2:], ["no data", "Flow duration"])


class EndToEnd(analyzer.AnalyzerCase):
    def test_capture_to_page(self):
        """A capture, its flows by the meter, their analysis: each kind of conversation is in its class."""
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


class Page(analyzer.AnalyzerCase):
    def test_page_needs_nothing_else(self):
        page_source = self.write("<b>&flow.csv", FIVE)
        self.run_analyzer(page_source, plots=True)
        page = self.text("report.html")
        self.assertNotIn("<b>", page)
        self.assertIn("&lt;b&gt;&amp;flow.csv", page)
        self.assertEqual(re.findall(r"(?:https?:|\bsrc=(?!\"data:)|\bhref=|@import|url\()", page), [])
        images = [base64.b64decode(image) for image in re.findall(r'src="data:image/png;base64,([^"]+)"', page)]
        files = []
        for name in PICTURES:
            with open(os.path.join(self.out, name), "rb") as file:
                files.append(file.read())
        self.assertEqual(sorted(images), sorted(files))
        for name in (LARGE, QUICK, INTERACTIVE, BULK, OTHER):
            self.assertRegex(page, rf"{name}<td class=n>1<td class=n>20\.0 %")
        self.assertIn("36965.00", page)
