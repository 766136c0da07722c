# SPDX-License-Identifier: BSD-3-Clause
"""A comparison as text, as CSV and as one self-contained HTML page (plots are inline SVG)."""
import csv
import html
import io
import math

from .columns import COLUMNS, PROGRAMS, canonical
from .rules import says

_LISTED = 20  # most cells and flows that the text lists; the page lists ten times as many


def _number(value):
    return f"{value:.4g}" if value else "0"


def why(column):
    """The rules of a column, each with its number of cells, the most frequent first."""
    parts = [f"{' + '.join(rules)} {count}" for rules, count in column.explained.most_common()]
    return parts + ([f"NO EXPLANATION {len(column.unexplained)}"] if column.unexplained else [])


def _flow(row):
    t = row.text
    return f"{t['src_ip']} {t['src_port']} > {t['dst_ip']} {t['dst_port']} proto {t['protocol']} {t['timestamp']}"


def _flow_counts(result):
    """[(what, number)]"""
    counts = [("matched pairs", len(result.pairs))]
    for side, other in (("A", "B"), ("B", "A")):
        mine = [s for s in result.sides if s.side == side]
        counts += [(f"more rows of {side}, within a matched flow of {other}", sum(not s.whole for s in mine)),
                   (f"only in {side}", sum(s.whole for s in mine))]
    return counts


def remarks(result):
    for side in ("A", "B"):
        if result.only_columns[side]:
            yield f"columns only in {side}: {', '.join(result.only_columns[side])}"
    for side, table in (("A", result.a), ("B", result.b)):
        if not table.columns:
            yield f"{side} is empty: the Python program writes an empty file if there are no flows"
        if result.not_in_capture[side]:
            yield (f"{result.not_in_capture[side]} rows of {side} do not follow from the capture with this program's default "
                   "settings: these rows were compared without it")
    if result.a.rows and result.b.rows and not result.pairs:
        yield "no flow of A is in B: do both come from the same capture, and were both made with TZ=UTC?"
    if result.capture is None and result.unexplained():
        yield "without --capture only differences that follow from a row itself can be explained"


def _largest(column):
    return _number(column.largest_absolute), _number(column.largest_relative)


def text(result):
    out = []
    for side, table in (("A", result.a), ("B", result.b)):
        out.append(f"{side}  {len(table.rows):7} rows  {table.path}  ({PROGRAMS[table.program]})")
    out += [f"   {count:7} {what}" for what, count in _flow_counts(result)]
    out += [f"note: {remark}" for remark in remarks(result)]
    different = {name: c for name, c in result.columns.items() if c.different}
    same = [name for name, c in result.columns.items() if not c.different]
    if result.pairs:
        out += ["", f"equal in all pairs ({len(same)} columns): {', '.join(same) or 'none'}"]
    if different:
        out += ["", f"{'column':18} {'unit':8} {'equal':>8} {'differ':>8} {'largest':>10} {'relative':>9}  why (cells)"]
        for name, column in different.items():
            absolute, relative = _largest(column)
            first, *others = why(column)
            out.append(f"{name:18} {COLUMNS[name].unit:8} {column.equal:8} {column.different:8} {absolute:>10} {relative:>9}  {first}")
            out += [" " * 67 + other for other in others[:4]]
            if len(others) > 4:
                out.append(" " * 67 + f"and {len(others) - 4} other combinations")
    if result.rules:
        out += ["", "rules (cells and rows that they explain)"]
        out += [f"{count:8}  {name}: {says(name)}" for name, count in result.rules.most_common()]
    if result.sides:
        out += ["", "flows without a partner"]
        out += _some([f"  {s.side} line {s.row.line}: {_flow(s.row)}: {', '.join(s.rules) or 'NO REASON FOUND'}"
                      for s in sorted(result.sides, key=lambda s: bool(s.rules))])
    unexplained = [cell for column in result.columns.values() for cell in column.unexplained]
    out += ["", f"without explanation: {len(unexplained)} cells, {sum(not s.rules for s in result.sides)} rows"]
    out += _some([f"  {c.column}: A line {c.a.line} {c.a.text[c.column]} | B line {c.b.line} {c.b.text[c.column]}  ({_flow(c.a)})"
                  for c in unexplained])
    return "\n".join(out) + "\n"


def _some(lines):
    return lines[:_LISTED] + ([f"  and {len(lines) - _LISTED} more (--csv has all)"] if len(lines) > _LISTED else [])


