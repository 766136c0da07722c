# SPDX-License-Identifier: BSD-3-Clause
"""All captures of a reference set beside the repository, even malformed ones: Spark and Ray give the rows of one process."""
import pathlib

import cases
import pytest

pytest.importorskip("pyspark", reason="pyspark is not installed")
pytest.importorskip("ray.data", reason="ray[data] is not installed")

import flowmeter.ray  # noqa: E402  needs ray
import flowmeter.spark  # noqa: E402  needs pyspark
import ray  # noqa: E402
from archives import one_process, rows_of  # noqa: E402

LABEL = "environment"
ENVIRONMENTS = "engines"
LOCK = "engines"
CAPTURES = pathlib.Path(cases.ROOT).parent / "shared" / "pcaps"

pytestmark = [pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no reference set at {CAPTURES}"),
              pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")]


@pytest.fixture(scope="module")
def captures():
    return sorted(str(path) for folder in (CAPTURES, CAPTURES / "odd") for path in folder.glob("*.pcap*"))


@pytest.fixture(scope="module")
def expected(captures):
    rows = one_process(captures)
    assert len(rows) > 10_000
    return rows


def test_spark(spark, captures, expected):
    assert rows_of(flowmeter.spark.read(spark, captures).toArrow()) == expected


def test_ray(table_of, captures, expected):
    dataset = ray.data.from_items(captures).map_batches(flowmeter.ray.read, batch_size=1, batch_format="pyarrow")
    assert rows_of(table_of(dataset)) == expected
