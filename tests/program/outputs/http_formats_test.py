# SPDX-License-Identifier: BSD-3-Clause
"""How rows are sent to a web service (--url-format, --url-compress), and what becomes of those that it refuses."""
import json
import os
import shutil

import meter
from http_case import FAILED, OK, USAGE, Http
from http_server import Service

CODE_27 = b"Code: 27, e.displayText() = DB::Exception: Cannot parse input\nsecond line"


class Formats(Http):
    def send(self, *options, count=20, url="/flows", **of_service):
        service = Service(self, **of_service)
        done = self.run_meter("-f", self.flows("x.pcap", count), "-u", service.url(url), "--url-batch", "8", *options)
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        return service

    def test_bodies(self):
        for name, kind in (("ndjson", "application/x-ndjson"), ("json-array", "application/json"), ("csv", "text/csv")):
            for encoding in (None, "gzip", "zstd"):
                with self.subTest(name, encoding=encoding):
                    if encoding == "zstd" and not shutil.which("zstd"):
                        self.skipTest("needs zstd to unpack")
                    service = self.send("--url-format", name, *(("--url-compress", encoding) if encoding else ()))
                    self.assertEqual({request.headers["Content-Type"] for request in service.requests}, {kind})
                    self.assertEqual({request.headers.get("Content-Encoding") for request in service.requests}, {encoding})
                    self.assertEqual([len(request.rows()) for request in service.requests], [8, 8, 4])
                    self.assertEqual([int(row["src_port"]) for row in service.acknowledged], [*range(1000, 1020)])
                    service.stop()

    def test_csv_has_the_rows_of_the_file(self):
        """With the header in every body, and the default format of times."""
        service = self.send("--url-format", "csv", "-c", self.path("x.csv"))
        with open(self.path("x.csv"), encoding="utf-8") as file:
            header, *rows = file.read().splitlines()
        bodies = [request.text().splitlines() for request in service.requests]
        self.assertEqual({body[0] for body in bodies}, {header})
        self.assertEqual([row for body in bodies for row in body[1:]], rows)

    def test_an_array_of_one(self):
        service = Service(self)
        done = self.run_meter("-f", self.flows("x.pcap", 2), "-u", service.url(), "--url-format", "json-array")
        self.assertEqual(done.code, OK, done.err)
        self.assertEqual([type(json.loads(request.body)) for request in service.requests], [list, list])

    def test_blanks_in_the_query(self):
        service = self.send("--url-format", "ndjson", url="/?query=INSERT INTO flows FORMAT JSONEachRow")
        self.assertEqual({request.path for request in service.requests},
                         {"/?query=INSERT%20INTO%20flows%20FORMAT%20JSONEachRow"})
        for url in ("http://127.0.0.1:1/a b", "http://127.0.0.1 :1/", "http://127.0.0.1:1/?query=a\tb"):
            done = self.run_meter("-f", self.flows("x.pcap", 1), "-u", url)
            self.assertEqual((done.code, len(done.errors)), (USAGE, 1), done.err)

    def test_a_server_without_compression(self):
        """Told by 415, 400, or by ClickHouse 18.16: the rest of the run is sent as it is, and nothing is lost."""
        for refusal in (415, (400, {}, b"not JSON"), (500, {}, b"Code: 89, e.displayText() = DB::Exception: Unknown Content-Encoding")):
            with self.subTest(refusal):
                service = Service(self)
                service.plan = lambda n, service=service, refusal=refusal: \
                    refusal if "Content-Encoding" in service.requests[n - 1].headers else 200
                done = self.run_meter("-f", self.flows("x.pcap", 20), "-u", service.url(), "--url-batch", "8",
                                      "--url-compress", "zstd")
                self.assertEqual((done.code, done.errors), (OK, []), done.err)
                self.assertEqual(len(done.warnings), 1, done.err)
                self.assertIn("without compression", done.warnings[0])
                self.assertEqual(len(service.requests), 4)
                self.assert_each_once(service, 20)
                service.stop()


