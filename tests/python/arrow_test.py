# SPDX-License-Identifier: BSD-3-Clause
"""Flows as an Arrow stream, read by pyarrow and other readers; Parquet and Feather files."""
import json
import os
import stat
import subprocess
import sys

import flowmeter
import pytest

import capture as frames
import packets

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed (scripts/test makes an environment that has it)")
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

LABEL = "environment"
ENVIRONMENTS = "newest older"

SETS = [each.name for each in flowmeter.feature_sets()]
EXTRA = "interface,direction,end_reason,evictions"


def plain(table):
    """Without dictionaries, whose order depends on the batches."""
    return table.cast(pyarrow.schema([pyarrow.field(field.name, field.type.value_type if pyarrow.types.is_dictionary(field.type)
                                                    else field.type) for field in table.schema]))


@pytest.mark.parametrize("features", SETS)
def test_a_table_is_the_csv(tmp_path, capture, program, features):
    table = pyarrow.table(flowmeter.read(capture, features=features, extra=EXTRA))
    table.validate(full=True)
    text = program("-f", capture, "--features", features, "--extra", EXTRA)
    assert table.column_names == text.partition("\n")[0].split(",")
    assert table.num_rows == text.count("\n") - 1 > 2 * 8192
    table = plain(table)
    # An empty cell is null. The text of realtime97's time is a number.
    expected = pyarrow.csv.read_csv(
        pyarrow.py_buffer(text.encode()), convert_options=pyarrow.csv.ConvertOptions(
            strings_can_be_null=True, null_values=[""],
            column_types={field.name: pyarrow.string() if pyarrow.types.is_timestamp(field.type) else field.type
                          for field in table.schema}))
    for name in table.column_names:
        if not pyarrow.types.is_timestamp(table.schema.field(name).type):
            assert table[name].equals(expected[name]), name
        elif features == "realtime97":
            nanoseconds = [f"{ns // 10**9}.{ns % 10**9:09}" for ns in table[name].cast(pyarrow.int64()).to_pylist()]
            assert nanoseconds == expected[name].to_pylist()
        else:
            assert [f"{time:%Y-%m-%d %H:%M:%S.%f}" for time in table[name].to_pylist()] == expected[name].to_pylist()


@pytest.mark.parametrize("features", SETS)
def test_the_schema_is_fixed_and_described(tmp_path, capture, features):
    flows = flowmeter.read(capture, features=features, extra=EXTRA, idle_timeout=7)
    schema = pyarrow.schema(flows)
    for traffic in ([], [(1.0, frames.ethernet(frames.ipv4(1, bytes([8, 0, 0, 0, 0, 7, 0, 1]))))]):
        path = tmp_path / "x.pcap"
        path.write_bytes(frames.pcap(traffic))
        table = pyarrow.table(flowmeter.read(path, features=features, extra=EXTRA, idle_timeout=7))
        assert table.num_rows == len(traffic)
        assert table.schema.equals(schema, check_metadata=True)
    assert pyarrow.table(flows).schema.equals(schema, check_metadata=True)
    described = {column.name: column for column in flowmeter.further_columns() + flowmeter.features(features)}
    for field in schema:
        assert field.nullable
        assert {key.decode(): value.decode() for key, value in field.metadata.items()} == {
            "unit": described[field.name].unit, "definition": described[field.name].definition}
    of_run = {key.decode(): value.decode() for key, value in schema.metadata.items()}
    assert of_run["flowmeter.version"] == flowmeter.__version__ and of_run["flowmeter.features"] == features
    assert of_run["flowmeter.idle-timeout"] == "7" and "flowmeter.hook" not in of_run
    types = {str(field.type) for field in schema}
    assert types == {"int64", "double", "string", "dictionary<values=string, indices=int32, ordered=0>",
                     "timestamp[ns, tz=UTC]" if features == "realtime97" else "timestamp[us, tz=UTC]"}


def test_batches_are_bounded_and_come_as_the_flows_end(capture):
    reader = pyarrow.RecordBatchReader.from_stream(flowmeter.read(capture))
    sizes = [batch.num_rows for batch in reader]
    assert max(sizes) == 8192 and len(sizes) > 2


