# SPDX-License-Identifier: BSD-3-Clause
"""flowmeter.diff.compare(): the results, and the kinds of tables that it takes."""
import csv
import datetime
import importlib.util
import io
import pathlib

import diff_test
from diff_test import START, VECTOR, at, csv_of, fwd, ufwd
from flowmeter import diff
from packets import ACK, pcap

ENVIRONMENTS = "newest older"


def installed(*modules):
    return all(importlib.util.find_spec(name) for name in modules)


def flows_of(text):
    """Rows of a CSV as read() gives them: dicts with numbers."""
    def value(cell):
        for kind in (int, float):
            try:
                return kind(cell)
            except ValueError:
                pass
        return cell

    return [{name: value(cell) for name, cell in row.items()} for row in csv.DictReader(io.StringIO(text))]


class Compare(diff_test.DiffCase):
    def setUp(self):
        super().setUp()
        self.data = pcap(VECTOR)
        self.texts = {program: csv_of(program, self.data) for program in ("correct", "java")}
        self.a, self.b = (self.write(f"{program}.csv", text) for program, text in self.texts.items())
        self.capture = pathlib.Path(self.write("x.pcap", self.data))

    def test_what_differs_and_why(self):
        found = diff.compare(self.a, pathlib.Path(self.b), capture=self.capture)
        self.assertEqual((found.equal, found.explained, found.pairs, found.alone, found.unexplained), (False, True, 1, [], []))
        self.assertIn("flow_duration", found.different)
        # 262 bytes and 100
        self.assertEqual(found.columns["totlen_fwd_pkts"],
                         diff.Column("totlen_fwd_pkts", "B", 0, 1, 0, 162.0, 162 / 262, ["payload-length 1"]))
        self.assertEqual(repr(found), f"<Comparison of {self.a} and {self.b}: 1 matched pairs, {len(found.different)} of 82 columns "
                                      "differ, 0 rows without a partner; without explanation: 0 cells, 0 rows>")
        self.assertIn("microseconds-unit", found.text())
        self.assertEqual(len(found.csv().splitlines()), 83)
        self.assertIn("<svg", found.html())
        self.assertIn("<td>totlen_fwd_pkts<td>B<td>0<td>1<td>0<td>162<", found._repr_html_())

    def test_what_no_rule_explains(self):
        found = diff.compare(self.a, self.write("c.csv", self.texts["correct"].replace(",262,", ",263,")))
        self.assertEqual(found.unexplained, [diff.Unexplained("totlen_fwd_pkts", "262", "263", 2, 2)])
        self.assertEqual((found.equal, found.explained, found.different), (False, False, ["totlen_fwd_pkts"]))
        self.assertEqual(found.remarks, ["without --capture only differences that follow from a row itself can be explained"])

    def test_equal(self):
        found = diff.compare(self.a, self.a)
        self.assertEqual((found.equal, found.explained, found.different), (True, True, []))
        self.assertIn("all 82 columns are equal", repr(found))
        self.assertNotIn("<table>", found._repr_html_())

    def test_a_row_alone(self):
        one, both = (csv_of("correct", pcap(VECTOR + extra)) for extra in ([], at((300, ufwd(1)))))
        found = diff.compare(self.write("one.csv", one), flows_of(both))
        self.assertEqual([(a.side, a.row, a.flow["protocol"], a.why, a.whole) for a in found.alone], [("B", 1, "17", [], True)])
        self.assertFalse(found.explained)

    def test_kinds_of_tables(self):
        """Each kind gives the same cells. The iterable needs no package."""
        text = csv_of("correct", pcap(VECTOR + at((300, fwd(ACK)), (600, ufwd(1)))))
        path, flows = self.write("flows.csv", text), flows_of(text)
        tables = {"iterator": iter(flows), "list": flows}
        stamped = [{**flow, "timestamp": datetime.datetime.fromisoformat(flow["timestamp"]).replace(tzinfo=datetime.timezone.utc)}
                   for flow in flows]
        tables["with times"] = stamped
        if installed("pandas"):
            import pandas

            tables["pandas"], tables["pandas with times"] = pandas.DataFrame(flows), pandas.DataFrame(stamped)
            self.assertEqual(list(tables["pandas"].columns)[:2], ["src_ip", "dst_ip"])
        if installed("pyarrow"):
            import pyarrow

            tables["pyarrow"], tables["pyarrow with times"] = map(pyarrow.Table.from_pylist, (flows, stamped))
        if installed("pyarrow", "polars"):
            import polars

            tables["polars"] = polars.DataFrame(flows)
        for kind, table in tables.items():
            with self.subTest(kind):
                found = diff.compare(table, path)
                self.assertEqual((found.pairs, found.equal, len(found.columns)), (3, True, 82), found.text())

    def test_whole_seconds_without_a_zone_are_the_python_program_s(self):
        flows = flows_of(self.texts["correct"])
        when = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=START // 10**6)
        found = diff.compare(flows, [{**flow, "timestamp": when} for flow in flows])
        self.assertEqual(found.columns["timestamp"].why, ["whole-seconds 1"])

    def test_no_flows(self):
        self.assertTrue(diff.compare([], iter([])).equal)
        self.assertEqual([alone.side for alone in diff.compare([], self.a).alone], ["B"])

    def test_frame(self):
        if not installed("pandas"):
            self.skipTest("pandas is not installed")
        frame = diff.compare(self.a, self.b, self.capture).frame()
        self.assertEqual(len(frame), 82)
        self.assertEqual(frame.loc["totlen_fwd_pkts", ["unit", "different", "largest_absolute", "why"]].tolist(),
                         ["B", 1, 162.0, "payload-length 1"])

    def test_errors_name_what_is_wrong(self):
        flows = flows_of(self.texts["correct"])
        without = [{name: cell for name, cell in flow.items() if name not in ("timestamp", "src_port")} for flow in flows]
        for table, kind, words in ((without, ValueError, "list: no column src_port, timestamp"),
                                   ([{**flows[0], "src_port": None}], ValueError, "list: row 0: src_port: '' is not a value"),
                                   ([{"x": 1}], ValueError, "not the header of a known program"),
                                   (7, TypeError, "not int"), ([7], TypeError, "not of int"),
                                   (self.path("none.csv"), FileNotFoundError, "none.csv")):
            with self.subTest(words), self.assertRaises(kind) as raised:
                diff.compare(self.a, table)
            self.assertIn(words, str(raised.exception))
        with self.assertRaisesRegex(ValueError, "no packets"):
            diff.compare(self.a, self.b, capture=self.a)