class Refusals(Http):
    """A server that refuses some rows, each in any request."""

    def setUp(self):
        super().setUp()
        self.spool = self.path("spool")
        self.service = Service(self)
        self.refuse(set())

    def refuse(self, bad, answer=(400, {}, b"no such port\r\nsecond line")):
        """bad: the source ports of refused rows."""
        def plan(n):
            return answer if bad.intersection(int(row["src_port"]) for row in self.service.requests[n - 1].rows()) else 200
        self.service.plan = plan

    def send(self, count, *options, batch=1000, spool=True):
        return self.run_meter("-f", self.flows("x.pcap", count), "-u", self.service.url(), "--url-batch", str(batch),
                              *(("--spool", self.spool) if spool else ()), *options)

    def taken(self):
        return [int(row["src_port"]) for row in self.service.acknowledged]

    def set_aside(self):
        """[(answer, row)] of the spool, which has nothing else."""
        files = [os.path.join(folder, name) for folder, _, names in os.walk(self.spool) for name in names]
        self.assertEqual([os.path.basename(path) for path in files], ["refused.ndjson"])
        with open(files[0], encoding="utf-8") as file:
            objects = [json.loads(line) for line in file]
        return [(each["answer"], each["row"]) for each in objects]

    def test_rows_at_fault_are_set_aside(self):
        bad = {1000, 1500, 1501, 2999}
        confined = () if meter.missing_sandbox() else ("--sandbox", "require")
        for name in ("ndjson", "csv"):
            with self.subTest(name):
                self.spool = self.path("spool-" + name)
                self.service.requests, self.service.acknowledged = [], []
                self.refuse(bad)
                done = self.send(3000, "--url-format", name, *confined)
                self.assertEqual((done.code, len(done.errors), len(done.warnings)), (FAILED, 1, 1), done.err)
                for word in ("4 rows refused (HTTP 400: no such port;", "4 set aside in " + self.spool):
                    self.assertIn(word, done.errors[0])
                self.assertNotIn("second line", done.err)
                self.assert_account(done, rows=3000, sent=2996, refused=4)
                self.assertEqual(self.taken(), [port for port in range(1000, 4000) if port not in bad], "in order, once")
                # Of each batch with such a row: itself, and two requests per halving.
                self.assertLess(len(self.service.requests), 6 + 4 * 2 * 11)
                aside = self.set_aside()
                self.assertEqual({answer for answer, _ in aside}, {"HTTP 400: no such port"})
                ports = [int(row.split(",")[2]) if name == "csv" else row["src_port"] for _, row in aside]
                self.assertEqual(ports, sorted(bad))

    def test_compressed_rows_at_fault(self):
        """Until the server has taken something compressed, a refused request is sent without compression, too."""
        for bad in ({1000}, {1999}, {1000, 1500, 1501, 1999}):
            with self.subTest(bad):
                self.service.requests, self.service.acknowledged = [], []
                self.refuse(bad)
                done = self.send(1000, "--url-compress", "gzip", batch=100, spool=False)
                self.assertEqual((done.code, len(done.errors)), (FAILED, 1), done.err)
                self.assert_account(done, rows=1000, sent=1000 - len(bad), refused=len(bad))
                self.assertEqual(self.taken(), [port for port in range(1000, 2000) if port not in bad])
                self.assertEqual(self.service.requests[-1].headers.get("Content-Encoding"), "gzip")
        # Rows at fault do not hide that it knows no compression.
        self.service.requests, self.service.acknowledged = [], []
        def plan(n):
            request = self.service.requests[n - 1]
            return 400 if "Content-Encoding" in request.headers or 1003 in self.ports(request.rows()) else 200
        self.service.plan = plan
        done = self.send(1000, "--url-compress", "gzip", batch=100, spool=False)
        self.assert_account(done, rows=1000, sent=999, refused=1)
        self.assertTrue(any("without compression" in each for each in done.warnings), done.err)

    def test_without_a_spool(self):
        self.refuse({1003})
        done = self.send(10, batch=10, spool=False)
        self.assertEqual((done.code, len(done.errors)), (FAILED, 1), done.err)
        self.assertIn("1 row refused (HTTP 400: no such port)", done.errors[0])
        self.assert_account(done, rows=10, sent=9, refused=1)
        self.assertEqual(self.taken(), [port for port in range(1000, 1010) if port != 1003])

    def test_all_rows_are_at_fault(self):
        """Told once, and the server is not asked about each row."""
        self.refuse(set(range(1000, 6000)))
        done = self.send(5000)
        self.assertEqual((done.code, len(done.errors)), (FAILED, 2), done.err)
        self.assertIn("the server refuses every row (HTTP 400: no such port)", done.errors[0])
        self.assertIn("5000 rows refused", done.errors[1])
        self.assert_account(done, rows=5000, refused=5000, sent=0)
        self.assertLess(len(self.service.requests), 120)
        self.assertEqual(len(self.set_aside()), 5000)

    def test_a_table_that_is_changed_back(self):
        """Many rows in a row are refused, and no good one after them is."""
        bad = set(range(1000, 2500))
        self.refuse(bad)
        done = self.send(5000)
        self.assertEqual(done.code, FAILED)
        self.assertEqual(sorted(self.taken()), list(range(2500, 6000)), "each once")
        self.assertEqual(len(self.set_aside()), len(bad))

    def test_no_good_row_is_refused_with_bad_ones(self):
        """Many rows are refused one by one, also the last of a request: the others are taken, each once."""
        for name, bad in (("at the start", {*range(1000, 1045), 5999}), ("later", {*range(1001, 1046), 5999}),
                          ("runs of them", {*range(1000, 1040), *range(2000, 2045), *range(3000, 3045), 3999, 4999})):
            for batch in (1000, 10000):
                with self.subTest(name, batch=batch):
                    self.spool = self.path(f"spool {name} {batch}")
                    self.service.acknowledged = []
                    self.refuse(bad)
                    done = self.send(5000, "--url-format", "ndjson", "--fields", "src_port", batch=batch)
                    self.assertEqual(done.code, FAILED)
                    self.assert_account(done, rows=5000, refused=len(bad), sent=5000 - len(bad))
                    self.assertEqual(sorted(self.taken()), [port for port in range(1000, 6000) if port not in bad])
                    self.assertEqual([row["src_port"] for _, row in self.set_aside()], sorted(bad))

    def test_refusals_of_the_request_are_not_divided(self):
        for status in (307, 401, 403, 404):
            with self.subTest(status):
                self.service.requests = []
                self.service.plan = lambda n, status=status: status
                done = self.send(100, batch=50, spool=False)
                self.assertEqual(done.code, FAILED)
                self.assertIn(f"100 rows refused (HTTP {status}", done.errors[-1])
                self.assertLessEqual(len(self.service.requests), 4)

    def test_what_clickhouse_says_decides(self):
        """Its old versions answer 500 to a row that they cannot parse, and 404 where the table is not made yet."""
        self.refuse({1003}, (500, {}, CODE_27))
        done = self.send(10)
        self.assertEqual(done.code, FAILED)
        self.assertIn("1 row refused (HTTP 500: Code: 27, e.displayText() = DB::Exception: Cannot parse input;", done.errors[0])
        self.assertEqual(len(self.taken()), 9)
        for answer in ((404, {"X-ClickHouse-Exception-Code": "60"}, b"no such table"), (404, {}, b"Code: 60. DB::Exception: x")):
            self.service.acknowledged, self.service.requests = [], []
            self.service.plan = lambda n, answer=answer: answer if n == 1 else 200
            done = self.send(10)
            self.assertEqual((done.code, done.errors), (OK, []), done.err)
            self.assertEqual(len(self.taken()), 10)

    def test_a_200_with_an_exception(self):
        """What fails after ClickHouse has sent the status: memory is tried again, a row is refused."""
        late = b"progress\n" * 20000 + b"\r\n__exception__\r\ntag\r\nCode: 241. DB::Exception: Memory limit\r\n9 tag\r\n__exception__\r\n"
        for answer in ((200, {}, b"Code: 241, e.displayText() = DB::Exception: Memory limit"),
                       (200, {"X-ClickHouse-Exception-Code": "241"}), (200, {}, late)):
            self.service.requests = []
            self.service.plan = lambda n, answer=answer: answer if n == 1 else 200
            done = self.send(10, spool=False)
            self.assertEqual((done.code, done.errors, len(done.warnings)), (OK, [], 1), done.err)
            self.assertEqual(len(self.service.requests), 2)
        self.assertIn("HTTP 200: Code: 241. DB::Exception: Memory limit;", done.warnings[0])
        self.refuse({1003}, (200, {}, CODE_27))
        done = self.send(10, spool=False)
        self.assertEqual(done.code, FAILED)
        self.assert_account(done, rows=10, sent=9, refused=1)

    def test_too_many_partitions_at_once(self):
        """ClickHouse refuses a block with rows of too many months: fewer rows at once are taken."""
        words = b"Code: 252. DB::Exception: Too many partitions for single INSERT block (more than 100)."
        self.service.plan = lambda n: 200 if len(self.service.requests[n - 1].rows()) <= 100 else (500, {}, words)
        done = self.send(1000)
        self.assertEqual((done.code, done.errors, done.warnings), (OK, [], []), done.err)
        self.assert_each_once(self.service, 1000)

    def test_long_and_strange_answers(self):
        """Shown in one line without control characters, and not read into memory."""
        self.service.plan = lambda n: (400, {}, b"\r\n\x1b[31m\xff\x00 words " + b"x" * 10_000_000)
        done = self.send(1, spool=False)
        self.assertEqual(done.code, FAILED)
        self.assertIn("words xxx", done.errors[0])
        self.assertNotIn("\x1b", done.err)
        self.assertLess(len(done.errors[0]), 600)

    def test_the_room_for_refused_rows_ends(self):
        """Told once; the rows are counted, and good ones are sent."""
        self.refuse(set(range(1000, 2000)) - {1999})
        done = self.send(1000, "--spool-limit", "3", batch=1)
        self.assertEqual((done.code, len(done.errors)), (FAILED, 2), done.err)
        self.assertIn("refused.ndjson is full", done.errors[0])
        self.assert_account(done, rows=1000, sent=1, refused=999)
        self.assertEqual(self.taken(), [1999])
        aside = self.set_aside()
        self.assertGreater(len(aside), 10)
        self.assertIn(f"{len(aside)} set aside", done.errors[1])


