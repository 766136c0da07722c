# SPDX-License-Identifier: BSD-3-Clause
"""scripts/flow_analyzer.py: tables and page against values worked out by hand."""
import base64
import os
import re

import analyzer
from analyzer import (ALL, BULK, COLUMNS, FIVE, FIVE_CLASSES, FIVE_TABLES, INTERACTIVE, LARGE, OTHER, PICTURES, QUICK, TABLES,
                      flows)


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
        """r is 1 or -1; 2 / sqrt(5) = 0.894 for (1, 2, 3, 4) and (1, 1, 2, 2); none for a constant or for too few numbers."""
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
        """The same as numpy's, over several pieces; some numbers are missing, some are far from 0."""
        import numpy as np
        from flowmeter.analysis import analysis

        random = np.random.default_rng(5)
        values = random.normal(size=(9000, 4)) @ random.normal(size=(4, 4)) + (1e6, 0, -3, 1e-6)
        values[random.random(values.shape) < .1] = np.nan
        values[:3000, 2] = np.nan  # the first piece has no number at all
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
        """All rows of the pair are far from the column's first number, whose row has no number in the other column."""
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
