# SPDX-License-Identifier: BSD-3-Clause
"""Makes a pandas DataFrame from batches of columns, without a Python object per number."""
from typing import Any

try:
    import numpy
    import numpy.typing
    import pandas
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(f"a DataFrame needs {missing.name}: pip install 'flowmeter-ebpf[frame]'",
                              name=missing.name) from None

from . import _native

# Columns of texts (in lower case) that have few different values in any traffic.
_RECURRING = {"protocol", "interface", "direction", "end_reason"}
_EMPTY = {"integer": numpy.int64, "real": numpy.float64, "text": object}


def make_frame(meter: _native.Meter, columns: list[tuple[str, str, str, str]],
               begun: list[tuple[_native.Batch, int]]) -> pandas.DataFrame:
    """Makes the frame from `begun`, a list of (batch, number of its last rows to take), and from all later batches."""
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
        parts[i] = []  # frees memory, so that only one column at a time is in memory twice
        if kind == "text":
            values = pandas.Categorical(values) if name.lower() in _RECURRING else pandas.array(values, dtype="string")
        data[name] = values
    return pandas.DataFrame(data, copy=False)
