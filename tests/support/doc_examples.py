# SPDX-License-Identifier: BSD-3-Clause
"""The examples of docs/python.md, which tests run as they are written."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]


def examples(live):
    """The blocks of Python, by the heading above: those that meter an interface, or the others."""
    text = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    heading, found = "", []
    for title, block in re.findall(r"^#+ ([^\n]*)$|^```python\n(.*?)^```$", text, re.M | re.S):
        heading = title or heading
        if block and ("flowmeter.meter(" in block) == live:
            found.append((heading, block))
    return found
