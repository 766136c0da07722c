# SPDX-License-Identifier: BSD-3-Clause
"""From the meter through Kafka into ClickHouse, with the tables of `features SET --ddl clickhouse-18 --kafka`."""
import json
import os

import clickhouse
import meter
from http_case import OK
from kafka_test import WithKafka

FULL = bool(os.environ.get("TEST_FULL"))  # set by scripts/test --full

class Pipeline(WithKafka):
    def test_rows_of_every_set(self):
        """Sent twice: all arrive, and each is there once after FINAL, with the cells of the JSON."""
        server = clickhouse.Server(self)
        pcap = self.flows("x.pcap", 5000)
        for features in ("cic82", "netflowmeter114", "realtime97") if FULL else ("cic82",):
            with self.subTest(features):
                topic = self.topic()
                tables = meter.run("features", features, "--ddl", "clickhouse-18", "--table", features, "--kafka", self.target(topic))
                server.run(tables.out)
                for _ in range(2):
                    done = self.run_meter("-f", pcap, "--features", features, "--fleet", "--kafka", self.target(topic),
                                          "--json", self.path("x.json"))
                    self.assertEqual((done.code, done.errors), (OK, []), done.err)
                meter.wait_for("all rows", lambda name=features: int(server.query(f"SELECT count() FROM {name}")) >= 10000, 120)
                self.assertEqual(server.rows(f"SELECT count(), uniqExact(flow_id), uniqExact(row_id) FROM {features} FINAL"),
                                 [["5000"] * 3])
                self.assertEqual(server.rows(f"SELECT sum(flows), sum(fwd_packets) FROM {features}_1m"), [["5000"] * 2])
                time = "Timestamp" if features == "realtime97" else "timestamp"
                expected = {(row["flow_id"], row[time]) for row in map(json.loads, self.lines("x.json"))}
                self.assertEqual({tuple(row) for row in server.rows(f"SELECT flow_id, `{time}` FROM {features} FINAL")}, expected)
