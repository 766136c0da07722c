# SPDX-License-Identifier: BSD-3-Clause
"""Archives of captures, for engines that run a task per capture: what the tasks are, and the rows of one task.

A source is what one task reads: a capture, or the captures of one link, in the order of their names. Its rows depend on nothing
else, so a task that is run again gives the same rows under the same numbers. flowmeter.spark and flowmeter.ray only hand
sources to their engine.
"""
import collections
import errno
import glob
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow

from . import _arrow
from ._errors import Error
from ._run import Flows, read
from ._source import path_of

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
Group = Callable[[str], object] | str | None

# Columns before and after those of the feature set. Flows have no values in the latter.
BEFORE = pyarrow.schema({"source_file": pyarrow.string(), "row": pyarrow.int64()})
ABOUT = pyarrow.schema({"kind": pyarrow.string(), "message": pyarrow.string(), "rows": pyarrow.int64(),
                        "packets": pyarrow.int64()})
PROBLEM_KINDS = ["error", "warning"]
PROBLEMS = ["source_file", "kind", "message"]  # the columns of problems()
SUMMARIES = ["source_file", "rows", "packets", "message"]  # the columns of summaries()

_log = logging.getLogger("flowmeter")


class Source(NamedTuple):
    """What one task reads: captures whose flows continue from one to the next."""
    name: str
    captures: list[str]


# ---- which captures ------------------------------------------------------------------------------------------------


def _fsspec() -> Any:
    try:
        import fsspec
    except ModuleNotFoundError:
        raise ModuleNotFoundError("a URL needs fsspec: pip install fsspec", name="fsspec") from None
    return fsspec


def _is_url(path: str) -> bool:
    return "://" in path  # also in a chain, "simplecache::s3://…"


def _files(path: str, storage_options: Mapping[str, Any]) -> list[str]:
    """The captures that a path, a pattern or a directory names. A path is taken as it is, so a list of them costs nothing."""
    if _is_url(path):
        if "*" not in path and not path.endswith("/"):
            return [path]
        files, inside = _fsspec().core.url_to_fs(path, **storage_options)
        found = [files.unstrip_protocol(name) for name in
                 (files.glob(inside) if "*" in inside else [each["name"] for each in files.ls(inside, detail=True)
                                                            if each["type"] == "file"])]
    elif os.path.isdir(path):
        found = [each.path for each in os.scandir(path) if each.is_file()]
    elif any(letter in path for letter in "*?[") and not os.path.exists(path):
        found = [each for each in glob.glob(path, recursive=True) if not os.path.isdir(each)]
    else:
        return [path]
    # Like Spark: names with these first letters are marks of other programs, for example _SUCCESS.
    found = [each for each in found if not each.rpartition("/")[2].startswith((".", "_"))]
    if not found:
        raise FileNotFoundError(2, "No capture", path)
    return sorted(found, key=_in_order)


def _in_order(path: str) -> list[str | int]:
    """Sorts x.pcap2 before x.pcap10, as tcpdump -C names them."""
    return [int(part) if part.isdecimal() else part for part in re.split("([0-9]+)", path)]


def sources(paths: Paths, group: Group, storage_options: Mapping[str, Any] | None = None) -> list[Source]:
    """The sources of an archive. Each capture is in one of them, also if it is named twice."""
    if isinstance(group, str) and group != "directory":
        raise ValueError(f"group is \"directory\" or a function, not {group!r}")
    named = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    captures = dict.fromkeys(file for path in named for file in _files(os.fspath(path), storage_options or {}))
    if not captures:
        raise ValueError("no capture was named")
    if group is None:
        return [Source(capture, [capture]) for capture in captures]
    groups: dict[str, list[str]] = {}
    for capture in captures:
        name = str(group(capture)) if callable(group) else capture.rpartition("/")[0] or "."
        groups.setdefault(name, []).append(capture)
    return [Source(name, sorted(members, key=_in_order)) for name, members in groups.items()]


# ---- the rows of a source ------------------------------------------------------------------------------------------


_CODECS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}
# Bytes of a read. Where a compressed stream breaks off, what such a read had decompressed is lost.
_COMPRESSED_CHUNK = 1 << 16


def _codec(path: str) -> str | None:
    """The compression that the end of a capture's name says."""
    name = path.partition("?")[0] if _is_url(path) else path
    return _CODECS.get(os.path.splitext(name)[1])


class _Streamed:
    """A capture that is opened when it is its turn, so that the captures of a source are not all open at once.

    Where it cannot be read, it ends: so flows can continue in the next capture. The error is then in `error`.
    """

    def __init__(self, path: str, storage_options: Mapping[str, Any]) -> None:
        self.name = path
        self.error: Exception | None = None
        self._storage_options = storage_options
        self._codec = _codec(path)
        self._file: Any = None
        self._ended = False

    def _open(self) -> Any:
        file = (_fsspec().open(self.name, "rb", **self._storage_options).open() if _is_url(self.name) else
                open(self.name, "rb"))
        return pyarrow.CompressedInputStream(file, self._codec) if self._codec else file

    def read(self, size: int) -> bytes:
        data = b""
        if not self._ended:
            try:
                if self._file is None:
                    self._file = self._open()
                data = self._file.read(min(size, _COMPRESSED_CHUNK) if self._codec else size)
            except Exception as error:  # every file system has its own
                self.error = error
        if not data:
            self.close()
        return data

    def close(self) -> None:
        self._ended = True
        if self._file is not None:
            self._file.close()
            self._file = None


