# SPDX-License-Identifier: BSD-3-Clause
"""The six pictures, each a matplotlib Figure.

The colours are from the palette of Okabe and Ito, which colour-blind people can tell apart; a class has the same colour
everywhere. Histograms, bars and boxes show all flows. At most MOST points are drawn: if there are more, every k-th is, and
the title says so. A panel without data says so, too.
"""
import contextlib
import functools
import io
import textwrap

import matplotlib
import numpy as np
from matplotlib import cbook
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator, NullFormatter

from . import classes, classify
from .classes import TYPE_COLOURS

MOST = 50_000
BINS = 30
PATTERN_COLOURS = dict(zip(classes.PATTERNS, ("#0072B2", "#E69F00")))
PERIODIC, NOT_PERIODIC = "#D7191C", "#9DB4C4"  # red, and a grey that is also lighter
_PLAIN, _LINE = "#0072B2", "#444444"
# From light to dark, in the order of the four categories.
_SHADES = ("#C6DBEF", "#6BAED6", "#2171B5", "#08306B")

_STYLE = {"font.size": 9, "axes.titlesize": 11, "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
          "agg.path.chunksize": 10_000}
_COUNT = FuncFormatter(lambda value, _: f"{value:,.0f}")
_STEPS = (1, 2, 2.5, 5, 10)
_SHORT = EngFormatter(sep="")  # 20k, 1.5M


