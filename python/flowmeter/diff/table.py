# SPDX-License-Identifier: BSD-3-Clause
"""Reads a CSV of flows of any of the programs, which is recognised by its header and its time stamps."""
import csv
import gzip
import io
from typing import NamedTuple

from .columns import COLUMNS, CORRECT, JAVA, KEY, PYTHON, UNCOMPARED, cell, recognise


class Unusable(Exception):
    """A file that cannot be compared; the text says which and why."""


class Row(NamedTuple):
    line: int  # in the file; the header is line 1
    cells: dict  # name of the 82 -> value
    text: dict  # name -> as written


class Table(NamedTuple):
    path: str
    program: str
    columns: list  # in the file's order, those of the 82
    uncompared: list
    rows: list


def _text_of(path):
    try:
        with open(path, "rb") as file:
            data = file.read()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        return data.decode()
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror or error}") from None
    except EOFError:
        raise Unusable(f"{path}: the compressed file is cut short") from None
    except UnicodeDecodeError:
        raise Unusable(f"{path}: not a text file; a CSV of flows is needed") from None


def read(path):
    """Raises Unusable."""
    text = _text_of(path)
    lines = csv.reader(io.StringIO(text, newline=""))
    header = next(lines, None)
    if header is None:  # the Python program writes this if there are no flows
        return Table(path, PYTHON, [], [], [])
    found = recognise(header)
    if found is None:
        raise Unusable(f"{path}: line 1 is not the header of a known program (it begins with "
                       f"{','.join(header)[:60]!r}); known are flowmeter-ebpf, the Python cicflowmeter and the Java "
                       "CICFlowMeter 4.0")
    position, is_java = found
    names = list(position.values())
    missing = [name for name in KEY if name not in names]
    if missing:
        raise Unusable(f"{path}: no column {', '.join(missing)}: flows cannot be matched without it")
    if len(set(names)) < len(names):
        raise Unusable(f"{path}: a column is there twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}")
    rows = []
    try:
        for fields in lines:
            if len(fields) != len(header):
                raise Unusable(f"{path}: line {lines.line_num} has {len(fields)} cells, the header {len(header)}")
            texts = {name: fields[i] for i, name in position.items()}
            cells = {}
            for name, of_cell in texts.items():
                try:
                    cells[name] = cell(name, of_cell)
                except ValueError:
                    column = COLUMNS[name].java if is_java else name
                    raise Unusable(f"{path}: line {lines.line_num}: {column}: {of_cell!r} is not a value") from None
            rows.append(Row(lines.line_num, cells, texts))
    except csv.Error as error:
        raise Unusable(f"{path}: line {lines.line_num}: {error}") from None
    unknown = [name for i, name in enumerate(header) if i not in position and name.strip() not in UNCOMPARED]
    if is_java:
        program = JAVA
    elif rows:  # the names are the same; the correct mode's time stamps have microseconds
        program = CORRECT if "." in rows[0].text["timestamp"] else PYTHON
    else:
        program = PYTHON if text.endswith("\r\n") else CORRECT
    return Table(path, program, names, unknown, rows)
