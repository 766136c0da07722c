# SPDX-License-Identifier: BSD-3-Clause
"""Reads an archive of captures, for scripts/bench: archive_rows.py DIRECTORY HOW WORKERS TASKS.
TASKS is 0 for a task per capture.

The rows reach the engine, but are not stored. Prints as JSON their number, the seconds until the engine has started, and
those of two passes: in the first, workers start and import.
"""
import json
import multiprocessing
import os
import pathlib
import sys
import time

DIRECTORY, HOW = sys.argv[1:3]
WORKERS, TASKS = map(int, sys.argv[3:])


def rows_of(path):
    import flowmeter
    import pyarrow
    return sum(len(batch) for batch in pyarrow.RecordBatchReader.from_stream(flowmeter.read(path)))


def processes():
    """The same work without an engine."""
    captures = sorted(pathlib.Path(DIRECTORY).iterdir())
    if WORKERS == 1:
        return lambda: sum(map(rows_of, captures))
    pool = multiprocessing.get_context("spawn").Pool(WORKERS)
    return lambda: sum(pool.imap_unordered(rows_of, captures))


def spark():
    import flowmeter.spark
    from pyspark.sql import SparkSession
    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    session = (SparkSession.builder.master(f"local-cluster[{WORKERS},1,1024]").config("spark.ui.enabled", False)
               .config("spark.executorEnv.PYTHONPATH", os.environ["PYTHONPATH"])
               .config("spark.driver.host", "127.0.0.1").config("spark.ui.showConsoleProgress", False).getOrCreate())

    def read():
        frame = flowmeter.spark.read(session, DIRECTORY, partitions=TASKS or None)
        observed = frame.selectExpr("count(row) AS rows", "sum(length(source_file)) AS bytes", "sum(tot_fwd_pkts) AS packets")
        return observed.collect()[0].rows
    return read


def on_ray():
    os.environ["RAY_worker_niceness"] = "0"  # as the other runs
    import flowmeter.ray
    import ray
    ray.init(address="local", num_cpus=WORKERS, include_dashboard=False, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False

    def read():
        items = flowmeter.ray.sources(DIRECTORY)
        blocks = ray.data.from_items(items, override_num_blocks=min(TASKS or len(items), len(items)))
        dataset = blocks.map_batches(flowmeter.ray.read, batch_size=1, batch_format="pyarrow")
        return sum(bundle.num_rows() for bundle in dataset.iter_internal_ref_bundles())
    return read


if __name__ == "__main__":
    seconds = []
    start = time.monotonic()
    read = {"processes": processes, "spark": spark, "ray": on_ray}[HOW]()
    started = time.monotonic() - start
    for _ in range(2):
        start = time.monotonic()
        rows = read()
        seconds.append(time.monotonic() - start)
    print(json.dumps({"rows": rows, "started_s": started, "seconds": seconds}))
