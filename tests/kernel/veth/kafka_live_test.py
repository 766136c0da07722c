# SPDX-License-Identifier: BSD-3-Clause
"""A meter that sends to a real Apache Kafka: in its sandbox, and when it is killed."""
import collections
import json
import os
import signal
import socket
import time

import capture
import cases
import kafka
import meter
import namespaces
import restart_cases
from namespaces import A4, B4

LABEL = "full"
TOPIC = "flows"


class Live(restart_cases.Pinned):
    """The broker is in the namespace of the meter, on its loopback interface."""

    def setUp(self):
        why = kafka.missing()
        if why:
            self.skipTest(why)
        super().setUp()
        os.mkdir(self.path("kafka"))
        self.cluster = kafka.Cluster(self.path("kafka"), prefix=self.pair.a.enter)
        self.addCleanup(self.cluster.stop)
        with self.pair.a.inside():
            self.client = kafka.Client(self.cluster.servers())
            self.client.create_topic(TOPIC)
        self.sandbox = [] if meter.missing_sandbox() else ["--sandbox", "require"]

    def start_meter(self, name, *arguments):
        return self.pinned(name, "--kafka", f"{self.cluster.servers()}/{TOPIC}", "--fleet", "--spool", self.path("spool"),
                           "--idle-timeout", "1", *self.sandbox, *arguments).wait_attached()

    def send(self, first_port, count):
        for port in range(first_port, first_port + count):
            s = self.udp(self.pair.a, A4, port)
            for _ in range(2):
                s.sendto(b"x", (B4, 9))
            s.close()

    def messages(self):
        with self.pair.a.inside():
            return self.client.messages(TOPIC)

    def rows(self):
        """Of the UDP flows that the test has made, each flow_id once."""
        rows = {}
        for message in self.messages():
            row = json.loads(message.value)
            before = rows.setdefault(row["flow_id"], row)
            self.assertEqual(row, before, "a row that is delivered again is the same")
        return [row for row in rows.values() if row["dst_port"] == 9]

    def written(self, live):
        """The rows that Kafka or the spool has, as the account tells."""
        time.sleep(2.5)  # lines that repeat too often are suppressed
        before = live.err().count("info: output kafka")
        live.process.send_signal(signal.SIGUSR1)
        meter.wait_for("the account so far", lambda: live.err().count("info: output kafka") > before)
        line = [line for line in live.err().splitlines() if "info: output kafka" in line][-1]
        return {name: int(number) for name, _, number in (word.partition("=") for word in line.split()) if number.isdigit()}

    def test_each_flow_once(self):
        """The meter is killed while the broker is there, and while it is away; the broker is killed, too."""
        live = self.start_meter("run-0")
        self.send(20000, 100)
        meter.wait_for("its rows", lambda: self.written(live)["sent"] >= 100)
        self.kill(live)
        self.send(20100, 100)
        live = self.start_meter("run-1")
        self.cluster.kill(1)
        self.send(20200, 100)
        meter.wait_for("the spool has them", lambda: self.written(live)["spooled"] >= 100)
        self.kill(live)
        self.send(20300, 100)
        self.cluster.restart(1)
        live = self.start_meter("run-2", "--unpin")
        self.send(20400, 100)
        meter.wait_for("the spool is sent", lambda: self.written(live)["spooled"] == 0)
        done = live.stop()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        rows = self.rows()
        self.assertEqual(collections.Counter(row["src_port"] for row in rows),
                         collections.Counter(range(20000, 20500)))
        self.assertEqual({row["tot_fwd_pkts"] for row in rows}, {2})
        self.assertEqual([name for _, _, names in os.walk(self.path("spool")) for name in names if name.endswith(".ndjson")], [])


class Names(cases.Case):
    """Name resolution by a server that never answers: one attempt takes 150 s, which the run must not wait for."""

    def test_the_run_ends_in_time(self):
        missing = namespaces.missing_here() or ("" if kafka.library() else "librdkafka1 is not installed")
        if missing:
            self.skipTest(missing)
        own = namespaces.Namespace(self, "names")
        with open(self.path("resolv.conf"), "w", encoding="ascii") as file:
            file.write("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
        with open(self.path("x.pcap"), "wb") as file:
            file.write(capture.pcap([(1, capture.ethernet(capture.udp()))]))
        with own.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 53))
            done = meter.run("-f", self.path("x.pcap"), "--kafka", "broker.example:9092/t", "--drain", "1",
                             prefix=(*own.enter, "unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"',
                                     self.path("resolv.conf")))
            self.assertTrue(silent.recv(1000), "the server was not asked")
        self.assertEqual(done.code, 1, done.err)
        self.assertIn("1 row lost", done.errors[0])
