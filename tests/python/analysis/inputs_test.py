# SPDX-License-Identifier: BSD-3-Clause
"""scripts/flow_analyzer.py: inputs of other programs, odd and broken ones, and inputs without flows."""
import gzip
import os

import analyzer
import capture as frames
from analyzer import ALL, COLUMNS, EXAMPLE, FIVE, FIVE_CLASSES, FIVE_TABLES, JAVA, NEEDED, OTHER, QUICK, REALTIME, flows

ENVIRONMENTS = "tools older"


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
        """A quote that is not the first character of its cell is an ordinary character. An unterminated quoted cell costs only
        its own row."""
        header, *lines = FIVE.splitlines()
        for cells, gone in ((['5" disk', "x", '7"', "x", 'a"b"c'], 0), (["x", '"open', "x", "x", "x"], 1)):
            text = "\n".join([header + ",note", *(f"{line},{cell}" for line, cell in zip(lines, cells))]) + "\n"
            done = self.run_analyzer(self.write("flow.csv", text))
            self.assertEqual([row[len(COLUMNS)] for row in self.rows("flows_classified.csv")[1:]],
                             [cell for cell in cells if not cell.startswith('"')])
            self.assertEqual("1 rows have a number of fields other" in done.stderr, gone == 1)

    def test_numbers_beside_texts(self):
        """A number is read the same way whatever else is in its column: here, a number just below the limit of 200. True is not a
        number."""
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
        for cells in (("True", "False"), ("1e308", "1.5e308")):  # not numbers; numbers whose sum is infinite
            self.run_analyzer(self.write("flow.csv", flows(*({"flow_duration": cell} for cell in cells))))
            self.assertEqual(self.values("summary_statistics.csv")["Mean Flow Duration (s)"], "")
        self.run_analyzer(self.write("flow.csv", flows(*[{"tot_fwd_pkts": "1e308"}] * 2)))
        self.assertEqual(self.values("summary_report.csv")["Total Forward Packets"], "")

    def test_microseconds_at_a_limit(self):
        """Exactly 50 ms is not below 0.05 s, the limit of a quick request."""
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

    def test_a_capture_is_named_as_one(self):
        capture = frames.pcap(frames.conversation())
        section = b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a"
        for name, content in (("x.pcap", capture), ("x.pcap.gz", gzip.compress(capture)), ("x.pcapng", section)):
            path = self.write(name, content)
            done = self.run_analyzer(path, status=2)
            self.assertIn(f"{path}: is a capture, not a CSV of flows", done.stderr)
            self.assertEqual((done.stderr.count("\n"), done.stdout, self.made()), (1, "", []))
        self.run_analyzer(self.write("x.csv", b"\n\r\r\n" + FIVE.encode()))  # begins like pcapng, with empty lines
        self.expect_five()

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
        """All outputs are made even if one column, or every column, has no number."""
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