class Spools(Http):
    def test_rows_of_csv_are_not_sent_under_another_header(self):
        """What waits is sent by the next run with the same format and columns, and by no other."""
        down, spool = Service(self, start=False), self.path("spool")
        common = ("-f", self.flows("x.pcap", 5), "-u", down.url(), "--spool", spool, "--url-timeout", "1", "--drain", "2",
                  "--url-batch", "10")
        csv = ("--url-format", "csv", "--fields", "src_ip,src_port")
        self.assert_account(self.run_meter(*common, *csv), rows=5, sent=0, spooled=5)
        down.start()
        for others in ((), ("--url-format", "csv", "--fields", "src_port,src_ip"), ("--url-format", "csv")):
            done = self.run_meter(*common, *others)
            self.assert_account(done, rows=5, sent=5)
        del down.acknowledged[:]
        done = self.run_meter(*common, *csv)
        self.assert_account(done, rows=5, sent=10)
        self.assertEqual([int(row["src_port"]) for row in down.acknowledged], [*range(1000, 1005)] * 2)

    def test_other_formats_of_json_share_what_waits(self):
        down, spool = Service(self, start=False), self.path("spool")
        common = ("-f", self.flows("x.pcap", 5), "-u", down.url(), "--spool", spool, "--url-timeout", "1", "--drain", "2")
        self.assert_account(self.run_meter(*common), rows=5, sent=0, spooled=5)
        down.start()
        done = self.run_meter(*common, "--url-format", "ndjson", "--url-batch", "10", "--url-compress", "gzip")
        self.assert_account(done, rows=5, sent=10)
