# SPDX-License-Identifier: BSD-3-Clause
"""flowmeter.analysis.analyze(): the results, and the kinds of tables that it takes."""
import importlib.util
import io
import os
import pathlib
import subprocess
import sys

import analyzer
import cases
from analyzer import FIVE, FIVE_CLASSES, LARGE, OTHER
from flowmeter import analysis

ENVIRONMENTS = "newest older"


def frame_of(text):
    import pandas as pd

    return pd.read_csv(io.StringIO(text))


class Analyze(analyzer.AnalyzerCase):
    def setUp(self):
        super().setUp()
        self.file = self.write("flow.csv", FIVE)

    def test_tables(self):
        """The values of the tables that the program writes (analyzer.FIVE_TABLES), as numbers."""
        found = analysis.analyze(self.file)
        self.assertEqual((found.flows, found.remarks, found.comparison), (5, [], None))
        self.assertEqual(found.summary["Value"].tolist()[:3], [5, 2, 2])
        self.assertAlmostEqual(found.summary.loc["Mean Flow Duration (s)", "Value"], 0.6324, places=4)
        self.assertEqual(found.packet_sizes.loc["Backward"].tolist()[1:], [1500, 54])
        self.assertEqual(found.report.loc["Most Common Flow Type", "Value"], LARGE)
        self.assertEqual(found.counts["timing_category"], {"Very Fast": 1, "Fast": 2, "Medium": 1, "Slow": 1})
        self.assertEqual(found.counts["is_periodic"], {"Periodic": 2, "Not periodic": 3})
        self.assertEqual(found.correlations.shape, (8, 8))
        strong = found.strong_correlations
        self.assertTrue(len(strong) and (strong["Correlation"].abs() > 0.7).all())
        self.assertEqual(len(analysis.analyze(self.file, correlation=1).strong_correlations), 0)

    def test_classes_follow_the_index(self):
        frame = frame_of(FIVE).set_axis(list("abcde"))
        joined = frame.join(analysis.analyze(frame).classes)
        self.assertEqual([",".join(["", *map(str, row)]) for row in joined.iloc[:, -4:].to_numpy()], FIVE_CLASSES)
        self.assertEqual(joined.index.tolist(), list("abcde"))
        self.assertEqual(list(frame.columns), list(frame_of(FIVE).columns))  # it is as it was
        unknown = frame.assign(flow_iat_mean=float("nan"))
        classes = analysis.analyze(unknown).classes
        self.assertTrue(classes["timing_category"].isna().all() and classes["traffic_pattern"].isna().all())

    def test_limits(self):
        found = analysis.analyze(self.file, limits=analysis.Limits(large_bytes=1e9))
        self.assertEqual(found.counts["flow_type"][LARGE], 0)
        self.assertEqual(found.limits.large_bytes, 1e9)

    def test_kinds_of_tables(self):
        import pandas as pd

        expected = analysis.analyze(self.file)
        frame = frame_of(FIVE)
        stamped = frame.assign(timestamp=pd.to_datetime(frame["timestamp"], utc=True))
        tables = {"path": pathlib.Path(self.file), "frame": frame, "with times": stamped, "with categories":
                  frame.astype({"src_ip": "category"}), "nullable": frame.convert_dtypes(), "flows": iter(frame.to_dict("records"))}
        if importlib.util.find_spec("pyarrow"):
            import pyarrow

            tables["pyarrow"] = pyarrow.Table.from_pandas(stamped)
            if hasattr(pd, "ArrowDtype"):
                tables["Arrow's types"] = tables["pyarrow"].to_pandas(types_mapper=pd.ArrowDtype)
            if importlib.util.find_spec("polars"):
                import polars

                tables["polars"] = polars.from_pandas(stamped)
        for kind, table in tables.items():
            for correlate in ("key", "all"):
                with self.subTest(kind, correlate=correlate):
                    if kind == "flows":
                        table = iter(frame.to_dict("records"))
                    found = analysis.analyze(table, correlate=correlate)
                    self.assertTrue(found.classes.equals(expected.classes))
                    self.assertTrue(found.report.equals(expected.report), found.report)
                    self.assertEqual(found.remarks, [])

    def test_figures_leave_the_user_s_settings(self):
        import matplotlib

        with matplotlib.rc_context({"font.size": 31}):
            figures = analysis.analyze(self.file).figures()
            self.assertEqual(matplotlib.rcParams["font.size"], 31)
        self.assertEqual(tuple(figures), analysis.FIGURES)
        self.assertEqual(figures["flow_classification"].axes[0].get_title(), "Flow types")
        with self.assertRaisesRegex(ValueError, "'pie'.*traffic_timeline"):
            analysis.analyze(self.file).figure("pie")

    def test_comparison(self):
        found = analysis.analyze(self.file, frame_of(FIVE).iloc[:1])
        self.assertEqual(found.comparison.loc["Total Flows"].tolist(), [5, 1, -4, -80])

    def test_shown(self):
        found = analysis.analyze(self.file)
        self.assertEqual(repr(found), f"<FlowAnalysis of {self.file}: 5 flows; Large Data Transfer 1, Quick Request 1, "
                                      "Interactive 1, Bulk Transfer 1, Other 1>")
        self.assertIn(OTHER, found._repr_html_())
        self.assertEqual(found.html(dpi=40).count("<img "), 6)
        self.assertNotIn("<img ", found.html(plots=False))
        self.assertEqual(analysis.analyze([]).flows, 0)

    def test_errors_name_what_is_wrong(self):
        frame = frame_of(FIVE)
        for table, kind, words in ((frame.drop(columns=["src_ip", "pkt_len_min"]), ValueError, "missing: src_ip, pkt_len_min"),
                                   (self.path("none.csv"), FileNotFoundError, "none.csv"), (7, TypeError, "not int")):
            with self.subTest(words), self.assertRaises(kind) as raised:
                analysis.analyze(table)
            self.assertIn(words, str(raised.exception))
        with self.assertRaisesRegex(ValueError, "'key' or 'all', not 'each'"):
            analysis.analyze(frame, correlate="each")


class WithoutPackages(cases.Case):
    def test_what_to_install(self):
        code = "import sys; sys.path.insert(0, sys.argv[1])\nfrom flowmeter import analysis\nanalysis.analyze('flow.csv')\n"
        done = subprocess.run([sys.executable, "-S", "-B", "-c", code, os.path.join(cases.ROOT, "python")], capture_output=True,
                              text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": ""})
        self.assertTrue(done.stderr.endswith(f"ModuleNotFoundError: {sys.executable} has no numpy and no pandas: {sys.executable} -m "
                                             "pip install 'flowmeter-ebpf[analysis]'\n"), done.stderr)
