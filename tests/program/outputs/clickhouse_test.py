# SPDX-License-Identifier: BSD-3-Clause
"""Rows in a real ClickHouse server, by the recipe of docs/outputs.md. The server is Debian's 18.16, the oldest one that is
supported; tests/python/databases has a modern one."""
import collections
import json
import os
import threading

import capture
import clickhouse
import meter
import packets
from http_case import FAILED, OK, Http

FULL = bool(os.environ.get("TEST_FULL"))  # set by scripts/test --full
INSERT = "INSERT INTO flows FORMAT JSONEachRow"
LINES = ("--url-format", "ndjson", "--url-batch", "10000")
RECIPE = ("--fleet", *LINES)


def ddl(features="cic82", *options):
    done = meter.run("features", features, "--ddl", "clickhouse-18", *options)
    assert done.code == OK, done.err
    return done.out


class ClickHouse(Http):
    def setUp(self):
        super().setUp()
        self.server = clickhouse.Server(self)

    def send(self, pcap, *options, insert=INSERT, **settings):
        return self.run_meter("-f", pcap, "-u", self.server.url(insert, **settings), *options)

    def mixed(self):
        """TCP, UDP and ICMP over both IP versions, and HTTP."""
        path = self.path("mixed.pcap")
        with open(path, "wb") as file:
            file.write(capture.pcap([*capture.conversation(), (5, capture.ethernet(capture.ipv4(1, packets.icmp(8)))),
                                     (6, capture.ethernet(packets.ipv6(17, packets.udp(b"x")), 0x86dd))]))
        return path


class Rows(ClickHouse):
    def test_recipe(self):
        """More rows than a batch, twice: each is there once. The statements can be run again."""
        pcap = self.flows("x.pcap", 25000)
        for _ in range(2):
            self.server.run(ddl())
            done = self.send(pcap, *RECIPE)
            self.assertEqual((done.code, done.errors, done.warnings), (OK, [], []), done.err)
            self.assert_account(done, rows=25000, sent=25000)
        self.assertEqual(self.server.rows("SELECT count(), uniqExact(flow_id), uniqExact(src_port), sum(tot_fwd_pkts) FROM flows FINAL"),
                         [["25000"] * 4])
        self.assertEqual(self.server.rows("SELECT sum(flows), sum(fwd_packets) FROM flows_1m"), [["25000"] * 2])
        self.assertEqual(self.server.query("SELECT count() FROM flows_once"), "25000")

    def test_cells_are_those_of_the_json(self):
        """-1 where a value is not applicable, reals with all digits, times to the microsecond; in every feature set."""
        for features in ("cic82", "netflowmeter114", "realtime97"):
            with self.subTest(features):
                self.server.run(ddl(features, "--table", features))
                done = self.send(self.mixed(), *RECIPE, "--features", features, "--json", self.path("x.json"),
                                 insert=f"INSERT INTO {features} FORMAT JSONEachRow")
                self.assertEqual((done.code, done.errors), (OK, []), done.err)
                with open(self.path("x.json"), encoding="utf-8") as file:
                    expected = {row["flow_id"]: row for row in map(json.loads, file)}
                answer = self.server.query(f"SELECT * FROM {features} FORMAT JSONEachRow")
                found = {row["flow_id"]: row for row in map(json.loads, answer.splitlines())}
                self.assertEqual(found.keys(), expected.keys())
                for key, row in expected.items():
                    for name, value in row.items():
                        cell = found[key][name]
                        self.assertEqual(type(value)(cell) if cell is not None else None, value, name)
        self.assertIn(["-1"], self.server.rows("SELECT src_port FROM cic82"))

    def test_formats(self):
        self.server.run(ddl())
        names = [line.split("\t")[0] for line in self.server.query("DESCRIBE TABLE flows").splitlines()]
        columns = ",".join(name for name in names if name not in ("time", "row_id", "label"))
        bodies = (("JSONEachRow", RECIPE), ("JSONEachRow", (*RECIPE, "--url-compress", "gzip")),
                  ("CSVWithNames", ("--url-format", "csv", "--url-batch", "10000", "--fields", columns, "--label", "x",
                                    "--time-format", "iso")))
        for n, (name, options) in enumerate(bodies):
            with self.subTest(name, options=options):
                done = self.send(self.flows("x.pcap", 300), *options, "--meter-id", f"m{n}",
                                 insert=f"INSERT INTO flows FORMAT {name}")
                self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertEqual(self.server.rows("SELECT meter_id, count(), uniqExact(flow_id) FROM flows GROUP BY meter_id ORDER BY meter_id"),
                         [[f"m{n}", "300", "300"] for n in range(3)])

    def test_csv_as_the_guide_has_it(self):
        """In the order of the table, for every feature set and its format of times."""
        extra = "interface,direction,end_reason,pkts_without_timing,timing_estimated,evictions,meter_id,flow_id,flow_key,community_id"
        for features in ("cic82", "netflowmeter114", "realtime97"):
            with self.subTest(features):
                self.server.run(ddl(features, "--table", features))
                done = self.send(self.flows("x.pcap", 30), "--features", features, "--url-format", "csv", "--url-batch", "100",
                                 "--time-format", "python", "--label", "TEXT", "--extra", extra,
                                 insert=f"INSERT INTO {features} FORMAT CSVWithNames")
                self.assertEqual((done.code, done.errors), (OK, []), done.err)
                self.assertEqual(self.server.rows(f"SELECT count(), uniqExact(flow_id), any(label), min(time) FROM {features}"),
                                 [["30", "30", "TEXT", "1970-01-01 00:00:01"]])

    def test_zstd_is_not_known_to_this_version(self):
        self.server.run(ddl())
        done = self.send(self.flows("x.pcap", 300), *RECIPE, "--url-compress", "zstd")
        self.assertEqual((done.code, done.errors, len(done.warnings)), (OK, [], 1), done.err)
        self.assertIn("sending without compression", done.warnings[0])
        self.assertEqual(self.server.query("SELECT count() FROM flows"), "300")

    def test_rows_without_ids_are_not_taken_for_one(self):
        self.server.run(ddl())
        done = self.send(self.flows("x.pcap", 300), *LINES)
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertEqual(self.server.query("SELECT count() FROM flows FINAL"), "300")


