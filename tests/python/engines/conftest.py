# SPDX-License-Identifier: BSD-3-Clause
"""An archive of captures, a web server for them, and engines with two workers."""
import os
import shutil
import sys
import tempfile
import threading

import archives
import capture as frames
import pytest


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """A directory of eight captures. One has more flows than fit into a batch, one is cut short, one is no capture."""
    directory = tmp_path_factory.mktemp("archive")
    for network in range(6):
        (directory / f"link{network}.pcap").write_bytes(archives.capture_of(10_000 if network == 1 else 50 * network, network))
    (directory / "cut.pcap").write_bytes(archives.capture_of(20, 6)[:-7])
    (directory / "text.pcap").write_bytes(b"This is not a capture.\n")
    return directory


@pytest.fixture(scope="session")
def rotated(tmp_path_factory):
    """Twelve captures of one link, named as by tcpdump -C. One flow goes through all of them."""
    directory = tmp_path_factory.mktemp("rotated")
    for part in range(12):
        frame = frames.ethernet(frames.udp(b"y" * (part + 1)))
        (directory / f"x.pcap{part or ''}").write_bytes(frames.pcap([(10 + part + i / 10, frame) for i in range(3)]))
    return directory


@pytest.fixture
def server():
    with archives.CaptureServer() as of_captures:
        thread = threading.Thread(target=of_captures.serve_forever)
        thread.start()
        yield of_captures
        of_captures.go.set()
        of_captures.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    from pyspark.sql import SparkSession

    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        pytest.skip("Java is not installed")
    work = str(tmp_path_factory.mktemp("spark"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_WORKER_DIR", work)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        session = (SparkSession.builder.master("local-cluster[2,1,1024]").config("spark.ui.enabled", False)
                   .config("spark.executorEnv.PYTHONPATH", os.environ.get("PYTHONPATH", ""))
                   .config("spark.driver.host", "127.0.0.1").config("spark.local.dir", work)
                   .config("spark.sql.session.timeZone", "UTC").config("spark.ui.showConsoleProgress", False)
                   .config("spark.sql.warehouse.dir", work).getOrCreate())
        yield session
        session.stop()


@pytest.fixture(scope="module")
def table_of():
    """Makes a pyarrow table of a data set of Ray, which runs for the tests of one file."""
    import pyarrow
    import ray

    # Below a short path, because the names of sockets have at most 107 letters.
    with tempfile.TemporaryDirectory(prefix="fmray") as directory, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # with the usual 15, workers starve beside other tests
        ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=300 << 20, logging_level="error",
                 _temp_dir=directory)
        try:
            ray.data.DataContext.get_current().enable_progress_bars = False
            yield lambda dataset: pyarrow.concat_tables(ray.get(dataset.to_arrow_refs()))
        finally:
            ray.shutdown()