@contextlib.contextmanager
def style():
    """The settings of these plots, in which they must be made and drawn. The user's own are not meant for them, and come back."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


class _Picture(Figure):
    def _repr_png_(self):
        """Shows it in a notebook, which knows figures only of pyplot."""
        return png_of(self, dpi=72)


def _figure(rows, columns, size, **options):
    figure = _Picture(figsize=size, layout="constrained", facecolor="white")
    return figure, np.atleast_1d(figure.subplots(rows, columns, **options)).ravel()


def _no_data(axes, title):
    axes.set_title(title)
    axes.set_axis_off()
    axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", fontsize=14, color="#777777")


def _thinned(mask):
    """(indices of at most MOST flows of the mask, remark for the title)"""
    places = np.flatnonzero(mask)
    step = -(-len(places) // MOST)
    if step <= 1:
        return places, ""
    ordinal = "every second" if step == 2 else f"1 in {step:,}"
    return places[::step], f"\n({ordinal} of {len(places):,} flows drawn)"


def _point(number):
    """Size and opacity of a point. Few points should be easy to see; many should not hide each other."""
    size, alpha = (30, .85) if number <= 1_000 else (12, .6) if number <= 10_000 else (5, .35)
    return {"s": size, "alpha": alpha, "linewidths": 0}


def _pie(axes, title, counts, colours):
    counts = {name: count for name, count in counts.items() if count}
    total = sum(counts.values())
    if not total:
        return _no_data(axes, title)
    shares = [100 * count / total for count in counts.values()]
    wedges, _ = axes.pie(list(counts.values()), colors=[colours[name] for name in counts], startangle=90, counterclock=False,
                         wedgeprops={"edgecolor": "white", "linewidth": 1 if len(counts) > 1 else 0})
    # The share is beside its slice, where the contrast is good. A small slice has none: it would touch the next one.
    for wedge, share in zip(wedges, shares):
        if share >= 3:
            angle = np.deg2rad((wedge.theta1 + wedge.theta2) / 2)
            axes.text(1.12 * np.cos(angle), 1.12 * np.sin(angle), f"{share:.1f} %", va="center",
                      ha="center" if abs(np.cos(angle)) < .3 else "left" if np.cos(angle) > 0 else "right")
    axes.legend(wedges, [f"{name}: {count:,} ({share:.1f} %)" for (name, count), share in zip(counts.items(), shares)],
                loc="upper center", bbox_to_anchor=(.5, 0), frameon=False)
    axes.set(title=title, xlim=(-1.5, 1.5), ylim=(-1.25, 1.25))  # room for the shares


def _bars(axes, title, counts, colours, legends, axis):
    if not sum(counts.values()):
        return _no_data(axes, title)
    total = sum(counts.values())
    bars = axes.bar(range(len(counts)), list(counts.values()), color=colours, edgecolor="#333333", linewidth=.5)
    axes.bar_label(bars, [f"{count:,}\n{100 * count / total:.1f} %" for count in counts.values()], padding=2, fontsize=8)
    axes.set_xticks(range(len(counts)), [f"{name}\n{legend}" for name, legend in zip(counts, legends)])
    axes.margins(y=.18)
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=_STEPS, integer=True))
    axes.yaxis.set_major_formatter(_SHORT)
    axes.set(title=title, xlabel=axis, ylabel="flows")


def _histogram(axes, title, values, label, log=False):
    values = values[~np.isnan(values)]
    if not len(values):
        return _no_data(axes, title)
    heights, edges = np.histogram(values, BINS)
    axes.bar(edges[:-1], heights, np.diff(edges), align="edge", color=_PLAIN, edgecolor="white", linewidth=.4, log=log)
    if log:
        axes.set_ylim(.5, max(axes.get_ylim()[1], 15))  # a bar of one flow is visible, and the axis shows 1 and 10
        axes.yaxis.set_major_formatter(_SHORT)
        axes.yaxis.set_minor_formatter(NullFormatter())  # otherwise the axis would show 0.6 flows
    else:
        axes.yaxis.set_major_locator(MaxNLocator(7, steps=_STEPS, integer=True))
        axes.yaxis.set_major_formatter(_SHORT)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=_STEPS))
    axes.set(title=title, xlabel=label, ylabel="flows (logarithmic)" if log else "flows")


def _boxes(axes, title, a, column, label, unit):
    """Boxes show the quartiles of all flows; if there are too many outliers, only some are drawn."""
    values, codes = a.columns[column], a.columns["flow_type"]
    there = ~np.isnan(values)
    boxes, colours, remark = [], [], ""
    for code, name in enumerate(classes.FLOW_TYPES):
        of_type = values[there & (codes == code)]
        if not len(of_type):
            continue
        box = cbook.boxplot_stats(of_type)[0]
        box["label"] = f"{textwrap.fill(name, 12)}\nmedian\n{box['med']:.3g} {unit}"
        outliers = np.sort(box["fliers"])
        if len(outliers) > MOST // len(classes.FLOW_TYPES):
            step = -(-len(outliers) // (MOST // len(classes.FLOW_TYPES)))
            box["fliers"] = np.append(outliers[::step], outliers[-1])
            remark = "\n(not all outliers drawn)"
        boxes.append(box)
        colours.append(TYPE_COLOURS[name])
    if not boxes:
        return _no_data(axes, title)
    drawn = axes.bxp(boxes, patch_artist=True, widths=.6, medianprops={"color": "black", "linewidth": 1.5},
                     flierprops={"marker": "o", "markersize": 3, "markeredgewidth": 0, "alpha": .6})
    for patch, outliers, colour in zip(drawn["boxes"], drawn["fliers"], colours):
        patch.set(facecolor=colour, edgecolor="#333333")
        outliers.set_markerfacecolor(colour)
    axes.grid(axis="y", alpha=.3)
    axes.set(title=title + remark, ylabel=label)


def flow_classification(a):
    figure, (left, right) = _figure(1, 2, (13, 6))
    _pie(left, "Flow types", a.types, TYPE_COLOURS)
    _boxes(right, "Flow duration by type", a, "flow_duration", "flow_duration (s)", "s")
    return figure


def _log_scatter(axes, a):
    title = "Mean and deviation of the inter-arrival time"
    x, y, codes = (a.columns[name] for name in ("flow_iat_mean", "flow_iat_std", "traffic_pattern"))
    there = ~np.isnan(x) & ~np.isnan(y)
    positive = there & (x > 0) & (y > 0)
    left_out = int(there.sum() - positive.sum())
    remark = f"\n({left_out:,} flows with 0 or less not shown)" if left_out else ""
    if not positive.any():
        return _no_data(axes, title + remark)
    drawn, thinned = _thinned(positive)
    handles = _coloured(axes, x[drawn], y[drawn], codes[drawn], PATTERN_COLOURS)
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = min(x[drawn].min(), y[drawn].min()) / 2, max(x[drawn].max(), y[drawn].max()) * 2
    handles += axes.plot([low, high], [low, high], color=_LINE, linewidth=1, linestyle="--", label="deviation = mean")
    axes.set(title=title + remark + thinned, xlabel="flow_iat_mean (s)", ylabel="flow_iat_std (s)")
    _legend(axes, -.12, 3, handles)


def _legend(axes, below, columns, handles):
    """The legend is below the axes, where it hides no point."""
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(.5, below), ncol=columns, frameon=False)


def _key(name, colour, marker="o"):
    """A legend's handle: like a point, but always large and opaque."""
    return Line2D([], [], marker=marker, linestyle="", color=colour, label=name)


