# SPDX-License-Identifier: BSD-3-Clause
"""scripts/flow_analyzer.py: the classes of flows whose values are at and around each limit."""
import analyzer
from analyzer import BULK, EXAMPLE, INTERACTIVE, LARGE, OTHER, QUICK, flows


def of_type(duration, backward_bytes, size, packets, deviation):
    return {"flow_duration": duration, "totlen_bwd_pkts": backward_bytes, "pkt_size_avg": size, "tot_fwd_pkts": packets,
            "tot_bwd_pkts": 0, "flow_iat_std": deviation}


# (duration, backward bytes, mean size, packets, deviation), the type if the first matching rule counts, and if the last does.
TYPES = [
    ((0.099, 1500, 163.79, 19, 0.012), BULK, BULK),
    ((0.099, 2500, 163.79, 19, 0.02), LARGE, BULK),
    ((0.045, 2500, 150, 10, 0.001), LARGE, QUICK),
    ((0.5, 5000, 300, 12, 0.02), LARGE, INTERACTIVE),
    ((0.02, 500, 100, 20, 0.001), QUICK, BULK),
    ((0.5, 1000, 300, 20, 0.02), INTERACTIVE, BULK),
    ((0.05, 2000, 200, 15, 0.01), OTHER, OTHER),  # each limit itself is outside its class, except 200 and 400
    ((0.5, 1000, 200, 3, 0.0101), INTERACTIVE, INTERACTIVE),
    ((0.5, 1000, 400, 3, 0.0101), INTERACTIVE, INTERACTIVE),
    ((0.5, 1000, 400.01, 3, 0.0101), OTHER, OTHER),
    ((0.04, 9999, 500, 3, 0), OTHER, OTHER),
    ((0.0401, 2001, 500, 3, 0), LARGE, LARGE),
    ((0.049, 0, 199.9, 3, 0), QUICK, QUICK),
    ((0.5, 0, 500, 16, 0), BULK, BULK),
    (("", "NaN", "x", 16, "inf"), BULK, BULK),  # a cell that is not a number matches no rule
    (("", "", "", "", ""), OTHER, OTHER),
]

# IAT mean and deviation, then the timing, the pattern and whether it is periodic (with many packets).
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
        """A flow changes its class when a limit is moved across its value."""
        plain = of_type(0.5, 1000, 500, 3, 0)
        moved = (
            (("--large-bytes", "999"), plain, 0, OTHER, LARGE),
            (("--large-duration", "0.6"), plain | {"totlen_bwd_pkts": 3000}, 0, LARGE, OTHER),
            (("--quick-size", "501"), plain | {"flow_duration": 0.01}, 0, OTHER, QUICK),
            (("--quick-duration", "0.6"), plain | {"pkt_size_avg": 100}, 0, OTHER, QUICK),
            (("--interactive-sizes", "300", "500"), plain | {"flow_iat_std": 1}, 0, OTHER, INTERACTIVE),
            (("--interactive-iat-std", "0.5"), of_type(0.5, 0, 300, 3, 0.4), 0, INTERACTIVE, OTHER),
            (("--bulk-packets", "2"), plain, 0, OTHER, BULK),
            (("--timing", "0.006", "0.01", "0.1"), plain, 1, "Fast", "Very Fast"),
            (("--periodic-iat-std", "0.02"), EXAMPLE, 3, "False", "True"),
            (("--periodic-iat-mean", "0.1"), plain, 3, "True", "False"))
        self.write("flow.csv", flows(*(row for _, row, *_ in moved)))
        usual = self.classified()
        for i, (options, _, place, before, after) in enumerate(moved):
            with self.subTest(options):
                self.assertEqual((usual[i][place], self.classified(*options)[i][place]), (before, after))
                if place != 3:
                    self.assertIn(options[-1].removeprefix("0."), self.text("report.html"))
