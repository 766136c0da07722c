# SPDX-License-Identifier: BSD-3-Clause
"""How notebooks show flows."""
import html
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._run import Asked


def table(rows: Iterable[tuple[str, object]]) -> str:
    """A table of two columns."""
    cells = (f"<tr><th style='text-align: left'>{html.escape(name)}</th>"
             f"<td style='text-align: left'>{'' if value is None else html.escape(str(value))}</td></tr>"
             for name, value in rows)
    # A file name may have bytes that are not UTF-8.
    return f"<table>{''.join(cells)}</table>".encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def flows_table(asked: "Asked", columns: list[str], taken: int, over: bool) -> str:
    """What a run was asked for, and how far it is. Takes no flow."""
    settings: Mapping[str, object] = asked.settings
    shown = ", ".join(columns[:8]) + (f", … ({len(columns)})" if len(columns) > 8 else "")
    return table([("flows of", asked.names), ("feature set", asked.features), ("columns", shown),
                  *((name, value) for name, value in settings.items() if name not in ("features", "fields")),
                  ("flows read", f"{taken}, all" if over else f"{taken} so far")])
