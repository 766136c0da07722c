# SPDX-License-Identifier: BSD-3-Clause
"""flowmeter.ray on two workers: the rows are those of one process, also if a worker is killed."""
import os
import signal
import threading

import archives
import pytest

pytest.importorskip("ray.data", reason="ray[data] is not installed")

import flowmeter.ray  # noqa: E402  needs ray
import ray  # noqa: E402
from archives import one_process, rows_of  # noqa: E402

LABEL = "environment"
ENVIRONMENTS = "engines"
LOCK = "engines"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
HOW = {"batch_size": 1, "batch_format": "pyarrow"}


@pytest.mark.parametrize("features", ["cic82", "netflowmeter114"])
def test_rows_are_those_of_one_process(table_of, archive, features):
    captures = sorted(map(str, archive.glob("[!.]*.pcap")))
    settings = {"features": features, "quality": True}
    expected = one_process(captures, **settings)
    for items in (captures, flowmeter.ray.sources(archive)):
        dataset = ray.data.from_items(items).map_batches(flowmeter.ray.read, **HOW, fn_kwargs=settings)
        assert rows_of(table_of(dataset)) == expected
    dataset = ray.data.from_items(captures).map_batches(flowmeter.ray.read, fn_kwargs=settings)  # NumPy batches
    assert rows_of(table_of(dataset)) == expected


def test_problems_and_summaries(table_of, archive):
    captures = sorted(map(str, archive.glob("[!.]*.pcap")))
    missing = f"{archive}/nonexistent.pcap"
    dataset = ray.data.from_items(flowmeter.ray.sources([*captures, missing])).map_batches(
        flowmeter.ray.read, **HOW, fn_kwargs={"with_problems": True}).materialize()
    expected = one_process(captures)
    assert rows_of(table_of(flowmeter.ray.flows(dataset))) == expected
    problems = flowmeter.ray.problems(dataset).take_all()
    assert sorted((row["source_file"].rpartition("/")[2], row["kind"]) for row in problems) == [
        ("cut.pcap", "warning"), ("nonexistent.pcap", "error"), ("text.pcap", "error")]
    summaries = flowmeter.ray.summaries(dataset).take_all()
    assert sorted(row["source_file"] for row in summaries) == sorted([*captures, missing])
    assert sum(row["rows"] for row in summaries) == len(expected)


def test_a_group_is_one_source(table_of, rotated):
    items = flowmeter.ray.sources(rotated, group="directory")
    dataset = ray.data.from_items(items).map_batches(flowmeter.ray.read, **HOW, fn_kwargs={"fields": ["tot_fwd_pkts"]})
    assert dataset.take_all() == [{"source_file": str(rotated), "row": 0, "tot_fwd_pkts": 36}]


def test_a_killed_worker_leaves_no_row_twice(table_of, archive, server):
    server.captures["long.pcap"] = archives.capture_of(60_000, 8)
    server.hold.add("long.pcap")
    (archive.parent / "long.pcap").write_bytes(server.captures["long.pcap"])
    captures = [str(archive / f"link{i}.pcap") for i in range(6)]
    dataset = ray.data.from_items([server.url("long.pcap"), *captures]).map_batches(flowmeter.ray.read, **HOW)
    tables, failures = [], []

    def run():
        try:
            tables.append(table_of(dataset))
        except Exception as error:
            failures.append(error)

    job = threading.Thread(target=run)
    job.start()
    try:
        assert server.held.wait(120), failures
        worker = archives.process_with_port(server.client_port)
        assert worker != os.getpid()
        os.kill(worker, signal.SIGKILL)
    finally:
        server.go.set()
        job.join(120)
    assert not job.is_alive() and not failures, failures
    assert server.half_way == 2, "the task was not run again"
    rows = rows_of(tables[0])
    for row in rows:
        row["source_file"] = row["source_file"].replace(server.url("long.pcap"), str(archive.parent / "long.pcap"))
    assert sorted(rows, key=archives.place) == one_process([*captures, archive.parent / "long.pcap"])


def test_a_url_that_breaks_off_leaves_the_others_intact(table_of, server):
    server.captures |= {f"{i}.pcap": archives.capture_of(100, i) for i in range(4)}
    server.cut.add("1.pcap")
    urls = [server.url(f"{i}.pcap") for i in range(4)]
    dataset = ray.data.from_items(urls).map_batches(
        flowmeter.ray.read, **HOW, fn_kwargs={"with_problems": True}).materialize()
    assert [row["source_file"] for row in flowmeter.ray.problems(dataset).take_all()] == [urls[1]]
    rows = {row["source_file"]: row["rows"] for row in flowmeter.ray.summaries(dataset).take_all()}
    assert rows[urls[0]] == rows[urls[2]] == rows[urls[3]] == 103 > rows[urls[1]]