def _coloured(axes, x, y, codes, colours):
    """Draws points in the colours of their classes and returns the legend's handles. The points are in the order of the
    flows: drawn class by class, the last class would hide the others."""
    there = [name for code, name in enumerate(colours) if (codes == code).any()]
    axes.scatter(x, y, c=np.array(list(colours.values()))[codes], **_point(len(x)))
    return [_key(name, colours[name]) for name in there]


def timing_analysis(a):
    figure, (bars, pie, histogram, scatter) = _figure(2, 2, (13, 10))
    fast, medium, slow = (f"{limit:g}" for limit in a.limits.timing)
    _bars(bars, "Timing categories", a.timings, _SHADES[::-1],
          (f"< {fast}", f"{fast} to {medium}", f"to {slow}", f"> {slow}"), "flow_iat_mean (s)")
    _pie(pie, "Traffic pattern", a.patterns, PATTERN_COLOURS)
    _histogram(histogram, "Mean inter-arrival time", a.columns["flow_iat_mean"], "flow_iat_mean (s)", log=True)
    _log_scatter(scatter, a)
    return figure


def _size_scatter(axes, a):
    title = "Mean packet size, forward and backward"
    x, y, codes = (a.columns[name] for name in ("fwd_pkt_len_mean", "bwd_pkt_len_mean", "flow_type"))
    there = ~np.isnan(x) & ~np.isnan(y)
    if not there.any():
        return _no_data(axes, title)
    drawn, thinned = _thinned(there)
    handles = _coloured(axes, x[drawn], y[drawn], codes[drawn], TYPE_COLOURS)
    high = max(x[drawn].max(), y[drawn].max(), 1)
    handles += axes.plot([0, high], [0, high], color=_LINE, linewidth=1, linestyle="--", label="equal size")
    axes.set(title=title + thinned, xlabel="fwd_pkt_len_mean (bytes)", ylabel="bwd_pkt_len_mean (bytes)")
    _legend(axes, -.12, 3, handles)


def packet_size_analysis(a):
    figure, (scatter, bars, histogram, boxes) = _figure(2, 2, (13, 10))
    _size_scatter(scatter, a)
    small, medium, large = (f"{limit:g}" for limit in a.limits.sizes)
    _bars(bars, "Packet size categories", classify.counts(classify.size(a.columns["pkt_size_avg"], a.limits), classes.SIZES),
          _SHADES, (f"< {small}", f"{small} to {medium}", f"to {large}", f"> {large}"), "pkt_size_avg (bytes)")
    _histogram(histogram, "Mean packet size", a.columns["pkt_size_avg"], "pkt_size_avg (bytes)")
    _boxes(boxes, "Mean packet size by type", a, "pkt_size_avg", "pkt_size_avg (bytes)", "B")
    return figure


def _time(a):
    """(position of each flow on the time axis, label of the axis)"""
    times = a.columns["time"]
    if np.any(~np.isnan(times)):
        return times - np.nanmin(times), "time since the first flow (s)"
    return np.arange(1, a.flows + 1, dtype=float), "row number (no usable timestamp)"


def periodic_traffic(a):
    figure, (left, right) = _figure(1, 2, (13, 6), gridspec_kw={"width_ratios": (2, 3)})
    _pie(left, "Periodic flows", {"Periodic": a.periodic, "Not periodic": a.flows - a.periodic},
         {"Periodic": PERIODIC, "Not periodic": NOT_PERIODIC})
    title = "Mean packet size over time"
    x, label = _time(a)
    y, periodic = a.columns["pkt_size_avg"], a.columns["is_periodic"]
    there = ~np.isnan(x) & ~np.isnan(y)
    if not there.any():
        _no_data(right, title)
        return figure
    drawn, thinned = _thinned(there)
    handles = []
    for code, name, colour, marker in ((0, "Not periodic", NOT_PERIODIC, "o"), (1, "Periodic", PERIODIC, "^")):
        of_kind = drawn[periodic[drawn] == code]
        if len(of_kind):
            right.scatter(x[of_kind], y[of_kind], color=colour, marker=marker, **_point(len(drawn)))
            handles.append(_key(name, colour, marker))
    right.xaxis.set_major_formatter(_COUNT if x[drawn].max() >= 1000 else right.xaxis.get_major_formatter())
    right.set(title=title + thinned, xlabel=label, ylabel="pkt_size_avg (bytes)")
    _legend(right, -.1, 2, handles)
    return figure