class Refusals(ClickHouse):
    def test_an_array_is_told_in_the_servers_words(self):
        """What a batch is without --url-format."""
        self.server.run(ddl())
        done = self.send(self.flows("x.pcap", 30), "--fleet", "--url-batch", "100")
        self.assertEqual(done.code, FAILED)
        self.assertIn("30 rows refused (HTTP 500: Code: 27, e.displayText() = DB::Exception: Cannot parse input: expected {",
                      done.errors[-1])

    def test_another_feature_set(self):
        """Into the table of cic82: told once, nothing is stored under wrong names, and the rows are set aside."""
        self.server.run(ddl())
        done = self.send(self.flows("x.pcap", 12000), *RECIPE, "--features", "netflowmeter114", "--spool", self.path("spool"))
        self.assertEqual((done.code, len(done.errors)), (FAILED, 2), done.err)
        self.assertIn("the server refuses every row (HTTP 500: Code: 27", done.errors[0])
        self.assertIn("the value of key protocol", done.errors[0])
        self.assert_account(done, rows=12000, refused=12000, sent=0)
        self.assertEqual(self.server.query("SELECT count() FROM flows"), "0")
        [aside] = [os.path.join(folder, "refused.ndjson") for folder, _, names in os.walk(self.path("spool"))
                   if "refused.ndjson" in names]
        self.server.run(ddl("netflowmeter114", "--table", "others"))
        with open(aside, encoding="utf-8") as file:  # as jq -c .row does
            rows = "\n".join(json.dumps(json.loads(line)["row"]) for line in file)
        self.server.query("INSERT INTO others FORMAT JSONEachRow", rows)
        self.assertEqual(self.server.query("SELECT count() FROM others FINAL"), "12000")

    def test_rows_that_a_table_cannot_hold(self):
        """ICMP's -1 in unsigned columns: the others are stored."""
        self.server.query("CREATE TABLE flows (protocol UInt8, tot_fwd_pkts UInt64, src_ip FixedString(9)) ENGINE = Memory")
        with open(self.path("x.pcap"), "wb") as file:
            file.write(capture.pcap([(1 + i / 1000, capture.ethernet(capture.udp(
                ports=(1000 + i, 53), source="192.0.2.100" if i in (70, 400) else "192.0.2.1"))) for i in range(1000)]))
        done = self.send(self.path("x.pcap"), *LINES, "--fields", "src_ip,protocol,tot_fwd_pkts")
        self.assertEqual((done.code, len(done.errors)), (FAILED, 1), done.err)
        self.assertIn("2 rows refused (HTTP 500: Code: 131", done.errors[0])
        self.assertEqual(self.server.rows("SELECT src_ip, count() FROM flows GROUP BY src_ip"), [["192.0.2.1", "998"]])

    def test_no_table_yet(self):
        """Rows wait until somebody makes it."""
        maker = threading.Timer(1, lambda: self.server.run(ddl()))
        maker.start()
        self.addCleanup(maker.join)
        done = self.send(self.flows("x.pcap", 300), *RECIPE)
        self.assertEqual((done.code, done.errors, len(done.warnings)), (OK, [], 1), done.err)
        self.assertIn("HTTP 404: Code: 60", done.warnings[0])
        self.assertEqual(self.server.query("SELECT count() FROM flows"), "300")

    def test_a_server_that_is_killed(self):
        """Rows wait in the spool for the next run; after that, each is there once."""
        self.server.run(ddl())
        spool = ("--spool", self.path("spool"), "--drain", "1")
        done = self.send(self.flows("x.pcap", 3000), *RECIPE, *spool)
        self.assert_account(done, rows=3000, sent=3000)
        self.server.kill()
        done = self.send(self.flows("y.pcap", 3000, 5000), *RECIPE, *spool)
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assert_account(done, rows=3000, sent=0, spooled=3000)
        self.server.start()
        done = self.send(self.flows("z.pcap", 1000, 8000), *RECIPE, *spool)
        self.assert_account(done, rows=1000, sent=4000)
        self.assertEqual(self.server.rows("SELECT count(), uniqExact(flow_id), uniqExact(src_port) FROM flows FINAL"),
                         [["7000"] * 3])

    def test_killed_again_and_again(self):
        """While runs send: nothing is missing, and no row is there twice after FINAL."""
        self.server.run(ddl())
        pcap = self.flows("x.pcap", 20000)
        arguments = ("-u", self.server.url(INSERT), *LINES[:-1], "500", "--spool", self.path("spool"), "--spool-sync", "none")
        live = meter.Meter(self, "live", "-f", pcap, *arguments, "--fleet")
        for _ in range(4 if FULL else 1):
            before = self.count()
            meter.wait_for("rows", lambda before=before: self.count() > before or live.process.poll() is not None)
            self.server.kill()
            self.server.start()
        done = live.wait()
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        done = self.run_meter("-f", self.flows("y.pcap", 1, 60000), *arguments, "--fleet")  # what waits in the spool
        self.assertEqual((done.code, done.errors, self.account(done)["spooled"]), (OK, [], 0), done.err)
        self.assertEqual(self.server.rows("SELECT count(), uniqExact(flow_id), uniqExact(src_port) FROM flows FINAL"),
                         [["20001"] * 3])

    def count(self):
        return int(self.server.query("SELECT count() FROM flows"))

    def test_long_rows(self):
        """1 MB each: a request has as many as the queue holds."""
        self.server.run(ddl())
        label = self.path("label.toml")
        with open(label, "w", encoding="ascii") as file:
            file.write(f'label = "{"x" * 1_000_000}"\n')
        done = self.send(self.flows("x.pcap", 40), *RECIPE, "--config", label)
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertEqual(self.server.rows("SELECT count(), sum(length(label)) FROM flows"), [["40", "40000000"]])


class Once(ClickHouse):
    """flows_once, with rows that are made here: tests/python/databases/chdb_test.py has more cases."""

    def test_two_nodes(self):
        self.server.run(ddl())
        rows = [{"timestamp": "2024-01-02T03:04:05.100000Z", "flow_duration": 3, "meter_id": meter_id, "direction": direction,
                 "community_id": community, "flow_key": f"00000000-0000-8000-8000-00000000000{n}",
                 "flow_id": f"00000000-0000-8000-8000-0000000000{n}0"}
                for n, (meter_id, direction, community) in enumerate((("b", "ingress", "1:x"), ("a", "egress", "1:x"),
                                                                      ("b", "egress", "1:y"), ("c", "ingress", "1:y"),
                                                                      ("a", "egress", "1:z")), 1)]
        self.server.query(INSERT, "\n".join(map(json.dumps, rows)))
        found = collections.Counter(map(tuple, self.server.rows("SELECT community_id, meter_id FROM flows_once")))
        self.assertEqual(found, {("1:x", "a"): 1, ("1:y", "b"): 1, ("1:z", "a"): 1})
