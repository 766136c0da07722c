# SPDX-License-Identifier: BSD-3-Clause
"""The tables and views of `features SET --ddl clickhouse` in a modern ClickHouse, by PyPI's chdb: the server's engine in this
process, without its Kafka engine."""
import json
import shutil
import tempfile
import unittest

import capture
import cases
import meter
import packets

LABEL = "environment"
ENVIRONMENTS = "databases"

try:
    from chdb import session
except ImportError:
    session = None

SETS = ("cic82", "netflowmeter114", "realtime97")
EMPTY = "00000000-0000-0000-0000-000000000000"


def ddl(features, *options):
    done = meter.run("features", features, "--ddl", "clickhouse", *options)
    assert done.code == 0, done.err
    return done.out


@unittest.skipUnless(session, "chdb is not installed")
class Chdb(cases.Case):
    """One session for all cases, because there can only be one; each has a database of its own."""

    @classmethod
    def setUpClass(cls):
        cls.data = tempfile.mkdtemp(prefix="fmtest-chdb-")
        cls.addClassCleanup(shutil.rmtree, cls.data, True)
        cls.session = session.Session(cls.data)
        cls.addClassCleanup(cls.session.close)

    def setUp(self):
        super().setUp()
        database = "d_" + self.id().rpartition(".")[2]
        self.query(f"CREATE DATABASE {database}")
        self.query(f"USE {database}")

    def query(self, sql):
        """Dictionaries of the answer."""
        text = str(self.session.query(sql, "JSONEachRow"))
        return [json.loads(line) for line in text.splitlines()]

    def values(self, sql):
        return [list(row.values()) for row in self.query(sql)]

    def run_statements(self, text):
        for statement in text.split(";\n"):
            if statement.strip():
                self.query(statement)

    def insert(self, rows, table="flows"):
        self.query(f"INSERT INTO {table} FORMAT JSONEachRow " + "\n".join(map(json.dumps, rows)))

    def metered(self, *options, meter_id="a", shift=0.0):
        """Rows of TCP, UDP and ICMP flows over both IP versions."""
        frames = [*capture.conversation(), (5, capture.ethernet(capture.ipv4(1, packets.icmp(8)))),
                  (6, capture.ethernet(packets.ipv6(17, packets.udp(b"x")), 0x86dd)),
                  *((70 + i, capture.ethernet(capture.udp(ports=(5000 + i, 53)))) for i in range(100))]
        with open(self.path("x.pcap"), "wb") as file:
            file.write(capture.pcap([(time + shift, frame) for time, frame in frames]))
        done = meter.run("-f", self.path("x.pcap"), "--fleet", "--meter-id", meter_id, "--json", "-", *options)
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        return [json.loads(line) for line in done.out.splitlines()]


