# SPDX-License-Identifier: BSD-3-Clause
"""flowmeter.spark on a cluster of two executors: the rows are those of one process, also if an executor is killed."""
import os
import signal
import threading
import time

import archives
import pytest

pytest.importorskip("pyspark", reason="pyspark is not installed")

import flowmeter.spark  # noqa: E402  needs pyspark
from archives import one_process, rows_of  # noqa: E402

LABEL = "environment"
ENVIRONMENTS = "engines"
LOCK = "engines"
EXECUTOR = "CoarseGrainedExecutorBackend"  # in the command line of an executor


def sources(frame):
    return sorted((row.asDict() for row in frame.collect()), key=lambda row: (row["source_file"], row.get("kind", "")))


@pytest.mark.parametrize("features", ["cic82", "netflowmeter114"])
def test_rows_are_those_of_one_process(spark, archive, features):
    frame = flowmeter.spark.read(spark, archive, features=features, quality=True)
    assert frame.rdd.getNumPartitions() == 8
    assert rows_of(frame.toArrow()) == one_process(sorted(archive.glob("[!.]*.pcap")), features=features, quality=True)


def test_problems_and_summaries(spark, archive, tmp_path):
    """They are saved with the flows, so that the captures are read once."""
    captures = sorted(archive.glob("[!.]*.pcap"))
    missing = f"{archive}/nonexistent.pcap"
    flowmeter.spark.read(spark, [*captures, missing], partitions=3, with_problems=True).write.parquet(f"{tmp_path}/rows")
    saved = spark.read.parquet(f"{tmp_path}/rows")
    expected = one_process(captures)
    assert rows_of(flowmeter.spark.flows(saved).toArrow()) == expected
    assert [(row["source_file"].rpartition("/")[2], row["kind"]) for row in sources(flowmeter.spark.problems(saved))] == [
        ("cut.pcap", "warning"), ("nonexistent.pcap", "error"), ("text.pcap", "error")]
    summaries = sources(flowmeter.spark.summaries(saved))
    assert [row["source_file"] for row in summaries] == sorted([*map(str, captures), missing])
    assert sum(row["rows"] for row in summaries) == len(expected)
    with pytest.raises(ValueError, match="with_problems"):
        flowmeter.spark.problems(flowmeter.spark.read(spark, captures))


def test_a_group_is_one_source(spark, rotated):
    rows = rows_of(flowmeter.spark.read(spark, rotated, group="directory", fields=["tot_fwd_pkts"]).toArrow())
    assert rows == [{"source_file": str(rotated), "row": 0, "tot_fwd_pkts": 36}]
    assert flowmeter.spark.read(spark, rotated, fields=["tot_fwd_pkts"]).count() == 12


def test_a_strict_job_fails(spark, archive):
    with pytest.raises(Exception, match="not a pcap or pcapng capture"):
        flowmeter.spark.read(spark, archive / "text.pcap", strict=True).count()


def test_a_killed_executor_leaves_no_row_twice(spark, archive, server, tmp_path):
    """The killed task is in the middle of a capture, of which it has delivered flows; other tasks are finished."""
    server.captures["long.pcap"] = archives.capture_of(60_000, 8)
    server.hold.add("long.pcap")
    (archive.parent / "long.pcap").write_bytes(server.captures["long.pcap"])
    captures = [str(archive / f"link{i}.pcap") for i in range(6)]
    frame = flowmeter.spark.read(spark, [server.url("long.pcap"), *captures])
    failures = []

    def write():
        try:
            frame.write.parquet(f"{tmp_path}/flows")
        except Exception as error:
            failures.append(error)

    job = threading.Thread(target=write)
    job.start()
    try:
        assert server.held.wait(120), failures
        executor = archives.ancestor(archives.process_with_port(server.client_port), EXECUTOR)
        tracker = spark.sparkContext.statusTracker()
        deadline = time.monotonic() + 60
        while not any(stage and stage.numCompletedTasks >= 3
                      for stage in map(tracker.getStageInfo, tracker.getActiveStageIds())):
            assert time.monotonic() < deadline and job.is_alive(), failures
            time.sleep(0.05)
        os.kill(executor, signal.SIGKILL)
    finally:
        server.go.set()
        job.join(120)
    assert not job.is_alive() and not failures, failures
    assert server.half_way == 2, "the task was not run again"
    rows = rows_of(spark.read.parquet(f"{tmp_path}/flows").toArrow())
    for row in rows:
        row["source_file"] = row["source_file"].replace(server.url("long.pcap"), str(archive.parent / "long.pcap"))
    assert sorted(rows, key=archives.place) == one_process([*captures, archive.parent / "long.pcap"])


def test_a_url_that_breaks_off_leaves_the_others_intact(spark, server):
    server.captures |= {f"{i}.pcap": archives.capture_of(100, i) for i in range(4)}
    server.cut.add("1.pcap")
    urls = [server.url(f"{i}.pcap") for i in range(4)]
    frame = flowmeter.spark.read(spark, urls, with_problems=True).cache()
    assert [row["source_file"] for row in sources(flowmeter.spark.problems(frame))] == [urls[1]]
    rows = {row["source_file"]: row["rows"] for row in sources(flowmeter.spark.summaries(frame))}
    assert rows[urls[0]] == rows[urls[2]] == rows[urls[3]] == 103 > rows[urls[1]]
    frame.unpersist()


def test_a_hundred_thousand_captures(spark):
    """The plan does not contain them, and a job that needs few rows reads few captures."""
    start = time.monotonic()
    frame = flowmeter.spark.read(spark, [f"/nonexistent/{i}.pcap" for i in range(100_000)], with_problems=True)
    assert frame.rdd.getNumPartitions() == 100_000
    plan = spark.sparkContext._jvm.PythonSQLUtils.explainString(frame._jdf.queryExecution(), "extended")
    assert len(plan) < 50_000
    first = flowmeter.spark.problems(frame).limit(3).collect()
    assert [row["source_file"] for row in first] == [f"/nonexistent/{i}.pcap" for i in range(3)]
    assert time.monotonic() - start < 60
