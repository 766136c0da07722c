# SPDX-License-Identifier: BSD-3-Clause
"""Flows as Arrow batches, and as Parquet and Feather files. This is what needs pyarrow."""
import concurrent.futures
import contextlib
import errno
import json
import os
import secrets
from collections.abc import Callable, Iterator
from typing import Any

try:
    import pyarrow
    import pyarrow.compute
    import pyarrow.parquet
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(f"Arrow tables need {missing.name}: pip install 'flowmeter-ebpf[arrow]'", name=missing.name) from None

from ._run import Flows
from ._settings import Path

if not hasattr(pyarrow.parquet.ParquetWriter, "add_key_value_metadata"):
    raise ImportError(f"Arrow tables need pyarrow 17 or newer, this is {pyarrow.__version__}: "
                      "pip install --upgrade 'flowmeter-ebpf[arrow]'")


def batches(flows: Flows) -> Iterator[Any]:
    """The remaining flows as pyarrow.RecordBatch. An error of the run is raised as itself, not as one of pyarrow's."""
    try:
        yield from pyarrow.RecordBatchReader.from_stream(flows)
    except (OSError, pyarrow.ArrowException):
        if flows.stream_error is not None:
            raise flows.stream_error from None
        raise


def schema(flows: Flows) -> Any:
    """The pyarrow.Schema of these batches."""
    return pyarrow.schema(flows)


def table(flows: Flows) -> Any:
    """The remaining flows as a pyarrow.Table."""
    of_flows = schema(flows)
    return pyarrow.Table.from_batches(batches(flows), of_flows)


def write(flows: Flows, path: Path, kind: "type[ParquetFile | FeatherFile]", compression: str | None,
          rows: int) -> dict[str, int]:
    """Writes tables of about `rows` rows to a file of this kind. Returns the account.

    A file that cannot be finished does not replace `path`. If the run fails, the file has the flows that it delivered.
    Ctrl-C, or the exception of another signal handler, ends the run as flows.stop() does, and is raised when the file is
    complete: another thread writes, which no signal interrupts.
    """
    if rows < 1 or compression not in kind.COMPRESSIONS:
        flows.close()
        raise ValueError(f"{rows} rows at a time: at least one is needed" if rows < 1 else
                         f"{compression!r} is not a compression (choose from: {', '.join(map(repr, kind.COMPRESSIONS))})")
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        written = executor.submit(_write, flows, path, lambda name, columns: kind(name, columns, compression), rows)
        try:
            return written.result()
        except BaseException:  # of a signal handler; that of the writer comes after the run
            flows.stop()
            written.result()
            raise


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[str]:
    """The name of a new file, which gets the name `path` at the end, unless there is an exception."""
    target = os.path.realpath(path)
    if os.path.isdir(target):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if os.path.exists(target) and not os.path.isfile(target):
        yield target  # a device or a pipe is not replaced
        return
    temporary = f"{target}.{secrets.token_hex(4)}.part"
    with open(temporary, "xb"):
        pass
    try:
        yield temporary
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _write(flows: Flows, path: Path, open_file: Callable[[str, Any], Any], rows: int) -> dict[str, int]:
    failure = None
    gathered = _Gathered()
    with contextlib.closing(flows), _replacing(path) as temporary, contextlib.closing(open_file(temporary, schema(flows))) as file:
        try:
            for batch in batches(flows):
                gathered.add(batch)
                if gathered.rows >= rows:
                    file.write(gathered.take())
        except Exception as error:
            if error is not flows.stream_error:
                raise
            failure = error
        if gathered.rows:
            file.write(gathered.take())
        file.finish({"flowmeter.account": json.dumps(flows.account)} | ({"flowmeter.error": str(failure)} if failure else {}))
    if failure:
        raise failure
    return flows.account


class _Gathered:
    """Batches on their way to a table. Live batches may have a row each, which takes far more memory than its cells; so small
    ones are joined."""

    _MANY = 256

    def __init__(self) -> None:
        self.rows = 0
        self._joined: list[Any] = []
        self._small: list[Any] = []

    def add(self, batch: Any) -> None:
        self.rows += batch.num_rows
        if batch.num_rows >= self._MANY:
            self._join()
            self._joined.append(batch)
            return
        self._small.append(batch)
        if len(self._small) == self._MANY:
            self._join()

    def _join(self) -> None:
        if self._small:
            self._joined += pyarrow.Table.from_batches(self._small).unify_dictionaries().combine_chunks().to_batches()
            self._small.clear()

    def take(self) -> Any:
        self._join()
        table = pyarrow.Table.from_batches(self._joined)
        self.rows, self._joined = 0, []
        return table


class ParquetFile:
    """The file of write_parquet(): each table becomes one row group."""

    COMPRESSIONS = ("zstd", "snappy", "gzip", "lz4", "none")

    def __init__(self, path: str, of_flows: Any, compression: str | None) -> None:
        self._writer = pyarrow.parquet.ParquetWriter(path, of_flows, compression=compression)

    def write(self, flows: Any) -> None:
        self._writer.write_table(flows.unify_dictionaries(), row_group_size=flows.num_rows)

    def finish(self, metadata: dict[str, str]) -> None:
        self._writer.add_key_value_metadata(metadata)
        self.close()

    def close(self) -> None:
        self._writer.close()


class FeatherFile:
    """The file of write_feather(), Arrow's IPC file format: each table becomes one record batch.

    In a file, a dictionary may grow but not change. So this keeps one dictionary per column.
    """

    COMPRESSIONS = ("lz4", "zstd", None)

    def __init__(self, path: str, of_flows: Any, compression: str | None) -> None:
        self._dictionaries = {i: pyarrow.array([], field.type.value_type) for i, field in enumerate(of_flows)
                              if pyarrow.types.is_dictionary(field.type)}
        self._writer = pyarrow.ipc.new_file(path, of_flows, options=pyarrow.ipc.IpcWriteOptions(
            emit_dictionary_deltas=True, compression=compression))

    def write(self, flows: Any) -> None:
        flows = flows.unify_dictionaries().combine_chunks()
        for i, known in self._dictionaries.items():
            cells = flows.column(i).chunk(0)
            new = pyarrow.compute.is_in(cells.dictionary, value_set=known)
            known = pyarrow.concat_arrays([known, cells.dictionary.filter(pyarrow.compute.invert(new))])
            codes = pyarrow.compute.index_in(cells.dictionary, value_set=known).take(cells.indices)
            self._dictionaries[i] = known
            flows = flows.set_column(i, flows.schema.field(i), pyarrow.DictionaryArray.from_arrays(codes, known))
        self._writer.write_table(flows)

    def finish(self, metadata: dict[str, str]) -> None:
        self.close()

    def close(self) -> None:
        self._writer.close()