def table(result):
    """The CSV: one line per column, one per row without a partner, and one per cell without an explanation."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["kind", "name", "unit", "equal", "different", "unexplained", "largest_absolute", "largest_relative",
                     "line_a", "line_b", "a", "b", "why"])
    for name, c in result.columns.items():
        writer.writerow(["column", name, COLUMNS[name].unit, c.equal, c.different, len(c.unexplained),
                         repr(c.largest_absolute), repr(c.largest_relative), "", "", "", "",
                         "; ".join(why(c))])
    for s in result.sides:
        lines = (s.row.line, "") if s.side == "A" else ("", s.row.line)
        flow = (_flow(s.row), "") if s.side == "A" else ("", _flow(s.row))
        writer.writerow(["only" if s.whole else "part", s.side, *[""] * 6, *lines, *flow, " + ".join(s.rules)])
    for column in result.columns.values():
        for c in column.unexplained:
            writer.writerow(["cell", c.column, COLUMNS[c.column].unit, *[""] * 5, c.a.line, c.b.line,
                             c.a.text[c.column], c.b.text[c.column], ""])
    return out.getvalue()


# ---- page -------------------------------------------------------------------------------------------------------------

_STYLE = """
:root { --ink: #1d2327; --dim: #667079; --page: #fff; --line: #d9dee2; --equal: #b9c3ca; --known: #2f7fb8; --open: #d0402f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8eb; --dim: #98a3ab; --page: #15191c; --line: #343c42; --equal: #55616a; --known: #5aaee6; --open: #ff7161; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: 13px; } th, td { text-align: left; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } code { font-size: 12px; }
svg { display: block; } svg text { font: 12px system-ui, sans-serif; fill: var(--ink); } svg .dim { fill: var(--dim); } .wide { overflow-x: auto; }
.equal { fill: var(--equal); } .known { fill: var(--known); } .open { fill: var(--open); } .axis { stroke: var(--line); }
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem; } .open-text { color: var(--open); } i.key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em; }
"""


def _bars(rows, label_width=150, width=620):
    """rows: (label, [(class, number)], note). The bars are scaled to the largest sum."""
    top = max((sum(n for _, n in parts) for _, parts, _ in rows), default=0) or 1
    out = [f'<svg width="{label_width + width + 90}" height="{17 * len(rows) + 4}" role="img">']
    for i, (label, parts, note) in enumerate(rows):
        x, y = label_width, 17 * i
        out.append(f'<g><title>{html.escape(f"{label}: {note}")}</title>'
                   f'<text x="{label_width - 8}" y="{y + 12}" text-anchor="end">{html.escape(label)}</text>')
        for kind, number in parts:
            length = width * number / top
            if number:
                out.append(f'<rect class="{kind}" x="{x:.1f}" y="{y + 2}" width="{max(length, 1):.1f}" height="12"/>')
            x += length
        out.append(f'<text class="dim" x="{x + 6:.1f}" y="{y + 12}">{sum(n for _, n in parts)}</text></g>')
    return "".join(out) + "</svg>"


def _scatter(result, name, size=260):
    """A against B in the same unit, on logarithmic axes; equal values are on the diagonal."""
    unexplained = {(c.a.line, c.b.line) for c in result.columns[name].unexplained}
    points = []
    for x, y in result.pairs:
        u = canonical(name, x.cells[name], result.a.program)
        v = canonical(name, y.cells[name], result.b.program)
        if 0 < u < math.inf and 0 < v < math.inf:
            points.append((math.log10(u), math.log10(v), (x.line, y.line) in unexplained, u, v))
    if not points:
        return ""
    low = math.floor(min(min(p[:2]) for p in points))
    high = max(math.ceil(max(max(p[:2]) for p in points)), low + 1)
    left, scale = 46, (size - 60) / (high - low)
    place = lambda u, v: (left + (u - low) * scale, size - 36 - (v - low) * scale)
    (x0, y0), (x1, y1) = place(low, low), place(high, high)
    label = lambda x, y, words, anchor="start": f'<text class="dim" x="{x}" y="{y}" text-anchor="{anchor}">{words}</text>'
    out = [f'<svg width="{size}" height="{size}" role="img"><text x="{left}" y="12">{name}, {COLUMNS[name].unit}</text>'
           f'<path class="axis" fill="none" d="M{x0} {y1}V{y0}H{x1}M{x0} {y0}L{x1} {y1}"/>',
           label(x0, y0 + 14, f"1e{low}"), label(x1, y0 + 14, f"1e{high}", "end"), label(x0 - 4, y0, f"1e{low}", "end"),
           label(x0 - 4, y1 + 8, f"1e{high}", "end"), label((x0 + x1) / 2, y0 + 28, "A"), label(8, (y0 + y1) / 2, "B")]
    step = max(1, len(points) // 3000)  # the page stays small
    for u, v, is_open, a, b in sorted(points[::step], key=lambda p: p[2]):
        x, y = place(u, v)
        out.append(f'<circle class="{"open" if is_open else "known"}" cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill-opacity=".6">'
                   f"<title>A {a:g}, B {b:g}</title></circle>")
    return "".join(out) + "</svg>"


def _rows(head, rows):
    number = [head_cell.startswith("#") for head_cell in head]
    cells = lambda tag, row: "".join(f'<{tag}{" class=n" if n else ""}>{cell}</{tag}>' for cell, n in zip(row, number))
    return ("<table><tr>" + cells("th", [h.lstrip("#") for h in head]) + "</tr>" +
            "".join(f"<tr>{cells('td', row)}</tr>" for row in rows) + "</table>")


def page(result):
    escape = lambda value: html.escape(str(value))
    out = ["<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
           f"<title>Flows compared</title><style>{_STYLE}</style><h1>Flows compared</h1>",
           _rows(["", "#rows", "file", "program"], [(side, len(t.rows), escape(t.path), escape(PROGRAMS[t.program]))
                                                     for side, t in (("A", result.a), ("B", result.b))])]
    out += [f"<p>{escape(remark)}</p>" for remark in remarks(result)]
    cells = sum(len(c.unexplained) for c in result.columns.values())
    alone = sum(not s.rules for s in result.sides)
    out.append(f"<p class={'open-text' if cells + alone else 'none'}>Without explanation: {cells} cells, {alone} rows.</p>")
    out.append("<h2>Flows</h2><div class=wide>" +
               _bars([(what, [("known", count)], str(count)) for what, count in _flow_counts(result)], 330, 450) + "</div>")
    if result.pairs:
        out.append("<h2>Cells of matched flows</h2><p><i class=key style='background:var(--equal)'></i>equal"
                   "<i class=key style='background:var(--known)'></i>different, explained"
                   "<i class=key style='background:var(--open)'></i>without explanation</p><div class=wide>" +
                   _bars([(name, [("equal", c.equal), ("known", sum(c.explained.values())), ("open", len(c.unexplained))],
                           "; ".join(why(c)) or "equal") for name, c in result.columns.items()]) + "</div>")
        plots = [_scatter(result, name) for name in ("flow_duration", "tot_fwd_pkts", "totlen_fwd_pkts", "pkt_len_mean",
                                                     "flow_iat_mean", "flow_byts_s") if name in result.columns]
        if any(plots):
            out.append("<h2>A against B, in the same unit</h2><p>A dot is a flow; on the line both agree. Red: without "
                       "explanation. Zeros are not shown.</p><div class=plots>" + "".join(plots) + "</div>")
    if result.rules:
        counts = result.rules.most_common()
        out.append("<h2>Why</h2><div class=wide>" + _bars([(name, [("known", n)], says(name)) for name, n in counts]) +
                   "</div>" + _rows(["rule", "#cells and rows", "meaning"],
                                    [(f"<code>{name}</code>", n, escape(says(name))) for name, n in counts]))
    out.append("<h2>Columns</h2><div class=wide>" + _rows(
        ["column", "unit", "#equal", "#different", "#largest", "#relative", "why (cells)"],
        [(f"<code>{name}</code>", escape(COLUMNS[name].unit), c.equal, c.different, *_largest(c),
          "<br>".join(map(escape, why(c)[:6]))) for name, c in result.columns.items()]) + "</div>")
    if result.sides:
        listed = sorted(result.sides, key=lambda s: bool(s.rules))[:10 * _LISTED]
        rows = [(s.side, s.row.line, escape(_flow(s.row)), escape(", ".join(s.rules) or "no reason found")) for s in listed]
        out.append(f"<h2>Rows without a partner</h2><p>{len(listed)} of {len(result.sides)}</p><div class=wide>" +
                   _rows(["", "#line", "flow", "why"], rows) + "</div>")
    unexplained = [cell for column in result.columns.values() for cell in column.unexplained]
    if unexplained:
        listed = unexplained[:10 * _LISTED]
        rows = [(f"<code>{c.column}</code>", c.a.line, c.b.line, escape(c.a.text[c.column]), escape(c.b.text[c.column]),
                 escape(_flow(c.a))) for c in listed]
        out.append(f"<h2>Cells without explanation</h2><p>{len(listed)} of {len(unexplained)}</p><div class=wide>" +
                   _rows(["column", "#line A", "#line B", "#A", "#B", "flow"], rows) + "</div>")
    return "\n".join(out) + "\n</html>\n"