def test_a_table_of_what_is_left(capture):
    whole = pyarrow.table(flowmeter.read(capture))
    flows = flowmeter.read(capture)
    for _ in range(3):
        next(flows)
    rest = pyarrow.table(flows)
    rest.validate(full=True)
    assert plain(rest).equals(plain(whole.slice(3)))
    assert list(flows) == [] and flows.account["flows"] == whole.num_rows


def test_numbers_are_not_copied(capture):
    flows = flowmeter.read(capture)
    next(flows)
    batch = flows._batch
    first = pyarrow.RecordBatchReader.from_stream(flows).read_next_batch()
    for name in ("src_port", "flow_duration"):
        column = flows.columns.index(name)
        assert first.column(column).buffers()[1].address == pyarrow.py_buffer(batch.numbers(column)).address


def test_times_that_a_timestamp_cannot_represent(tmp_path):
    """They are null and counted. In a list of flows they are texts."""
    frame = frames.ethernet(frames.udp())
    path = tmp_path / "far.pcapng"
    path.write_bytes(packets.pcapng_section() + packets.pcapng_interface()
                     + packets.pcapng_packet(frame, 400_000_000_000 * 10**6) + packets.pcapng_packet(frame, 400_000_000_001 * 10**6))
    flows = flowmeter.read(path, extra="end_reason")
    with pytest.warns(flowmeter.MeterWarning, match="^1 times are null"):
        table = pyarrow.table(flows)
    assert table["timestamp"].to_pylist() == [None] and flows.account["unrepresentable_times"] == 1
    assert next(flowmeter.read(path)).timestamp == "400000000000.000000"


def test_a_damaged_capture(damaged):
    with pytest.warns(flowmeter.MeterWarning, match="after packet 7"):
        assert pyarrow.table(flowmeter.read(damaged)).num_rows == 2
    flows = flowmeter.read(damaged, strict=True)
    with pytest.raises((OSError, pyarrow.ArrowException), match="CaptureError.*after packet 7"):
        pyarrow.table(flows)
    assert isinstance(flows.stream_error, flowmeter.CaptureError)


def test_a_stream_that_is_dropped_ends_the_run(capture):
    flows = flowmeter.read(capture)
    reader = pyarrow.RecordBatchReader.from_stream(flows)
    reader.read_next_batch()
    del reader
    assert flows._meter.wait(60)
    assert list(flows) == []


def test_flows_are_read_once(small):
    flows = flowmeter.read(small)
    assert pyarrow.table(flows).num_rows == 3
    with pytest.raises(flowmeter.Error, match="read them twice"):
        pyarrow.table(flows)
    assert pyarrow.schema(flows).names == flows.columns


def test_small_batches_are_joined(capture):
    """As live metering delivers them."""
    from flowmeter._arrow import _Gathered
    whole = pyarrow.table(flowmeter.read(capture, features="netflowmeter114", packets=3_000))
    gathered = _Gathered()
    for row in range(whole.num_rows):
        gathered.add(whole.slice(row, 1).combine_chunks().to_batches()[0])
    assert gathered.rows == whole.num_rows > 2_000 and len(gathered._joined) < 20
    assert plain(gathered.take()).equals(plain(whole))
    assert gathered.rows == 0


def test_a_capsule_that_nobody_reads(capture):
    flows = flowmeter.read(capture)
    flows.__arrow_c_schema__()
    flows.__arrow_c_stream__()
    flows.close()