def correlation_heatmap(a):
    names, r = a.correlation.matrix()
    if a.correlate_all:  # there are dozens of columns, and many are constant
        known = np.flatnonzero((~np.isnan(r)).any(axis=0))
        names, r = [names[i] for i in known], r[np.ix_(known, known)]
    title = "Correlation of all features" if a.correlate_all else "Correlation of key features"
    edge = max(8, 2 + .2 * len(names))
    figure, (axes,) = _figure(1, 1, (edge + 1, edge))
    if not len(names):
        _no_data(axes, title)
        return figure
    image = axes.imshow(r, cmap="RdBu_r", vmin=-1, vmax=1)
    small = {"fontsize": 7} if len(names) > 12 else {}
    for set_ticks, turn in ((axes.set_xticks, {"rotation": 90 if small else 45, "ha": "center" if small else "right",
                                               "rotation_mode": None if small else "anchor"}), (axes.set_yticks, {})):
        for text in set_ticks(range(len(names)), names, **turn, **small):
            text.label1.set_parse_math(False)  # the names come from the input
    if not small:
        for i, j in zip(*np.nonzero(~np.isnan(r))):
            axes.text(j, i, f"{r[i, j]:.2f}", ha="center", va="center", color="white" if abs(r[i, j]) > .6 else "black")
    axes.spines[:].set_visible(False)
    axes.set_facecolor("#DDDDDD")  # grey where r is unknown; white means 0
    axes.set_title(title + ("\n(grey: constant or unknown)" if np.isnan(r).any() else ""))
    figure.colorbar(image, ax=axes, label="Pearson's r", shrink=.8)
    return figure


def traffic_timeline(a):
    figure, panels = _figure(3, 1, (13, 11), sharex=True)
    time, label = _time(a)
    shown = []
    for axes, title, column, unit in zip(
            panels, ("Throughput", "Mean packet size", "Flow duration"), ("flow_byts_s", "pkt_size_avg", "flow_duration"),
            ("flow_byts_s (bytes/s)", "pkt_size_avg (bytes)", "flow_duration (s)")):
        values = a.columns[column]
        there = ~np.isnan(time) & ~np.isnan(values)
        if not there.any():
            _no_data(axes, title)
            continue
        drawn, thinned = _thinned(there)
        drawn = drawn[np.argsort(time[drawn], kind="stable")]
        x, y = time[drawn], values[drawn]
        if column == "flow_byts_s":
            axes.plot(x, y, color=_PLAIN, linewidth=.7, alpha=.6)
            axes.scatter(x, y, color=_PLAIN, **_point(len(drawn)))
            axes.yaxis.set_major_formatter(_SHORT)
        elif column == "pkt_size_avg":
            _legend(axes, -.02, 5, _coloured(axes, x, y, a.columns["flow_type"][drawn], TYPE_COLOURS))
        else:
            axes.vlines(x, 0, y, color=_PLAIN, linewidth=1.5 if len(drawn) <= 5_000 else .5)
            axes.set_ylim(bottom=min(0, y.min()))
        axes.set(title=title + thinned, ylabel=unit)
        axes.grid(alpha=.3)
        shown.append(axes)
    for axes in shown:
        axes.tick_params(labelbottom=axes is shown[-1])
    if shown:
        shown[-1].set_xlabel(label)
        if np.nanmax(time) >= 1000:
            shown[-1].xaxis.set_major_formatter(_COUNT)
    return figure


def png_of(figure, dpi):
    """The figure as an image."""
    image = io.BytesIO()
    with style():
        figure.savefig(image, format="png", dpi=dpi)
    return image.getvalue()


def _styled(draw):
    @functools.wraps(draw)
    def styled(a):
        with style():
            return draw(a)
    return styled


PICTURES = {picture.__name__ + ".png": _styled(picture) for picture in (
    flow_classification, timing_analysis, packet_size_analysis, periodic_traffic, correlation_heatmap, traffic_timeline)}
