# SPDX-License-Identifier: BSD-3-Clause
"""ClickHouse with the tables that the program's own --ddl makes, filled from a topic of Kafka."""
import subprocess

import cases
import clickhouse


class Database:
    def __init__(self, case, namespace):
        self.server = clickhouse.Server(case, skip_unknown_fields=True, namespace=namespace, max_block_size=500)

    def create(self, brokers, topic):
        """`delivered` counts the rows of each block that arrives, also those that arrive twice."""
        self.server.query("CREATE TABLE delivered (rows UInt64) ENGINE = Log")
        self.server.run(subprocess.run([cases.meter_path, "features", "cic82", "--ddl", "clickhouse-18", "--kafka",
                                        f"{brokers}/{topic}"], capture_output=True, text=True, check=True, timeout=60).stdout)
        self.server.query("CREATE MATERIALIZED VIEW counter TO delivered AS SELECT count() AS rows FROM flows_queue")

    def column(self, sql):
        return [row[0] for row in self.server.rows(sql)]

    def number(self, sql):
        return int(self.column(sql)[0])

    def rows_received(self):
        """Different ones."""
        return self.number("SELECT uniqExact(flow_id) FROM flows")
