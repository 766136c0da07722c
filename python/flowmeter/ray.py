# SPDX-License-Identifier: BSD-3-Clause
"""Flows of many captures as a data set of Ray.

    captures = ray.data.from_items(flowmeter.ray.sources("s3://captures/2026/*.pcap.zst"))
    flows = captures.map_batches(flowmeter.ray.read, batch_size=1, batch_format="pyarrow", fn_kwargs={"features": "cic82"})
    flows.write_parquet("s3://flows/2026")

docs/python-archives.md describes the columns, groups, and problems. They are those of flowmeter.spark.
"""
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Unpack

from . import interpreter

interpreter.check("ray", "ray", "pyarrow")
import pyarrow
import ray.data
from pyarrow import compute

from . import _archive
from ._options import with_settings
from ._settings import Settings


def sources(paths: _archive.Paths, *, group: _archive.Group = None,
            storage_options: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Items for ray.data.from_items(), one for each capture or group of captures.

    paths: a path, a pattern ("/captures/*.pcap"), a directory, a URL that fsspec opens ("s3://…"), or a list of them.
        Every worker opens its captures by these names. They are streamed, not copied to disk.
    group: captures of one link that are read as one stream, in the order of their names (x.pcap2 before x.pcap10):
        "directory" for those of each directory, or a function that returns the name of a capture's group. source_file is
        then the name of the group. Without it, each capture is by itself.
    storage_options: keywords for fsspec's file system, for example {"anon": True}.
    """
    return [source._asdict() for source in _archive.sources(paths, group, storage_options)]


@with_settings(Settings)
def read(batch: pyarrow.Table | Mapping[str, Any], *, with_problems: bool = False,
         storage_options: Mapping[str, Any] | None = None, **settings: Unpack[Settings]) -> Iterator[pyarrow.Table]:
    """The flows of the captures in a batch, for map_batches(): the columns source_file and row (counted from 0), then those
    of the feature set. The keywords go into fn_kwargs.

    batch: items of sources(), or plain paths (ray.data.from_items(["x.pcap", …])).
    with_problems: there are also rows for problems() and summaries(); flows() are the others.
    settings: those of flowmeter.read(). With strict=True, a capture that is damaged or cannot be read fails its task.
        Without it, the flows that could be read are used.
    """
    reader = _archive.Reader(with_problems=with_problems, storage_options=storage_options, settings=settings)
    yield reader.schema.empty_table()  # so that a batch without flows has the columns, too
    for source in _sources_in(batch):
        for rows in reader.batches(source):
            yield pyarrow.Table.from_batches([rows])


def flows(dataset: ray.data.Dataset) -> ray.data.Dataset:
    """The flows in a data set of read(…, with_problems=True)."""
    return _rows(dataset, [None], None)


def problems(dataset: ray.data.Dataset) -> ray.data.Dataset:
    """What was wrong with the captures of read(…, with_problems=True): source_file, kind ("error": the capture could not be
    read, or not to its end; "warning") and message."""
    return _rows(dataset, _archive.PROBLEM_KINDS, _archive.PROBLEMS)


def summaries(dataset: ray.data.Dataset) -> ray.data.Dataset:
    """One row for each source of read(…, with_problems=True): source_file, number of rows and of packets, and as message
    the number of packets by packet class."""
    return _rows(dataset, ["summary"], _archive.SUMMARIES)


def _sources_in(batch: pyarrow.Table | Mapping[str, Any]) -> Iterator[_archive.Source]:
    columns = batch.to_pydict() if isinstance(batch, pyarrow.Table) else batch
    if "item" in columns:
        for path in columns["item"]:
            yield _archive.Source(str(path), [str(path)])
    else:
        for name, captures in zip(columns["name"], columns["captures"]):
            yield _archive.Source(str(name), [str(capture) for capture in captures])


def _rows(dataset: ray.data.Dataset, kinds: Sequence[str | None], columns: list[str] | None) -> ray.data.Dataset:
    def chosen(table: pyarrow.Table) -> pyarrow.Table:
        if "kind" not in table.column_names:
            raise ValueError("this needs a data set of flowmeter.ray.read with with_problems=True")
        rows = table.filter(compute.is_in(table["kind"], pyarrow.array(kinds, pyarrow.string())))
        return rows.drop_columns(_archive.ABOUT.names) if columns is None else rows.select(columns)
    return dataset.map_batches(chosen, batch_size=None, batch_format="pyarrow")