class Reader:
    """Reads sources, all with the same settings. It can be pickled."""

    def __init__(self, *, with_problems: bool, storage_options: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> None:
        """Raises the error of a wrong setting. with_problems: rows of their own say what was wrong, and sum up the source."""
        self._with_problems = with_problems
        self._storage_options = dict(storage_options or {})
        self._settings = dict(settings)
        self._strict = bool(settings.get("strict"))
        with read(os.devnull, **self._settings) as no_flows:
            columns = _arrow.schema(no_flows)
        self.schema = pyarrow.schema([*BEFORE, *(pyarrow.field(column.name, _plain(column.type), metadata=column.metadata)
                                                 for column in columns), *(ABOUT if with_problems else [])])

    def batches(self, source: Source) -> Iterator[pyarrow.RecordBatch]:
        """The rows of a source, some thousand at a time. A capture that cannot be read is left out; its error, and warnings,
        are rows of their own. With strict=True, such an error is raised instead."""
        account: collections.Counter[str] = collections.Counter()
        problems: list[tuple[str, str]] = []
        rows = 0
        rest = source.captures
        while rest:
            # Flows continue from capture to capture, until one cannot be read at all: there, the run ends.
            run, rest = self._readable(rest, problems), []
            if not run:
                break
            opened = self._opened(run)
            with self._flows(source.name, opened) as flows:
                flows.redirect_warnings(lambda text: problems.append(("warning", text)))
                try:
                    for batch in _arrow.batches(flows):
                        yield self._numbered(source, rows, batch)
                        rows += len(batch)
                except Error as error:
                    failed = _place_of(run, str(error))
                    if failed is None or self._strict:
                        raise
                    if not getattr(opened[failed], "error", None):
                        problems.append(("error", str(error)))
                    rest = run[failed + 1:]
                account.update(flows.account)
            self._add_errors(opened, problems)
        if self._with_problems:
            about: list[dict[str, str | int]] = [{"kind": kind, "message": _utf8(message)} for kind, message in problems]
            about.append({"kind": "summary", "rows": rows, "packets": account["seen"],
                          "message": " ".join(f"{name}={count}" for name, count in account.items())})
            yield pyarrow.RecordBatch.from_pylist([{"source_file": _utf8(source.name), **each} for each in about], self.schema)
        else:
            for _, message in problems:
                _log.warning("%s: %s", _utf8(source.name), _utf8(message))

    def _readable(self, captures: list[str], problems: list[tuple[str, str]]) -> list[str]:
        """Those that can be opened. What fsspec opens shows this only when it is read."""
        readable = []
        for capture in captures:
            try:
                if not _is_url(capture):
                    path_of(capture)
                readable.append(capture)
            except OSError as error:
                if self._strict:
                    raise
                problems.append(("error", f"cannot open capture {capture}: {error.strerror}"))
        return readable

    def _add_errors(self, opened: list[Any], problems: list[tuple[str, str]]) -> None:
        for capture in opened:
            error = getattr(capture, "error", None)
            if error is None:
                continue
            # What fsspec needs for these URLs would be missing for every capture.
            if self._strict or isinstance(error, ImportError):
                raise error
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            problems.append(("error", f"cannot read capture {capture.name}: {reason}"))

    def _flows(self, name: str, opened: list[Any]) -> Flows:
        try:
            return read(opened, **self._settings)
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            raise OSError(errno.EMFILE, "a group of URLs or compressed captures needs two file descriptors per capture "
                          "(ulimit -n)", name) from None

    def _opened(self, captures: list[str]) -> list[Any]:
        return [_Streamed(capture, self._storage_options) if _is_url(capture) or _codec(capture) else capture
                for capture in captures]

    def _numbered(self, source: Source, first: int, batch: pyarrow.RecordBatch) -> pyarrow.RecordBatch:
        count = len(batch)
        columns = [pyarrow.repeat(_utf8(source.name), count), pyarrow.array(range(first, first + count), pyarrow.int64()),
                   *(column if column.type == field.type else column.cast(field.type, safe=False)
                     for column, field in zip(batch.columns, list(self.schema)[len(BEFORE):]))]
        nulls = [pyarrow.nulls(count, field.type) for field in ABOUT if self._with_problems]
        return pyarrow.record_batch([*columns, *nulls], schema=self.schema)


def _utf8(text: str) -> str:
    """The text with replacements for bytes of file names that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _plain(of_column: pyarrow.DataType) -> pyarrow.DataType:
    """The type that every engine has: texts instead of dictionaries, and no unit of time below microseconds."""
    if pyarrow.types.is_dictionary(of_column):
        return of_column.value_type
    return pyarrow.timestamp("us", of_column.tz) if pyarrow.types.is_timestamp(of_column) else of_column


def _place_of(captures: list[str], message: str) -> int | None:
    """Of the capture that an error message names."""
    return next((place for place, capture in enumerate(captures) if f" capture {capture}: " in message), None)
