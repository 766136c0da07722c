# SPDX-License-Identifier: BSD-3-Clause
"""Flows of any of the programs, which is recognised by its header and its time stamps: read from a CSV, or given as rows."""
import csv
import gzip
import io
import zlib
from typing import NamedTuple

from .columns import COLUMNS, CORRECT, JAVA, KEY, PYTHON, UNCOMPARED, cell, recognise


class Unusable(ValueError):
    """A table or capture that cannot be compared; the text says which and why."""


class Row(NamedTuple):
    line: int  # in the file; the header is line 1. Of another table: the row's position, from 0
    cells: dict  # name of the 82 -> value
    text: dict  # name -> as written


class Table(NamedTuple):
    path: str
    program: str
    columns: list  # in the file's order, those of the 82
    uncompared: list
    rows: list


def content_of(path):
    """The bytes of a file, decompressed. Raises OSError or Unusable."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except EOFError:
        raise Unusable(f"{path}: the compressed file is cut short") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise Unusable(f"{path}: {error}") from None


def capture(path):
    """The flows of a capture by the rules of each program. Raises OSError or Unusable."""
    from . import flows  # imports the models of the programs, which are needed only here

    found = flows.Capture(path)
    if not found.frames:
        raise Unusable(f"{path}: no packets: not a pcap or pcapng capture, or an empty one")
    return found


def read(path):
    """The Table of a CSV. Raises OSError or Unusable."""
    try:
        text = content_of(path).decode()
    except UnicodeDecodeError:
        raise Unusable(f"{path}: not a text file; a CSV of flows is needed") from None
    lines = csv.reader(io.StringIO(text, newline=""))
    header = next(lines, None)
    if header is None:  # the Python program writes this if there are no flows
        return Table(path, PYTHON, [], [], [])

    def numbered():
        try:
            for fields in lines:
                if len(fields) != len(header):
                    raise Unusable(f"{path}: line {lines.line_num} has {len(fields)} cells, the header {len(header)}")
                yield lines.line_num, fields
        except csv.Error as error:
            raise Unusable(f"{path}: line {lines.line_num}: {error}") from None

    return table_of(path, header, numbered(), PYTHON if text.endswith("\r\n") else CORRECT)


def table_of(path, header, numbered, program_if_empty=CORRECT, line="line"):
    """The Table of rows of text. path: its name in messages; numbered: (number, texts) of each row, and line is what the
    number is called. Raises Unusable."""
    found = recognise(header)
    if found is None:
        raise Unusable(f"{path}: not the header of a known program, as it begins with {','.join(header)[:60]!r}; known are "
                       "flowmeter-ebpf, the Python cicflowmeter and the Java CICFlowMeter 4.0")
    position, is_java = found
    names = list(position.values())
    missing = [name for name in KEY if name not in names]
    if missing:
        raise Unusable(f"{path}: no column {', '.join(missing)}: flows cannot be matched without it")
    if len(set(names)) < len(names):
        raise Unusable(f"{path}: a column is there twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}")
    rows = []
    for number, fields in numbered:
        texts = {name: fields[i] for i, name in position.items()}
        cells = {}
        for name, of_cell in texts.items():
            try:
                cells[name] = cell(name, of_cell)
            except ValueError:
                column = COLUMNS[name].java if is_java else name
                raise Unusable(f"{path}: {line} {number}: {column}: {of_cell!r} is not a value") from None
        rows.append(Row(number, cells, texts))
    unknown = [name for i, name in enumerate(header) if i not in position and name.strip() not in UNCOMPARED]
    if is_java:
        program = JAVA
    elif rows:  # the names are the same; the correct mode's time stamps have microseconds
        program = CORRECT if any("." in row.text["timestamp"] for row in rows) else PYTHON
    else:
        program = program_if_empty
    return Table(path, program, names, unknown, rows)
