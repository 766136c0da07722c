# SPDX-License-Identifier: BSD-3-Clause
"""Tables of flows as people have them: a DataFrame, an Arrow stream, or flows of read(). Loads pandas or pyarrow only for
tables that are theirs."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Union, cast

if TYPE_CHECKING:
    import os

    import pandas


class ArrowStream(Protocol):
    """A table of pyarrow, polars, DuckDB …"""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...


if TYPE_CHECKING:
    Flows = Iterable[Mapping[str, object]]
    Table = Union[pandas.DataFrame, ArrowStream, Flows]
    Source = Union[str, os.PathLike[str], Table]


def _arrow_table(table: object) -> Any:
    import pyarrow

    return pyarrow.table(table)


def _is_arrow(table: object) -> bool:
    # The flows of a run are a stream of Arrow, too, but as flows they need no package.
    return hasattr(table, "__arrow_c_stream__") and not isinstance(table, Iterator)


def _flows(table: object) -> Iterator[Mapping[str, object]]:
    for flow in table if isinstance(table, Iterable) else [table]:
        if not isinstance(flow, Mapping):
            raise TypeError(f"flows must be the path of a CSV, a DataFrame, an Arrow table or an iterable of flows, "
                            f"not {'of ' * (flow is not table)}{type(flow).__name__}")
        yield flow


def rows_of(table: Table) -> tuple[list[str], Iterator[Sequence[object]]]:
    """The names of the columns, and the cells of each row."""
    if hasattr(table, "itertuples"):
        frame = cast("pandas.DataFrame", table)
        return list(frame.columns), frame.itertuples(index=False, name=None)
    if _is_arrow(table):
        arrow = _arrow_table(table)
        return list(arrow.column_names), zip(*(column.to_pylist() for column in arrow.columns))
    flows = _flows(table)
    first = next(flows, None)
    if first is None:
        return list(getattr(table, "columns", [])), iter(())
    names = list(first)

    def rows() -> Iterator[Sequence[object]]:
        yield list(first.values())
        for flow in flows:
            yield [flow[name] for name in names]

    return names, rows()


def frame_of(table: Table) -> pandas.DataFrame:
    """The table as a DataFrame; a DataFrame itself is not copied."""
    import pandas

    if isinstance(table, pandas.DataFrame):
        return table
    if _is_arrow(table):
        return cast(pandas.DataFrame, _arrow_table(table).to_pandas())
    if hasattr(table, "frame"):  # the flows of a run
        return cast(pandas.DataFrame, table.frame())
    return pandas.DataFrame([dict(flow) for flow in _flows(table)])


def name_of(table: object) -> str:
    """What messages call it."""
    return "flows" if isinstance(table, Iterator) else type(table).__name__
