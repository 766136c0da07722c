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
from ._run import Flows

_NUMBERS = {"integer": numpy.int64, "real": numpy.float64}


def _array(batch: _native.Batch, column: int, first_row: int, dtype: Any) -> numpy.typing.NDArray[Any]:
    """The cells of a column. A number without a value is a NaN, so dtype is a float if there can be such; a text is None."""
    if dtype is object:
        texts: numpy.typing.NDArray[Any] = numpy.empty(len(batch), object)
        texts[:] = batch.texts(column)
        return texts[first_row:]
    numbers = numpy.asarray(batch.numbers(column)).astype(dtype, copy=False)
    if nulls := batch.nulls(column):
        numbers = numbers.copy()
        numbers[nulls] = numpy.nan
    return numbers[first_row:]


def make_frame(meter: _native.Meter, columns: "list[_native.Described]",
               begun: list[tuple[_native.Batch, int]]) -> pandas.DataFrame:
    """Makes the frame from `begun`, a list of (batch, number of its last rows to take), and from all later batches."""
    dtypes = [object if kind not in _NUMBERS else numpy.float64 if may_be_empty else _NUMBERS[kind]
              for _, _, _, kind, may_be_empty in columns]
    parts: list[list[numpy.typing.NDArray[Any]]] = [[] for _ in columns]

    def take(batch: _native.Batch, rest: int) -> None:
        for i, arrays in enumerate(parts):
            arrays.append(_array(batch, i, len(batch) - rest, dtypes[i]))

    for batch, rest in begun:
        take(batch, rest)
    while (batch_or_end := meter.next_batch()) is not None:
        take(batch_or_end, len(batch_or_end))
    data = {}
    for i, (name, _, _, kind, _) in enumerate(columns):
        values: Any = numpy.concatenate(parts[i]) if parts[i] else numpy.empty(0, dtypes[i])
        parts[i] = []  # frees memory, so that only one column at a time is in memory twice
        if kind == "category":
            values = pandas.Categorical(values)
        elif dtypes[i] is object:
            values = pandas.array(values, dtype="string")
        data[name] = values
    return pandas.DataFrame(data, copy=False)


def arrow_frame(flows: Flows) -> pandas.DataFrame:
    """Makes the frame of the remaining flows with pandas.ArrowDtype columns."""
    from ._arrow import table
    if not hasattr(pandas, "ArrowDtype"):
        raise ModuleNotFoundError(f"dtype_backend='pyarrow' needs pandas 2 or newer; this is {pandas.__version__}")
    frame: pandas.DataFrame = table(flows).to_pandas(types_mapper=pandas.ArrowDtype)
    return frame
