# SPDX-License-Identifier: BSD-3-Clause
"""Which captures are read together, and the rows of one task, without an engine."""
import pickle
import resource
import subprocess
import sys

import capture as frames
import pytest

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")

import flowmeter  # noqa: E402
from archives import capture_of, one_process, place  # noqa: E402
from flowmeter import _archive  # noqa: E402

LABEL = "environment"
ENVIRONMENTS = "engines"
LOCK = "engines"


def names(sources):
    return [[capture.rpartition("/")[2] for capture in source.captures] for source in sources]


def read(paths, group=None, with_problems=True, **settings):
    """The rows of an archive as dictionaries: flows, and rows about their sources."""
    reader = _archive.Reader(with_problems=with_problems, storage_options=None, settings=settings)
    reader = pickle.loads(pickle.dumps(reader))
    batches = [batch for source in _archive.sources(paths, group) for batch in reader.batches(source)]
    assert all(len(batch) <= 10_000 for batch in batches)
    rows = pyarrow.Table.from_batches(batches, reader.schema).to_pylist()
    if not with_problems:
        return rows, []
    columns = set(_archive.ABOUT.names)
    return ([{name: row[name] for name in row if name not in columns} for row in rows if row["kind"] is None],
            [row for row in rows if row["kind"]])


def problems(about):
    return [(row["kind"], row["message"]) for row in about if row["kind"] != "summary"]


# ---- which captures ------------------------------------------------------------------------------------------------


def test_a_directory_a_pattern_and_a_list_name_the_same_captures(archive):
    every = ["cut.pcap", *(f"link{i}.pcap" for i in range(6)), "text.pcap"]
    (archive / "_SUCCESS").touch()
    (archive / ".hidden.pcap").touch()
    for paths in (archive, f"{archive}/*", [f"{archive}/*.pcap", archive / "cut.pcap"], f"file://{archive}/*",
                  f"file://{archive}/"):
        assert names(_archive.sources(paths, None)) == [[name] for name in every], paths


def test_a_capture_whose_name_looks_like_a_pattern(tmp_path):
    path = tmp_path / "a[1].pcap"
    path.touch()
    assert _archive.sources(path, None) == [_archive.Source(str(path), [str(path)])]


def test_names_of_any_kind(tmp_path):
    for name in ("2001:db8::1.pcap", b"\xff.pcap".decode("utf-8", "surrogateescape")):
        (tmp_path / name).write_bytes(frames.pcap(frames.conversation()))
        flows, about = read(tmp_path / name)
        assert len(flows) == 3 and not problems(about)
        (tmp_path / name).write_bytes(frames.pcap(frames.conversation())[:-7])
        flows, about = read(tmp_path / name)
        assert len(flows) == 2 and [kind for kind, _ in problems(about)] == ["warning"]


@pytest.mark.parametrize("paths, error", [([], ValueError), ("/nonexistent/*.pcap", FileNotFoundError)])
def test_no_capture(paths, error):
    with pytest.raises(error):
        _archive.sources(paths, None)


def test_groups_are_in_the_order_of_numbers(rotated, archive):
    by_directory = _archive.sources([archive, rotated], "directory")
    assert [source.name for source in by_directory] == [str(archive), str(rotated)]
    assert names(by_directory)[1] == ["x.pcap", *(f"x.pcap{i}" for i in range(1, 12))]
    by_function = _archive.sources(archive, lambda path: len(path.rpartition("/")[2]))
    assert names(by_function) == [["cut.pcap"], [f"link{i}.pcap" for i in range(6)], ["text.pcap"]]
    with pytest.raises(ValueError, match="group"):
        _archive.sources(archive, "link")


