# SPDX-License-Identifier: BSD-3-Clause
"""scripts/flow_analyzer.py: the contents of each picture."""
import io
import struct

import analyzer

ENVIRONMENTS = "tools older"


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in [*axes.texts, axes.title]]


class Pictures(analyzer.AnalyzerCase):
    def figures(self, rows):
        """{name: figure} for a generated table of flows, and its analysis."""
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
        """Each figure can be drawn, has the right size, and has more than this share of pixels that are not white."""
        import matplotlib.image
        import numpy as np

        for name, figure in figures.items():
            png = io.BytesIO()
            figure.savefig(png, format="png", dpi=50)
            size = struct.unpack(">II", png.getvalue()[16:24])
            self.assertEqual(size, tuple(int(50 * inches) for inches in figure.get_size_inches()), name)
            png.seek(0)
            inked = np.mean(np.any(matplotlib.image.imread(png)[:, :, :3] < .95, axis=2))
            self.assertGreater(inked, least, name)
            self.assert_within(figure, name)

    def assert_within(self, figure, name):
        """No title, label or other text of a panel goes beyond the edge of the picture."""
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
                self.assertTrue(axes.title.get_text() or axes is figure.axes[-1])  # a colour bar has no title

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
        result.columns["flow_duration"][:] = float("nan")  # then the last panel is empty, and the panel above it has the axis
        timeline = plots.traffic_timeline(result)
        self.assertIn("row number", timeline.axes[1].get_xlabel())
        self.assertEqual(texts(timeline)[-2:], ["no data", "Flow duration"])