class Tables(Chdb):
    def test_cells(self):
        """Of every set: its rows come back as they were sent, addresses as IPv6, times as DateTime64, ids as UUID."""
        for features in SETS:
            with self.subTest(features):
                for _ in range(2):  # the statements can be run again
                    self.run_statements(ddl(features, "--table", features))
                rows = self.metered("--features", features, "--extra", "end_reason", "--label", "x")
                self.insert(rows, features)
                types = dict(self.values(f"SELECT name, type FROM system.columns WHERE table = '{features}' "
                                         "AND database = currentDatabase()"))
                self.assertEqual((types["flow_id"], types["flow_key"]), ("UUID", "UUID"))
                times = [name for name, kind in types.items() if kind.startswith("DateTime64(") and kind.endswith(", 'UTC')")]
                self.assertEqual([name.lower() for name in times], ["timestamp"])
                addresses = [name for name, kind in types.items() if kind == "IPv6"]
                self.assertEqual(len(addresses), 2)
                self.assertNotIn("UInt8", types.values())
                found = {row["flow_id"]: row for row in self.query(f"SELECT * FROM {features} SETTINGS "
                                                                   "output_format_json_quote_64bit_integers = 0")}
                self.assertEqual(len(found), len(rows))
                for row in rows:
                    for name, value in row.items():
                        cell = found[row["flow_id"]][name]
                        if name in addresses and "." in value:
                            cell = cell.removeprefix("::ffff:")
                        if name in times:
                            cell = cell.replace(" ", "T") + "Z"
                        self.assertEqual(cell, value, name)
        self.assertIn([-1], [[row["src_port"]] for row in self.query("SELECT toInt32(src_port) AS src_port FROM cic82")])

    def test_delivered_twice(self):
        """Each flow_id is there once, and the sums per minute are those of one delivery; the views group as Python does."""
        for features, protocol, packet_names, byte_names in (
                ("cic82", "protocol", ("tot_fwd_pkts", "tot_bwd_pkts"), ("totlen_fwd_pkts", "totlen_bwd_pkts")),
                ("netflowmeter114", "protocol", ("fwd_packets_count", "bwd_packets_count"),
                 ("fwd_total_payload_bytes", "bwd_total_payload_bytes")),
                ("realtime97", "Protocol", ("Total Fwd Packets", "Total Backward Packets"),
                 ("Total Length of Fwd Packets", "Total Length of Bwd Packets"))):
            with self.subTest(features):
                self.run_statements(ddl(features, "--table", features))
                rows = self.metered("--features", features) + self.metered("--features", features, meter_id="b")
                for part in (rows, rows, rows[:50], rows[30:]):
                    self.insert(part, features)
                self.assertEqual(self.values(f"SELECT toInt32(count()), toInt32(uniqExact(flow_id)) FROM {features} FINAL"),
                                 [[len(rows)] * 2])
                expected = {}
                for row in rows:
                    time = row["Timestamp" if features == "realtime97" else "timestamp"]
                    key = (time[:16].replace("T", " ") + ":00", row["meter_id"], str(row[protocol]))
                    counted = (1, *(row[name] for name in (*packet_names, *byte_names)))
                    expected[key] = [a + b for a, b in zip(expected.get(key, [0] * 5), counted)]
                found = {(minute, meter_id, str(number)): list(map(int, sums)) for minute, meter_id, number, *sums in
                         self.values(f"SELECT * FROM {features}_1m")}
                self.assertEqual(found, expected)
                self.assertGreater(len(found), 5)

    def test_rows_without_ids_are_not_taken_for_one(self):
        self.run_statements(ddl("cic82"))
        rows = [{name: value for name, value in row.items() if name not in ("flow_id", "flow_key", "meter_id", "community_id")}
                for row in self.metered()]
        self.insert(rows)
        self.assertEqual(self.values("SELECT toInt32(count()) FROM flows FINAL"), [[len(rows)]])
        self.assertEqual(self.values("SELECT toInt32(count()) FROM flows_once"), [[len(rows)]])

    def test_a_row_that_is_made_again_with_another_microsecond(self):
        """After a kill the next daemon measures the offset of its clock anew."""
        self.run_statements(ddl("cic82"))
        row = {"timestamp": "2024-01-02T03:04:05.000001Z", "flow_id": EMPTY.replace("0", "1"), "tot_fwd_pkts": 7}
        self.insert([row])
        self.insert([{**row, "timestamp": "2024-01-02T03:04:04.999998Z"}])
        self.assertEqual(self.values("SELECT toInt32(flows), toInt32(fwd_packets) FROM flows_1m"), [[1, 7]])

    def test_what_kafka_delivers(self):
        """The consumer's SELECT over a table with the columns of the queue and of its stream of errors."""
        for features in SETS:
            with self.subTest(features):
                text = ddl(features, "--table", features, "--kafka", "127.0.0.1:1/flows")
                before, queue = text.split("-- Rows from Kafka.")
                queue = queue.partition("\n")[2].partition("-- Messages that are not such rows.")[0]
                self.run_statements(before)
                head, _, rest = queue.partition("ENGINE = Kafka")
                head = head.rstrip().removesuffix(")") + ",\n    _error String\n)"
                self.run_statements(head + " ENGINE = Null;\n" + rest.partition(";\n")[2].replace("* REPLACE", "* EXCEPT _error REPLACE"))
                rows = self.metered("--features", features)
                self.insert(rows, features + "_queue")
                self.insert([{"_error": "broken"}], features + "_queue")
                direct = features + "_direct"
                self.query(f"CREATE TABLE {direct} AS {features}")
                self.insert(rows, direct)
                self.assertEqual(self.query(f"SELECT * FROM {features} ORDER BY flow_id"),
                                 self.query(f"SELECT * FROM {direct} ORDER BY flow_id"))
                self.assertEqual(len(self.query(f"SELECT * FROM {features}")), len(rows))


