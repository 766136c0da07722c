# SPDX-License-Identifier: BSD-3-Clause
"""Flows of many captures as a DataFrame of Apache Spark.

    frame = flowmeter.spark.read(spark, "s3://captures/2026/*.pcap.zst", features="cic82")
    frame.write.parquet("s3a://flows/2026")

Each capture, or each group of captures, is read by one task. docs/python-archives.md describes the columns, groups, and problems.
"""
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Unpack

from . import interpreter

interpreter.check("spark", "pyspark", "pyarrow")
import pyarrow
from pyspark.sql import DataFrame, SparkSession

from . import _archive
from ._options import with_settings
from ._settings import Settings

_TYPES = {pyarrow.string(): "string", pyarrow.int64(): "bigint", pyarrow.float64(): "double",
          pyarrow.timestamp("us", "UTC"): "timestamp"}


@with_settings(Settings)
def read(spark: SparkSession, paths: _archive.Paths, *, group: _archive.Group = None, partitions: int | None = None,
         with_problems: bool = False, storage_options: Mapping[str, Any] | None = None,
         **settings: Unpack[Settings]) -> DataFrame:
    """The flows of an archive of captures: the columns source_file and row (counted from 0), then those of the feature set.

    paths: a path, a pattern ("/captures/*.pcap"), a directory, a URL that fsspec opens ("s3://…"), or a list of them.
        Every executor opens its captures by these names. They are streamed, not copied to disk.
    group: captures of one link that are read as one stream, in the order of their names (x.pcap2 before x.pcap10):
        "directory" for those of each directory, or a function that returns the name of a capture's group. source_file is
        then the name of the group. Without it, each capture is by itself.
    partitions: the number of tasks; one per capture or group by default.
    with_problems: the frame also contains rows for problems() and summaries(); flows() are the others.
    storage_options: keywords for fsspec's file system, for example {"anon": True}.
    settings: those of flowmeter.read(). With strict=True, a capture that is damaged or cannot be read fails the job.
        Without it, the flows that could be read are used.
    """
    reader = _archive.Reader(with_problems=with_problems, storage_options=storage_options, settings=settings)
    sources = _archive.sources(paths, group, storage_options)
    columns = ", ".join(f"`{field.name}` {_TYPES[field.type]}" for field in reader.schema)
    tasks = spark.range(0, len(sources), 1, min(partitions or len(sources), len(sources)))
    return tasks.mapInArrow(_task(reader, _shared(spark, sources)), columns)


def flows(frame: DataFrame) -> DataFrame:
    """The flows in a frame of read(…, with_problems=True), also after it was saved and loaded."""
    _check(frame, "flows")
    return frame.where("kind is null").drop(*_archive.ABOUT.names)


def problems(frame: DataFrame) -> DataFrame:
    """What was wrong with the captures of read(…, with_problems=True): source_file, kind ("error": the capture could not be
    read, or not to its end; "warning") and message."""
    _check(frame, "problems")
    return frame.where("kind in ('error', 'warning')").select(_archive.PROBLEMS)


def summaries(frame: DataFrame) -> DataFrame:
    """One row for each source of read(…, with_problems=True): source_file, number of rows and of packets, and as message
    the number of packets by packet class."""
    _check(frame, "summaries")
    return frame.where("kind = 'summary'").select(_archive.SUMMARIES)


def _check(frame: DataFrame, function: str) -> None:
    if "kind" not in frame.columns:
        raise ValueError(f"{function}() needs a frame of flowmeter.spark.read(…, with_problems=True)")


def _shared(spark: SparkSession, sources: list[_archive.Source]) -> Any:
    """An object whose .value is the sources, in every task. A broadcast reaches each worker once, not with each task."""
    context = getattr(spark, "sparkContext", None)  # a session of Spark Connect has none
    return types.SimpleNamespace(value=sources) if context is None else context.broadcast(sources)


def _task(reader: _archive.Reader, shared: Any) -> Callable[[Iterable[pyarrow.RecordBatch]], Iterator[pyarrow.RecordBatch]]:
    def read_sources(numbers: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        for batch in numbers:
            for number in batch.column(0).to_pylist():
                yield from reader.batches(shared.value[number])
    return read_sources
