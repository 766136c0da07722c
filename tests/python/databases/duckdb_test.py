# SPDX-License-Identifier: BSD-3-Clause
"""Parquet files of the Python package in DuckDB: the columns of --fleet, and times with their zone."""
import capture
import pytest

duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")

import flowmeter  # noqa: E402

LABEL = "environment"
ENVIRONMENTS = "databases"


def test_parquet_of_two_meters(tmp_path):
    pcap = tmp_path / "x.pcap"
    pcap.write_bytes(capture.pcap([(1704164645.678901 + i, capture.ethernet(capture.udp(ports=(1000 + i, 53))))
                                   for i in range(100)]))
    for meter_id in "ab":
        flowmeter.write_parquet(pcap, tmp_path / (meter_id + ".parquet"), fleet=True, meter_id=meter_id)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW flows AS SELECT * FROM read_parquet('{tmp_path}/*.parquet')")
        types = dict(connection.execute("SELECT column_name, column_type FROM (DESCRIBE flows)").fetchall())
        assert types["timestamp"] == "TIMESTAMP WITH TIME ZONE"
        assert connection.execute("SELECT min(epoch_us(timestamp)), max(epoch_us(timestamp)) FROM flows").fetchone() == (
            1704164645678901, 1704164744678901)
        assert connection.execute("SELECT count(*), count(DISTINCT flow_id), count(DISTINCT flow_key), "
                                  "count(DISTINCT community_id), count(DISTINCT meter_id) FROM flows").fetchone() == (
            200, 200, 200, 100, 2)
        assert connection.execute("SELECT count(*) FROM flows WHERE try_cast(flow_id AS UUID) IS NULL").fetchone() == (0,)