class Once(Chdb):
    """flows_once. Rows are (meter, flow_key, start in s, duration in s, direction, community_id)."""

    def shown(self, rows):
        """{number of the row: meters that have seen its flow}"""
        self.run_statements(ddl("cic82"))
        self.query("TRUNCATE TABLE flows")
        self.insert([{"meter_id": meter_id, "flow_key": EMPTY[:-4] + f"{key:04}", "flow_id": EMPTY[:-4] + f"{number:04}",
                      "timestamp": f"2024-01-02T03:{int(start) // 60:02}:{start % 60:09.6f}Z", "flow_duration": duration,
                      "direction": direction, "community_id": community, "src_port": number}
                     for number, (meter_id, key, start, duration, direction, community) in enumerate(rows)])
        found = self.query("SELECT toInt32(src_port) AS number, seen_by FROM flows_once")
        self.assertEqual(len({row["number"] for row in found}), len(found), "a row is shown once")
        return {row["number"]: row["seen_by"] for row in found}

    def test_sender_and_receiver(self):
        """The sender's row, also if its clock is late."""
        rows = [("b", 1, 9.8, 3, "ingress", "1:x"), ("a", 2, 10, 3, "egress", "1:x"), ("a", 3, 10, 3, "egress", "1:y")]
        self.assertEqual(self.shown(rows), {1: ["a", "b"], 2: ["a"]})

    def test_forwarders(self):
        """Between two that only forward, the first one; the sender before both."""
        rows = [("f", 1, 10.1, 3, "ingress", "1:x"), ("g", 2, 10.2, 3, "ingress", "1:x"), ("s", 3, 10.3, 3, "egress", "1:x"),
                ("f", 4, 20.1, 0, "ingress", "1:y"), ("g", 5, 20.2, 0, "ingress", "1:y")]
        self.assertEqual(self.shown(rows), {2: ["f", "g", "s"], 3: ["f", "g"]})

    def test_active_timeouts_cut_at_different_moments(self):
        """All rows of the chain of one meter, none of the other's."""
        rows = [("a", 1, 0, 60, "egress", "1:x"), ("a", 1, 70, 60, "egress", "1:x"), ("a", 1, 140, 10, "egress", "1:x"),
                ("b", 2, 30, 60, "ingress", "1:x"), ("b", 2, 100, 50, "ingress", "1:x")]
        self.assertEqual(self.shown(rows), {number: ["a", "b"] for number in (0, 1, 2)})

    def test_later_connections_with_the_same_ports(self):
        """Two flows, each once; the second was seen by one meter only."""
        rows = [("a", 1, 0, 5, "egress", "1:x"), ("b", 2, 0.01, 5, "ingress", "1:x"), ("a", 3, 60, 5, "egress", "1:x"),
                ("b", 4, 60, 5, "ingress", "1:x"), ("b", 5, 300, 1, "ingress", "1:x")]
        self.assertEqual(self.shown(rows), {0: ["a", "b"], 2: ["a", "b"], 4: ["b"]})

    def test_connections_in_quick_succession(self):
        """Within the tolerance they cannot be told apart; still each is shown once."""
        rows = [(meter_id, 2 * n + (meter_id == "b"), 2 * n + late, 1, direction, "1:x") for n in range(5)
                for meter_id, late, direction in (("a", 0, "egress"), ("b", 0.01, "ingress"))]
        self.assertEqual(self.shown(rows), {n: ["a", "b"] for n in range(0, 10, 2)})

    def test_no_overlap_is_no_same_flow(self):
        rows = [("a", 1, 0, 1, "egress", "1:x"), ("b", 2, 7, 1, "ingress", "1:x")]
        self.assertEqual(self.shown(rows), {0: ["a"], 1: ["b"]})

    def test_two_meters_of_one_run_twice(self):
        """Real rows of two meters, delivered twice."""
        self.run_statements(ddl("cic82"))
        one, other = self.metered(), self.metered(meter_id="b", shift=0.25)
        for _ in range(2):
            self.insert(one)
            self.insert(other)
        self.assertEqual({tuple(each) for each in self.values("SELECT flow_id, meter_id FROM flows_once")},
                         {(row["flow_id"], "a") for row in one})
        self.assertEqual(self.values("SELECT toInt32(count()) FROM flows_once"), [[len(one)]])