# ---- the rows of a task --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("features", ["cic82", "netflowmeter114", "realtime97"])
def test_rows_are_those_of_one_process(archive, features):
    captures = sorted(archive.glob("[!.]*.pcap"))
    expected = one_process(captures, features=features, quality=True)
    assert len(expected) > 10_000
    flows, about = read(archive, features=features, quality=True)
    assert sorted(flows, key=place) == expected
    assert read(archive, with_problems=False, features=features, quality=True)[0] == flows
    summaries = {row["source_file"]: row for row in about if row["kind"] == "summary"}
    assert list(summaries) == [str(capture) for capture in captures]
    assert sum(row["rows"] for row in summaries.values()) == len(flows)
    for name, row in summaries.items():
        assert row["rows"] == sum(flow["source_file"] == name for flow in flows)
        assert row["message"].startswith(f"seen={row['packets']} metered=")


def test_a_capture_that_cannot_be_read_is_a_problem(archive):
    missing = f"{archive}/nonexistent.pcap"
    _, about = read([archive, missing, archive / "link0.pcap"])
    assert problems(about) == [
        ("warning", f"{archive}/cut.pcap: record cut short, or with an absurd length after packet 46; earlier packets were used"),
        ("error", f"cannot read capture {archive}/text.pcap: not a pcap or pcapng capture"),
        ("error", f"cannot open capture {missing}: No such file or directory")]
    for path in (missing, archive / "text.pcap", archive / "cut.pcap"):
        with pytest.raises((OSError, flowmeter.CaptureError)):
            read(path, strict=True)


def test_flows_continue_in_a_group(rotated):
    flows, about = read(rotated, "directory", fields=["tot_fwd_pkts", "totlen_fwd_pkts"])
    assert [row["tot_fwd_pkts"] for row in flows] == [36]
    assert [row["source_file"] for row in flows] == [str(rotated)]
    assert not problems(about)


def test_captures_after_one_that_cannot_be_read_are_read(rotated, tmp_path):
    for name in ("x.pcap", "x.pcap1", "x.pcap4", "x.pcap5"):
        (tmp_path / name).write_bytes((rotated / name).read_bytes())
    (tmp_path / "x.pcap2").write_bytes(b"no capture")
    flows, about = read([tmp_path / f"x.pcap{i or ''}" for i in range(6)], "directory", fields="tot_fwd_pkts")
    assert [(row["row"], row["tot_fwd_pkts"]) for row in flows] == [(0, 6), (1, 6)]
    assert problems(about) == [("error", f"cannot open capture {tmp_path}/x.pcap3: No such file or directory"),
                               ("error", f"cannot read capture {tmp_path}/x.pcap2: not a pcap or pcapng capture")]
    assert about[-1]["packets"] == 12


@pytest.mark.parametrize("setting, error", [({"features": "cic83"}, ValueError), ({"idle_timeout": -1}, ValueError),
                                            ({"fields": "nonsense"}, ValueError), ({"nonsense": 1}, TypeError)])
def test_a_wrong_setting_is_an_error_before_any_task(setting, error):
    with pytest.raises(error):
        _archive.Reader(with_problems=False, storage_options=None, settings=setting)


# ---- compressed captures and URLs ----------------------------------------------------------------------------------


def test_a_url_gives_the_rows_of_the_file(server, archive):
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    pytest.importorskip("aiohttp", reason="aiohttp is not installed")
    data = capture_of(3000, 9)
    server.captures["x.pcap"] = data
    (path := archive.parent / "x.pcap").write_bytes(data)
    with fsspec.open("memory://captures/x.pcap", "wb") as file:
        file.write(data)
    expected = [{**row, "source_file": ""} for row in one_process([path])]
    for url in (server.url("x.pcap"), "memory://captures/x.pcap", f"file://{path}"):
        flows, about = read(url)
        assert [{**row, "source_file": ""} for row in flows] == expected, url
        assert {row["source_file"] for row in flows} == {url} and not problems(about)


def compress(path, target, codec):
    with pyarrow.CompressedOutputStream(str(target), codec) as file:
        file.write(path.read_bytes())


