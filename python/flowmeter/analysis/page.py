# SPDX-License-Identifier: BSD-3-Clause
"""report.html: classes, tables and plots on one self-contained page (plots are data URLs)."""
import base64
import html

from .classes import TYPE_COLOURS

_ROWS = 40  # most rows of a table; the CSV has all

_STYLE = """
:root { --ink: #1d2327; --dim: #667079; --page: #fff; --line: #d9dee2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8eb; --dim: #98a3ab; --page: #15191c; --line: #343c42; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: 14px; } caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { text-align: left; padding: .2rem 1rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } .dim { color: var(--dim); }
.side { display: flex; flex-wrap: wrap; gap: 1rem 3rem; align-items: flex-start; } .wide { overflow-x: auto; }
img { max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line); margin: .5rem 0 1.5rem; }
i.key { display: inline-block; width: .8em; height: .8em; margin-right: .5em; }
"""


def _table(caption, table, numbers):
    """numbers: indices of the columns of numbers."""
    header, rows = table
    kind = lambda i: " class=n" if i in numbers else ""
    line = lambda tag, cells: "<tr>" + "".join(f"<{tag}{kind(i)}>{cell}</{tag}>" for i, cell in enumerate(cells)) + "</tr>"
    escaped = [[html.escape(str(cell)) for cell in row] for row in rows[:_ROWS]]
    more = f"<p class=dim>{len(rows) - _ROWS:,} more rows are in the CSV.</p>" if len(rows) > _ROWS else ""
    body = "".join(line("td", row) for row in escaped) or f"<tr><td colspan={len(header)}>none</td></tr>"
    return (f"<div class=wide><table><caption>{html.escape(caption)}</caption>{line('th', map(html.escape, header))}"
            f"{body}</table>{more}</div>")


def classes_table(a):
    """The classes, their numbers of flows and their rules."""
    rows = []
    for kind, name, rule in a.limits.rules():
        count = a.class_count(kind, name)
        share = f"{100 * count / a.flows:.1f} %" if a.flows else ""
        key = f'<i class=key style="background:{TYPE_COLOURS[name]}"></i>' if kind == "Flow type" else ""
        rows.append(f"<tr><td>{kind}<td>{key}{name}<td class=n>{count:,}<td class=n>{share}<td>{html.escape(rule)}</tr>")
    first = "first" if a.limits.precedence == "guide" else "last"
    return ("<div class=wide><table><tr><th>kind<th>class<th class=n>flows<th class=n>share<th>rule</tr>" + "".join(rows) +
            f"</table></div><p class=dim>If the rules of several flow types match, the {first} one counts. A flow "
            "whose inter-arrival times are not known has no timing category or pattern.</p>")


def page(source, a, tables, pictures, remarks):
    """tables: [(caption, table, indices of the columns of numbers)]; pictures: [(caption, PNG bytes or None)]."""
    out = ["<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
           f"<title>Flows of {html.escape(source)}</title><style>{_STYLE}</style>",
           f"<h1>Flows of {html.escape(source)}</h1><p>{a.flows:,} flows of {a.unique['src_ip']:,} source and "
           f"{a.unique['dst_ip']:,} destination addresses.</p>"]
    out += [f"<p>{html.escape(remark)}</p>" for remark in remarks]
    out += ["<h2>Classes</h2>", classes_table(a), "<h2>Summary</h2><div class=side>",
            *(_table(*table) for table in tables), "</div>"]
    if pictures:
        out.append("<h2>Plots</h2>")
    for caption, png in pictures:
        if png is None:
            out.append(f"<p>{html.escape(caption)} could not be drawn.</p>")
        else:
            out.append(f'<img alt="{html.escape(caption)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">')
    return "\n".join(out) + "\n</html>\n"
