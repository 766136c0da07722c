# SPDX-License-Identifier: BSD-3-Clause
"""Live runs with many outputs at once, some of them dead or slow: no packet is lost, and the others have all rows.
Needs root; makes and removes its own network namespaces."""
import gzip
import json
import os
import re
import signal
import socket
import subprocess
import time

import cases
import meter
import namespaces
from http_server import SILENT, Service
from namespaces import A4, B4

ENVIRONMENT = {**{k: v for k, v in os.environ.items() if "proxy" not in k.lower()}, "no_proxy": "*"}


class LiveOutputs(cases.Case):
    def setUp(self):
        super().setUp()
        missing = namespaces.missing_here()
        if missing:
            self.skipTest(missing)
        self.pair = namespaces.Pair(self)
        self.pair.wait_quiet()

    def service(self, *arguments, **options):
        with self.pair.a.inside():  # for its listening socket; its threads need not be inside
            return Service(self, *arguments, **options)

    def start(self, *arguments, **options):
        return meter.Meter(self, "live", "-i", "veth0", "--idle-timeout", "0.2", *arguments,
                           prefix=self.pair.a.enter, env=ENVIRONMENT, **options).wait_attached()

    def send(self, count, first_port=20000):
        """One flow of two packets per port."""
        with self.pair.a.inside():
            sockets = []
            for port in range(first_port, first_port + count):
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                s.bind((A4, port))
                sockets.append(s)
        for s in sockets:
            for _ in range(2):
                s.sendto(b"x" * 20, (B4, 9))
        for s in sockets:
            s.close()

    def accounts(self, err):
        return {name: {key: int(value) for key, value in re.findall(r" (\w+)=(\d+)", rest)}
                for name, rest in re.findall(r"info: output (\S+):( .*)", err)}

    def ours(self, rows, first_port=20000, count=10000):
        return sorted(port for port in (int(row["src_port"]) for row in rows) if first_port <= port < first_port + count)

    def test_dead_ones_among_many(self):
        good = self.service()
        silent = self.service(lambda n: SILENT)
        nobody = self.service(start=False)
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)  # but nothing is read
        self.addCleanup(os.close, reader)
        live = self.start("-c", self.path("live.csv"), "--json", self.path("x.json.gz"), "--json", fifo, "-u", good.url(),
                          "--url-batch", "50", "-u", silent.url(), "-u", nobody.url(), "--output-queue", "1",
                          "--drain", "1")
        for first in range(20000, 24000, 200):  # each burst fits into the queue, and waits until it is empty
            self.send(200, first)
            meter.wait_for("the good server has all", lambda: self.ours(good.acknowledged)[-1:] == [first + 199], 60)
        start = time.monotonic()
        live.process.send_signal(signal.SIGINT)
        done = live.wait(60)
        self.assertLess(time.monotonic() - start, 30, "dead outputs hold up the end")
        self.assertEqual(done.code, 1, "rows are missing in some outputs")
        # No packet and no event was lost.
        meter.assert_balanced(self, done.account)
        self.assertEqual(done.account["lost"], 0, done.err)
        self.assertIn("events_lost=0 ", done.err)
        self.assertGreaterEqual(done.account["seen"], 8000)
        rows = live.rows()
        self.assertEqual(meter.packets_in(rows), done.account["metered"], done.err)
        expected = list(range(20000, 24000))
        self.assertEqual(self.ours(rows), expected)
        with gzip.open(self.path("x.json.gz")) as file:
            self.assertEqual(self.ours(map(json.loads, file)), expected)
        self.assertEqual(self.ours(good.acknowledged), expected)
        # Each row of each output is accounted for.
        accounts = self.accounts(done.err)
        flows = done.account["flows"]
        self.assertEqual(accounts[good.url()], {"rows": flows, "written": flows, "waiting": 0, "dropped": 0, "sent": flows,
                                                "refused": 0, "lost": 0, "spooled": 0})
        self.assertEqual(accounts[live.csv],
                         {"rows": flows, "written": flows, "waiting": 0, "dropped": 0})
        for dead in (silent, nobody):
            account = accounts[dead.url()]
            self.assertEqual((account["rows"], account["sent"]), (flows, 0))
            self.assertEqual((account["dropped"], account["waiting"]), (flows, 0), account)
            self.assertGreater(account["dropped"], account["lost"], "its queue was never full: this proves nothing")
        account = accounts[fifo]
        self.assertEqual(account["written"] + account["dropped"], flows, account)
        self.assertGreater(account["dropped"], 0)
        self.assertEqual(len(done.errors), 3, done.err)

    def test_an_outage_with_a_spool_loses_nothing(self):
        service = self.service()
        live = self.start("-c", self.path("live.csv"), "-u", service.url(), "--url-batch", "20", "--spool",
                          self.path("spool"))
        self.send(300, 20000)
        meter.wait_for("rows arrive", lambda: service.acknowledged)
        service.plan = lambda n: 503
        self.send(300, 21000)
        meter.wait_for("the outage is noticed", lambda: "trying again" in live.err())
        self.send(300, 22000)
        time.sleep(1)
        service.plan = lambda n: 200
        meter.wait_for("all rows", lambda: len(self.ours(service.acknowledged)) >= 900, 60)
        self.send(300, 23000)
        meter.wait_for("the last rows", lambda: len(self.ours(service.acknowledged)) >= 1200, 60)
        done = live.stop()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        self.assertEqual(self.ours(service.acknowledged),
                         [port for first in range(20000, 24000, 1000) for port in range(first, first + 300)])
        account = self.accounts(done.err)[service.url()]
        self.assertEqual((account["sent"], account["lost"] + account["dropped"] + account["spooled"]),
                         (account["rows"], 0), account)
        self.assertEqual([str(row["src_port"]) for row in service.acknowledged],
                         [row["src_port"] for row in live.rows()], "in the order of the CSV")

    def test_rotation_by_time(self):
        live = self.start("-c", self.path("flows.csv"), "--rotate", "1s")
        for first in (20000, 21000, 22000):
            self.send(20, first)
            time.sleep(1.3)
        names = [name for name in os.listdir(self.directory) if re.fullmatch(r"flows-\d{8}T\d{6}Z-\d{6}\.csv", name)]
        self.assertGreaterEqual(len(names), 2, "files end while it runs")
        done = live.stop()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        rows, files = [], 0
        for name in sorted(os.listdir(self.directory)):
            if not name.startswith("flows-"):
                continue
            self.assertTrue(name.endswith(".csv"), name)
            with open(self.path(name), encoding="utf-8") as file:
                some = meter.rows_of(file.read())
            self.assertGreater(len(some), 0, "an empty file")
            rows += some
            files += 1
        self.assertGreaterEqual(files, 3)
        self.assertEqual(self.ours(rows), [port for first in (20000, 21000, 22000) for port in range(first, first + 20)])
        self.assertEqual(meter.packets_in(rows), done.account["metered"])

    def test_a_forced_end_says_what_is_given_up(self):
        """The reader of a pipe accepts nothing, and the second signal does not wait for it."""
        live = self.start("-c", "-", "--drain", "60", stdout=subprocess.PIPE)
        with live.process.stdout as pipe:
            self.send(400)
            meter.wait_for("the pipe is full", lambda: meter.bytes_in_pipe(pipe) > 60000)
            live.process.send_signal(signal.SIGINT)
            live.process.send_signal(signal.SIGTERM)
            done = live.wait()
            in_pipe = pipe.read().count(b"\n") - 1
        self.assertEqual((done.code, len(done.errors)), (1, 1), done.err)
        flows, rows = meter.given_up(done.errors[0])
        self.assertGreaterEqual(in_pipe + flows + rows, 400, done.err)
        self.assertLess(in_pipe, 400)

    def test_account_on_request(self):
        service = self.service()
        live = self.start("-c", self.path("live.csv"), "-u", service.url())
        self.send(10)
        meter.wait_for("rows arrive", lambda: len(self.ours(service.acknowledged)) == 10)

        def told():  # the server has a row before the meter has its answer
            live.process.send_signal(signal.SIGUSR1)
            time.sleep(0.2)
            return self.accounts(live.err()).get(service.url(), {"sent": 0})["sent"] >= 10

        meter.wait_for("the account", told)
        self.assertEqual(live.stop().code, 0)