@pytest.mark.parametrize("codec, suffix", [("gzip", "gz"), ("zstd", "zst"), ("bz2", "bz2"), ("lz4", "lz4")])
def test_compressed_captures(rotated, tmp_path, codec, suffix):
    for path in rotated.iterdir():
        compress(path, tmp_path / f"{path.name}.{suffix}", codec)
    (tmp_path / "x.pcap12").write_bytes((rotated / "x.pcap").read_bytes())  # one that is not
    for paths in (tmp_path, f"file://{tmp_path}/"):
        flows, about = read(paths, "directory", fields=["tot_fwd_pkts"])
        assert [row["tot_fwd_pkts"] for row in flows] == [39] and not problems(about), paths


def test_a_compressed_capture_that_breaks_off(archive, tmp_path):
    compress(archive / "link1.pcap", path := tmp_path / "x.pcap.zst", "zstd")
    whole, _ = read(path)
    path.write_bytes(path.read_bytes()[:-2000])
    flows, about = read(path)
    assert 0 < len(flows) < len(whole)
    assert problems(about)[-1] == ("error", f"cannot read capture {path}: OSError: Truncated compressed stream")
    path.write_bytes(b"This is not compressed.")
    flows, about = read(path)
    assert not flows and [kind for kind, _ in problems(about)] == ["error"], about


def test_a_url_that_breaks_off_is_a_problem_of_its_own(server):
    pytest.importorskip("aiohttp", reason="aiohttp is not installed")
    server.captures |= {f"x.pcap{i}": capture_of(100, i) for i in range(4)}
    server.cut.add("x.pcap1")
    del server.captures["x.pcap2"]
    urls = [server.url(f"x.pcap{i}") for i in range(4)]
    flows, about = read(urls)
    assert len(problems(about)) == 2 and all(kind == "error" for kind, _ in problems(about)), about
    for url, row in zip(urls[1:3], (row for row in about if row["kind"] == "error")):
        assert row["source_file"] == url and "\n" not in row["message"], row
    rows = {url: sum(row["source_file"] == url for row in flows) for url in urls}
    assert rows[urls[0]] == rows[urls[3]] == 103 and rows[urls[2]] == 0, rows
    with pytest.raises((OSError, flowmeter.CaptureError)):
        read(urls[1], strict=True)


def test_a_group_of_too_many_urls_says_what_it_needs():
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    for i in range(60):
        with fsspec.open(f"memory://many/x.pcap{i}", "wb") as file:
            file.write(capture_of(1, 1))
    flows, about = read("memory://many/*", "directory")
    assert flows and about[-1]["packets"] == 60 * 9
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        with pytest.raises(OSError, match="two file descriptors per capture"):
            read("memory://many/*", "directory")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_memory_does_not_follow_the_number_of_flows(tmp_path):
    script = """if True:
        import pathlib, sys
        from flowmeter import _archive
        reader = _archive.Reader(with_problems=True, storage_options=None, settings={"max_flows": 2048})
        rows = sum(len(batch) for source in _archive.sources(sys.argv[1], None) for batch in reader.batches(source))
        print(rows, pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])"""
    peaks = []
    for flows in (30_000, 180_000):
        path = tmp_path / "many.pcap"
        path.write_bytes(frames.pcap((i / 1000, frames.ethernet(frames.udp(b"", ports=(i % 60_000 + 1, i // 60_000 + 1))))
                                     for i in range(flows)))
        done = subprocess.run([sys.executable, "-B", "-W", "ignore", "-c", script, path], capture_output=True, text=True,
                              check=True, timeout=200)
        rows, peak = map(int, done.stdout.split())
        assert rows == flows + 2  # a warning and the summary
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 30_000, peaks  # KiB; the cells of 150,000 more flows take 100 MB


# ---- what is missing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module, package", [("spark", "pyspark"), ("spark", "pyarrow"), ("ray", "ray"), ("ray", "pyarrow")])
def test_a_missing_package_is_one_line_that_says_what_to_install(module, package):
    program = f"import sys; sys.modules['{package}'] = None; import flowmeter.{module}"
    done = subprocess.run([sys.executable, "-B", "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == \
        f"ModuleNotFoundError: {sys.executable} has no {package}: {sys.executable} -m pip install 'flowmeter-ebpf[{module}]'"