def test_parquet(tmp_path, capture):
    path = tmp_path / "x.parquet"
    account = flowmeter.write_parquet(capture, path, row_group_rows=10_000, features="netflowmeter114", extra=EXTRA)
    expected = pyarrow.table(flowmeter.read(capture, features="netflowmeter114", extra=EXTRA))
    file = pyarrow.parquet.ParquetFile(path)
    assert plain(file.read()).equals(plain(expected))
    assert file.schema_arrow.equals(expected.schema)
    assert file.num_row_groups == -(-expected.num_rows // 16384) and file.metadata.row_group(0).num_rows == 16384
    metadata = {key.decode(): value.decode() for key, value in file.metadata.metadata.items()}
    assert json.loads(metadata["flowmeter.account"]) == account and account["flows"] == expected.num_rows
    assert metadata["flowmeter.features"] == "netflowmeter114"
    assert os.listdir(tmp_path) == ["x.parquet"]


def test_feather(tmp_path, capture):
    path = tmp_path / "x.feather"
    account = flowmeter.write_feather(flowmeter.read(capture, features="realtime97", extra=EXTRA), path, batch_rows=10_000)
    expected = pyarrow.table(flowmeter.read(capture, features="realtime97", extra=EXTRA))
    written = pyarrow.feather.read_table(path)
    assert plain(written).equals(plain(expected)) and account["flows"] == expected.num_rows
    assert written.schema.equals(expected.schema, check_metadata=True)
    with pyarrow.ipc.open_file(path) as file:
        assert file.num_record_batches == -(-expected.num_rows // 16384)


@pytest.mark.parametrize("write, read", [("write_parquet", pyarrow.parquet.read_table),
                                         ("write_feather", pyarrow.feather.read_table)])
class TestFiles:
    def test_a_failed_run_keeps_its_flows(self, tmp_path, damaged, write, read):
        path = tmp_path / "x"
        with pytest.raises(flowmeter.CaptureError, match="after packet 7"):
            getattr(flowmeter, write)(damaged, path, strict=True)
        assert read(path).num_rows == 2 and not list(tmp_path.glob("*.part"))

    def test_no_flow(self, tmp_path, write, read):
        path = tmp_path / "x.pcap"
        path.write_bytes(frames.pcap([]))
        assert getattr(flowmeter, write)(path, tmp_path / "x")["flows"] == 0
        assert read(tmp_path / "x").num_rows == 0

    def test_a_file_that_cannot_be_written(self, tmp_path, capture, write, read):
        with pytest.raises(FileNotFoundError):
            getattr(flowmeter, write)(capture, tmp_path / "no directory" / "x")
        with pytest.raises(IsADirectoryError):
            getattr(flowmeter, write)(capture, tmp_path)
        (tmp_path / "x").write_text("before")
        with pytest.raises(ValueError, match="'zip' is not a compression .*zstd"):
            getattr(flowmeter, write)(capture, tmp_path / "x", compression="zip")
        with pytest.raises(ValueError, match="at least one"):
            getattr(flowmeter, write)(capture, tmp_path / "x", **{"row_group_rows" if "parquet" in write else "batch_rows": 0})
        assert (tmp_path / "x").read_text() == "before" and os.listdir(tmp_path) == ["x"]

    def test_a_full_disk(self, tmp_path, capture, write, read):
        with pytest.raises(OSError, match="No space left"):
            getattr(flowmeter, write)(capture, "/dev/full")
        assert stat.S_ISCHR(os.stat("/dev/full").st_mode)

    def test_a_link_and_what_is_beside_it(self, tmp_path, small, write, read):
        (tmp_path / "x.part").write_text("of another")
        (tmp_path / "link").symlink_to("x")
        getattr(flowmeter, write)(small, tmp_path / "link")
        assert (tmp_path / "link").is_symlink() and read(tmp_path / "x").num_rows == 3
        assert (tmp_path / "x.part").read_text() == "of another" and len(os.listdir(tmp_path)) == 4

    def test_arguments(self, tmp_path, capture, write, read):
        with pytest.raises(TypeError, match=f"{write}.* unexpected keyword argument 'features'"):
            getattr(flowmeter, write)(flowmeter.read(capture), tmp_path / "x", features="cic82")
        with pytest.raises(ValueError, match="nope"):
            getattr(flowmeter, write)(capture, tmp_path / "x", fields="nope")
        assert os.listdir(tmp_path) == []


@pytest.mark.skipif("ASAN_OPTIONS" in os.environ, reason="AddressSanitizer keeps freed memory")
def test_files_do_not_grow_the_memory(tmp_path):
    """The memory of write_parquet follows the row groups, not the number of flows."""
    script = """if True:
        import pathlib, sys, flowmeter
        flowmeter.write_parquet(sys.argv[1], sys.argv[2], row_group_rows=8192, fields="src_ip,src_port,timestamp,flow_duration",
                                max_flows=1024)
        print(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])"""
    peaks = []
    for flows in (50_000, 400_000):
        path = tmp_path / "many.pcap"
        with open(path, "wb") as file:
            file.write(frames.pcap((i / 1000, frames.ethernet(frames.udp(b"", ports=(i % 60_000 + 1, i // 60_000 + 1))))
                                   for i in range(flows)))
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", script, path, tmp_path / "x"], capture_output=True, text=True,
                              check=True, timeout=200)
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 12_000, peaks  # KiB; the cells of 350,000 more flows take some 15 MB


INTERRUPTED = """if True:
    import os, signal, sys, threading, flowmeter
    import {module}
    reader, writer = os.pipe()  # stays open, so that the capture never ends
    os.write(writer, open(sys.argv[1], "rb").read())
    flows = flowmeter.read(f"/dev/fd/{{reader}}")
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        try:
            {call}
        except BaseException as error:  # of the reader (of some polars, a panic); then comes the interrupt
            if isinstance(error, KeyboardInterrupt):
                raise
            del flows  # what ends with it must not swallow the interrupt
            threading.Event().wait(100)
    except KeyboardInterrupt:
        print("interrupted")"""


@pytest.mark.parametrize("module, call", [("pyarrow", "pyarrow.table(flows)"), ("polars", "polars.DataFrame(flows)"),
                                          ("pyarrow.parquet", "flowmeter.write_parquet(flows, sys.argv[2])")])
def test_an_interrupt_ends_a_reader(tmp_path, small, module, call):
    pytest.importorskip(module)
    path = tmp_path / "x.parquet"
    done = subprocess.run([sys.executable, "-c", INTERRUPTED.format(module=module, call=call), small, path],
                          capture_output=True, text=True, timeout=100)
    assert done.stdout == "interrupted\n", done.stderr
    if "write_parquet" in call:  # nothing is lost
        assert pyarrow.parquet.read_table(path).num_rows == 3


def test_a_signal_handler_ends_a_writer(tmp_path, small):
    script = """if True:
        import os, signal, sys, threading, flowmeter, pyarrow.parquet
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
        reader, writer = os.pipe()
        os.write(writer, open(sys.argv[1], "rb").read())
        threading.Timer(1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        flowmeter.write_parquet(f"/dev/fd/{reader}", sys.argv[2])"""
    path = tmp_path / "x.parquet"
    done = subprocess.run([sys.executable, "-c", script, small, path], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (3, "")
    assert pyarrow.parquet.read_table(path).num_rows == 3


def test_pandas_with_arrow_types(capture):
    pandas = pytest.importorskip("pandas", "2")
    frame = flowmeter.read_frame(capture, extra=EXTRA, dtype_backend="pyarrow")
    assert {str(dtype) for dtype in frame.dtypes} == {"int64[pyarrow]", "double[pyarrow]", "string[pyarrow]",
                                                      "timestamp[us, tz=UTC][pyarrow]",
                                                      "dictionary<values=string, indices=int32, ordered=0>[pyarrow]"}
    usual = flowmeter.read_frame(capture, extra=EXTRA)
    assert len(frame) == len(usual)
    for name in usual.columns:
        if name != "timestamp":
            assert frame[name].isna().equals(usual[name].isna()), name
            assert frame[name].dropna().tolist() == usual[name].dropna().tolist(), name
    assert pandas.to_datetime(usual["timestamp"], utc=True).tolist() == frame["timestamp"].tolist()
    with pytest.raises(ValueError, match="dtype_backend"):
        flowmeter.read_frame(capture, dtype_backend="numpy")


def test_pandas_constructor(small):
    pandas = pytest.importorskip("pandas")
    flows = flowmeter.read(small)
    frame = pandas.DataFrame(flows, columns=flows.columns)
    assert list(frame.columns) == flows.columns and len(frame) == 3
    if int(pandas.__version__.partition(".")[0]) >= 3:  # older ones sort them
        assert list(pandas.DataFrame(flowmeter.read(small)).columns) == flows.columns


def test_polars(capture):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(flowmeter.read(capture, features="netflowmeter114"))
    assert plain(frame.to_arrow().cast(pyarrow.table(flowmeter.read(capture, features="netflowmeter114")).schema)).equals(
        plain(pyarrow.table(flowmeter.read(capture, features="netflowmeter114"))))
    assert len(polars.from_arrow(flowmeter.read(capture))) == len(frame)


def test_duckdb(capture):
    duckdb = pytest.importorskip("duckdb")
    flows = flowmeter.read(capture)  # noqa: F841 (DuckDB finds it by its name)
    (count, packets), = duckdb.sql("select count(*), sum(tot_fwd_pkts + tot_bwd_pkts) from flows").fetchall()
    assert (count, packets) == (flows.account["flows"], flows.account["metered"])
