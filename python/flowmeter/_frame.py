# SPDX-License-Identifier: BSD-3-Clause
"""Batches of columns to a pandas DataFrame, without a Python object for a number."""
from typing import Any

import numpy
import numpy.typing
import pandas

from . import _native

# Texts of few values, whatever the traffic; in small letters.
_RECURRING = {"protocol", "interface", "direction", "end_reason"}
_EMPTY = {"integer": numpy.int64, "real": numpy.float64, "text": object}


def make_frame(meter: _native.Meter, columns: list[tuple[str, str, str, str]],
               begun: list[tuple[_native.Batch, int]]) -> pandas.DataFrame:
    """Of the batches begun so many last rows, and all batches to come."""
    parts: list[list[numpy.typing.NDArray[Any]]] = [[] for _ in columns]
    for batch, rest in begun:
        for i, arrays in enumerate(parts):
            arrays.append(batch.column(i)[len(batch) - rest:])
    while (batch := meter.next_batch()) is not None:
        for i, arrays in enumerate(parts):
            arrays.append(batch.column(i))
    data = {}
    for i, (name, _, _, kind) in enumerate(columns):
        values = numpy.concatenate(parts[i]) if parts[i] else numpy.empty(0, _EMPTY[kind])
        parts[i] = []  # a column at a time is in memory twice, not all
        if kind == "text":
            values = pandas.Categorical(values) if name.lower() in _RECURRING else pandas.array(values, dtype="string")
        data[name] = values
    return pandas.DataFrame(data, copy=False)
