# SPDX-License-Identifier: BSD-3-Clause
"""Flows sent to a real Apache Kafka: what is in the topic, and what the program says when it goes wrong."""
import collections
import json
import os
import re
import signal
import tempfile
import time
import unittest

import capture
import kafka
import meter
from http_case import FAILED, OK, USAGE, Http


class WithKafka(Http):
    """One cluster for all cases of a class."""

    BROKERS = 1

    @classmethod
    def setUpClass(cls):
        why = kafka.missing()
        if why:
            raise unittest.SkipTest(why)
        directory = tempfile.TemporaryDirectory(prefix="fmtest-kafka-")
        cls.addClassCleanup(directory.cleanup)
        cls.cluster = kafka.Cluster(directory.name, cls.BROKERS)
        cls.addClassCleanup(cls.cluster.stop)
        cls.client = kafka.Client(cls.cluster.servers())

    def topic(self, **properties):
        name = self.id().rsplit(".", 1)[1] + "." + str(time.monotonic_ns())
        self.client.create_topic(name, replicas=self.BROKERS, **properties)
        return name

    def target(self, topic, listener="PLAINTEXT"):
        return f"{self.cluster.servers(listener)}/{topic}"

    def config(self, text, name="kafka.properties"):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), 0o600)
        return self.path(name)

    def lines(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read().splitlines()

    def account(self, done):
        line = [line for line in done.err.splitlines() if "info: output kafka" in line and " rows=" in line]
        self.assertEqual(len(line), 1, done.err)
        return {name: int(number) for name, number in re.findall(r" (\w+)=(\d+)", line[0])}

    def assert_all_there(self, topic, lines, most_often=1):
        """Each of the lines is in the topic, at most this often, and nothing else is."""
        found = collections.Counter(message.value for message in self.client.messages(topic))
        self.assertEqual(sorted(found), sorted(set(lines)))
        self.assertLessEqual(max(found.values()), most_often)


class Rows(WithKafka):
    def test_what_a_message_is(self):
        topic = self.topic()
        sandbox = [] if meter.missing_sandbox() else ["--sandbox", "require"]
        done = self.run_meter("-f", self.flows("x.pcap", 300), "--kafka", self.target(topic), "--json", self.path("x.json"),
                              "--fleet", "--meter-id", "probe-7", *sandbox)
        self.assertEqual((done.code, done.errors, done.warnings), (OK, [], []), done.err)
        self.assert_account(done, rows=300, sent=300, written=300)
        messages = self.client.messages(topic)
        self.assertEqual(sorted(message.value for message in messages), sorted(self.lines("x.json")))
        self.assertEqual({tuple(message.headers.items()) for message in messages},
                         {(("schema", "cic82/1"), ("meter", "probe-7"))})
        self.assertEqual({message.partition for message in messages}, {0, 1, 2, 3})
        for message in messages:
            self.assertEqual(message.key, json.loads(message.value)["community_id"])
            self.assertEqual(message.partition, kafka.partition_of(message.key, 4), message.key)

    def test_any_columns(self):
        """The key is there without its column, and both directions of a flow have the same one."""
        topic = self.topic()
        packets = [(1, capture.ethernet(capture.udp(ports=(1000, 53)))),
                   (2, capture.ethernet(capture.udp(source=capture.SERVER, target=capture.CLIENT, ports=(53, 1000))))]
        for name, packet in zip("ab", packets):
            with open(self.path(name), "wb") as file:
                file.write(capture.pcap([packet]))
            done = self.run_meter("-f", self.path(name), "--kafka", self.target(topic), "--fields", "src_port,dst_port")
            self.assertEqual((done.code, done.errors), (OK, []), done.err)
        messages = self.client.messages(topic)
        self.assertEqual(sorted(message.value for message in messages),
                         ['{"src_port":1000,"dst_port":53}', '{"src_port":53,"dst_port":1000}'])
        self.assertEqual(len({(message.key, message.partition) for message in messages}), 1)
        self.assertRegex(messages[0].key, "^1:[A-Za-z0-9+/]{27}=$")
        self.assertEqual(messages[0].headers["schema"], "fields/1")


class Failures(WithKafka):
    LABEL = "full"

    def test_topic_is_missing_and_then_made(self):
        with meter_running(self, "nowhere", "--on-full", "block", "--output-queue", "1", "--drain", "60") as running:
            meter.wait_for("it says so", lambda: "does not exist" in running.err())
            self.client.create_topic("nowhere")
            done = running.wait()
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertEqual(len([line for line in done.warnings if "output kafka" in line]), 1, done.err)
        self.assertIn("answers again", done.err)
        self.assert_all_there("nowhere", self.lines("x.json"))

    def test_topic_stays_missing(self):
        done = self.run_meter("-f", self.flows("x.pcap", 10), "--kafka", self.target("nowhere-else"), "--drain", "8")
        self.assertEqual(done.code, FAILED, done.err)
        self.assertIn("10 rows lost", done.errors[0])
        self.assertIn("does not exist: create it", done.errors[0])

    def test_not_authorised_and_then_allowed(self):
        topic = self.topic()
        config = self.config(f"security.protocol=sasl_plaintext\nsasl.mechanism=PLAIN\nsasl.username={kafka.USER}\n"
                             f"sasl.password={kafka.PASSWORD}\n")
        with meter_running(self, topic, "--kafka-config", config, "--drain", "60", listener="SASL_PLAINTEXT") as running:
            meter.wait_for("it says so", lambda: "allow this user to write to the topic" in running.err())
            self.client.allow(kafka.USER, topic)
            done = running.wait()
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertNotIn(kafka.PASSWORD, done.err)
        self.assert_all_there(topic, self.lines("x.json"))

    def test_wrong_password(self):
        config = self.config(f"security.protocol=sasl_plaintext\nsasl.mechanism=PLAIN\nsasl.username={kafka.USER}\n"
                             "sasl.password=wr0ng-pass\n")
        done = self.run_meter("-f", self.flows("x.pcap", 10), "--kafka", self.target("t", "SASL_PLAINTEXT"),
                              "--kafka-config", config, "--drain", "5")
        self.assertEqual(done.code, FAILED, done.err)
        self.assertIn("10 rows lost", done.errors[0])
        self.assertIn("Authentication failed", done.errors[0])
        self.assertNotIn("wr0ng", done.err)

    def test_tls(self):
        topic = self.topic()
        config = self.config(f"security.protocol=ssl\nssl.ca.location={self.cluster.path('ca.pem')}\n")
        sandbox = [] if meter.missing_sandbox() else ["--sandbox", "require"]
        done = self.run_meter("-f", self.flows("x.pcap", 100), "--kafka", self.target(topic, "SSL"), "--kafka-config", config,
                              "--json", self.path("x.json"), *sandbox)
        self.assertEqual((done.code, done.errors, done.warnings), (OK, [], []), done.err)
        self.assert_all_there(topic, self.lines("x.json"))

    def test_tls_with_properties_from_a_pipe(self):
        """Which has its text once; --sandbox allows the files that it names."""
        topic = self.topic()
        config = f"security.protocol=ssl\nssl.ca.location={self.cluster.path('ca.pem')}\n"
        sandbox = [] if meter.missing_sandbox() else ["--sandbox", "require"]
        done = self.run_meter("-f", self.flows("x.pcap", 10), "--kafka", self.target(topic, "SSL"), "--kafka-config", "/dev/stdin",
                              "--drain", "10", "--json", self.path("x.json"), *sandbox, stdin=config.encode())
        self.assertEqual((done.code, done.errors, done.warnings), (OK, [], []), done.err)
        self.assert_all_there(topic, self.lines("x.json"))

    def test_tls_with_another_authority(self):
        kafka.make_authority(self.path("other"))
        config = self.config(f"security.protocol=ssl\nssl.ca.location={self.path('other.pem')}\n")
        topic = self.topic()
        done = self.run_meter("-f", self.flows("x.pcap", 10), "--kafka", self.target(topic, "SSL"), "--kafka-config", config,
                              "--drain", "5")
        self.assertEqual(done.code, FAILED, done.err)
        self.assertIn("10 rows lost", done.errors[0])
        self.assertIn("certificate", done.errors[0])
        self.assertEqual(self.client.messages(topic), [])

    def test_plain_text_to_a_tls_port(self):
        done = self.run_meter("-f", self.flows("x.pcap", 10), "--kafka", self.target("t", "SSL"), "--drain", "5")
        self.assertEqual(done.code, FAILED, done.err)
        self.assertIn("10 rows lost", done.errors[0])

    def test_rows_that_the_topic_does_not_take(self):
        """A batch that is too large is made smaller; a row that is too large is refused, and the others are not."""
        topic = self.topic(max_message_bytes=3000)
        small = self.run_meter("-f", self.flows("x.pcap", 500), "--kafka", self.target(topic), "--json", self.path("x.json"),
                               "--kafka-config", self.config("compression.codec=none\n"))
        self.assertEqual((small.code, small.errors), (OK, []), small.err)
        self.assertTrue([line for line in small.warnings if "max.message.bytes" in line], small.err)
        self.assert_account(small, rows=500, sent=500)
        self.assert_all_there(topic, self.lines("x.json"))
        tiny = self.topic(max_message_bytes=300)
        done = self.run_meter("-f", self.flows("x.pcap", 20), "--kafka", self.target(tiny),
                              "--kafka-config", self.config("compression.codec=none\n"))
        self.assertEqual(done.code, FAILED, done.err)
        self.assertIn("20 rows refused", done.errors[0])
        self.assertIn("too large", done.errors[0])
        self.assertEqual(self.client.messages(tiny), [])

    def test_some_rows_are_too_large(self):
        """--label makes the rows of one run large; those of another run, in the same spool, are not."""
        topic, spool = self.topic(max_message_bytes=6000), self.path("spool")
        nobody = ["--kafka-config", self.config("message.timeout.ms=200\ncompression.codec=none\n"), "--drain", "1", "--spool", spool]
        self.cluster.kill(1)
        for name, label in (("a", "x" * 5000), ("b", "y")):
            left = self.run_meter("-f", self.flows(name + ".pcap", 20), "--kafka", self.target(topic), *nobody, "--label", label,
                                  "--json", self.path(name + ".json"))
            self.assertEqual((left.code, left.errors), (OK, []), left.err)
        self.cluster.restart(1)
        done = self.run_meter("-f", self.flows("c.pcap", 1), "--kafka", self.target(topic), "--spool", spool, "--json",
                              self.path("c.json"), "--kafka-config", self.config("compression.codec=none\n"))
        self.assertEqual(done.code, FAILED, done.err)
        self.assertIn("20 rows refused", done.errors[0])
        self.assert_all_there(topic, self.lines("b.json") + self.lines("c.json"))
        (aside,) = [os.path.join(path, name) for path, _, names in os.walk(spool) for name in names]
        self.assertEqual(os.path.basename(aside), "refused.ndjson")
        with open(aside, encoding="utf-8") as file:
            self.assertEqual([json.loads(line)["row"] for line in file], [json.loads(line) for line in self.lines("a.json")])


class Outages(WithKafka):
    LABEL = "full"

    def test_broker_is_killed_and_comes_back(self):
        """Twice, while rows are sent; the spool has what does not fit into memory."""
        topic = self.topic()
        config = self.config("message.timeout.ms=3000\n")
        with meter_running(self, topic, "--kafka-config", config, "--spool", self.path("spool"), "--drain", "100",
                           live_input=True) as running:
            for _ in range(2):
                running.feed(3000)
                self.cluster.kill(1)
                running.feed(3000)
                time.sleep(4)  # longer than message.timeout.ms
                self.cluster.restart(1)
                running.feed(3000)
            running.end_of_input()
            done = running.wait(seconds=150)
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertIn("answers again", done.err)
        self.assertEqual(len(self.lines("x.json")), 18000)
        self.assert_all_there(topic, self.lines("x.json"), most_often=4)

    def test_broker_is_away_for_longer_than_the_message_timeout(self):
        """Without a spool the rows wait in memory; with one the next run sends them."""
        topic, spool = self.topic(), self.path("spool")
        self.cluster.kill(1)
        config = self.config("message.timeout.ms=500\n")
        first = self.run_meter("-f", self.flows("a.pcap", 200), "--kafka", self.target(topic), "--kafka-config", config,
                               "--spool", spool, "--drain", "5", "--json", self.path("a.json"), "--meter-id", "earlier",
                               "--features", "netflowmeter114")
        self.assertEqual((first.code, first.errors), (OK, []), first.err)
        self.assert_account(first, rows=200, written=200, spooled=200)
        lost = self.run_meter("-f", self.flows("a.pcap", 200), "--kafka", self.target(topic), "--kafka-config", config,
                              "--output-retry", "2", "--drain", "30")
        self.assertEqual(lost.code, FAILED, lost.err)
        self.assertIn("200 rows lost", lost.errors[0])
        with meter_running(self, topic, "--kafka-config", config, "--drain", "60") as running:
            meter.wait_for("it says so", lambda: "trying again" in running.err())
            time.sleep(1)
            self.cluster.restart(1)
            done = running.wait()
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        last = self.run_meter("-f", self.flows("b.pcap", 10, first_port=30000), "--kafka", self.target(topic), "--spool", spool,
                              "--json", self.path("b.json"))
        self.assertEqual((last.code, last.errors), (OK, []), last.err)
        self.assert_account(last, rows=10, sent=210)
        self.assert_all_there(topic, self.lines("a.json") + self.lines("b.json") + self.lines("x.json"), most_often=2)
        of_earlier = [message.headers for message in self.client.messages(topic) if message.value in set(self.lines("a.json"))]
        self.assertEqual({(headers["meter"], headers["schema"].split("/")[0]) for headers in of_earlier},
                         {("earlier", "netflowmeter114")})


class Cluster(WithKafka):
    LABEL = "full"
    BROKERS = 3

    def test_leaders_move(self):
        """One broker leaves in order, another is killed, while rows are sent: nothing is lost, and nobody has to act."""
        topic = self.topic()
        with meter_running(self, topic, "--drain", "100", live_input=True) as running:
            running.feed(2000)
            self.cluster.leave(1)
            running.feed(2000)
            self.cluster.restart(1)
            running.feed(2000)
            self.cluster.kill(2)
            running.feed(2000)
            self.cluster.restart(2)
            running.end_of_input()
            done = running.wait(seconds=150)
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertEqual(len(self.lines("x.json")), 8000)
        self.assert_all_there(topic, self.lines("x.json"), most_often=3)


class Configuration(Http):
    """Without a broker."""

    def setUp(self):
        super().setUp()
        if kafka.library() is None:
            self.skipTest("librdkafka1 is not installed")

    def config(self, text, mode=0o600):
        with open(self.path("kafka.properties"), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path("kafka.properties"), mode)
        return self.path("kafka.properties")

    def test_wrong_targets(self):
        for target, word in (("x", "topic is missing"), ("h:1/", "a topic has"), ("h:1/a b", "a topic has"),
                             ("h:1/" + "x" * 250, "a topic has"), ("h:1/..", "a topic has"), ("h:0/t", "65535"),
                             ("h:x/t", "65535"), ("::1/t", "brackets"), ("[::1/t", "no ]"), ("/t", "host:port"),
                             ("h,/t", "host:port"), ("h,h/t", "twice"), ("ssl://h:1/t", "host:port")):
            with self.subTest(target):
                done = self.run_meter("-f", self.flows("x.pcap", 1), "--kafka", target)
                self.assertEqual((done.code, len(done.errors)), (USAGE, 1), done.err)
                self.assertIn(word, done.errors[0])
        done = self.run_meter("-f", self.flows("x.pcap", 1), "--kafka", "h/t", "--kafka", "h/t")
        self.assertEqual((done.code, len(done.errors)), (USAGE, 1), done.err)

    def test_wrong_properties(self):
        for text, words in (("linger.ms 5\n", ["line 1", "name=value"]),
                            ("# x\n\nnope=1\n", ["line 3", "nope"]),
                            ("linger.ms=x\n", ["line 1"]),
                            ("linger.ms=1\nlinger.ms=2\n", ["line 2", "line 1"]),
                            ("acks=1\n", ["line 1", "acks"]),
                            ("enable.idempotence=false\n", ["idempotence"]),
                            ("bootstrap.servers=h\n", ["--kafka names the brokers"]),
                            ("plugin.library.paths=/tmp/x.so\n", ["loads code"]),
                            ("enable.ssl.certificate.verification=false\n", ["verified"]),
                            ("partitioner=random\n", ["one partition"]),
                            ("security.protocol=sasl_ssl\n", ["sasl.mechanism"]),
                            ("sasl.mechanism=GSSAPI\n", ["Kerberos"]),
                            ("security.protocol=ssl\nssl.ca.location=/nonexistent/ca.pem\n", ["line 2", "/nonexistent/ca.pem"]),
                            ("ut_handle_ProduceResponse=AAAA\n", ["line 1", "ut_handle_ProduceResponse cannot be set"]),
                            ("security.protocol=sasl_ssl\nsasl.mechanism=OAUTHBEARER\n", ["line 2", "PLAIN"]),
                            ("max.in.flight=9\n", ["max.in.flight"]),
                            ("linger.ms=5\nmessage.timeout.ms=0\n", ["line 2", "message.timeout.ms", "without end"]),
                            ("delivery.timeout.ms=00\n", ["line 1", "delivery.timeout.ms", "without end"]),
                            ("x=1\0\n", ["line 1"]),
                            ("#" * 70_000, ["64 KiB"])):
            with self.subTest(text[:40]):
                done = self.run_meter("-f", self.flows("x.pcap", 1), "--kafka", "127.0.0.1:1/t", "--kafka-config", self.config(text))
                self.assertEqual((done.code, len(done.errors)), (USAGE, 1), done.err)
                for word in ["--kafka-config", *words]:
                    self.assertIn(word, done.errors[0])
        done = self.run_meter("-f", self.flows("x.pcap", 1), "--kafka", "127.0.0.1:1/t", "--kafka-config", self.path("none"))
        self.assertEqual((done.code, len(done.errors)), (USAGE, 1), done.err)

    def test_a_password_that_everyone_can_read(self):
        done = self.run_meter("-f", self.flows("x.pcap", 1), "--kafka", "127.0.0.1:1/t", "--drain", "0",
                              "--kafka-config", self.config("sasl.password=secret-one\n", mode=0o644))
        self.assertTrue([line for line in done.warnings if "can be read by everyone" in line], done.err)
        self.assertNotIn("secret-one", done.err)

    def waits_for_room(self, *arguments):
        """The arguments of a replay that waits, as nobody answers and librdkafka would try for an hour."""
        return ("-f", self.flows("x.pcap", 3000), "--kafka", "127.0.0.1:1/t", "--output-queue", "1", "--kafka-config",
                self.config("message.timeout.ms=3600000\n"), *arguments)

    def test_output_retry_ends_the_wait_for_room(self):
        done = self.run_meter(*self.waits_for_room("--output-retry", "1", "--drain", "1"))
        self.assertEqual(done.code, FAILED, done.err)
        self.assertIn("3000 rows lost", done.errors[0])
        self.assertIn("Connection refused", done.errors[0])

    def test_a_signal_ends_the_wait_for_room(self):
        running = meter.Meter(self, "kafka", *self.waits_for_room("--output-retry", "3600", "--drain", "1"))
        meter.wait_for("it says so", lambda: "trying again" in running.err())
        done = running.stop(signal.SIGTERM)
        self.assertEqual(done.code, FAILED, done.err)
        self.assertIn("Connection refused", done.errors[0])

    def test_nobody_answers(self):
        """One line says why, and the run ends in time: nothing listens, or the name is unknown."""
        for brokers, word in (("127.0.0.1:1", "Connection refused"), ("broker.invalid:9092", "resolve")):
            with self.subTest(brokers):
                done = self.run_meter("-f", self.flows("x.pcap", 10), "--kafka", brokers + "/t", "--drain", "2")
                self.assertEqual(done.code, FAILED, done.err)
                self.assertEqual(len(done.errors), 1, done.err)
                self.assertIn("10 rows lost", done.errors[0])
                self.assertIn(word, done.errors[0])
                self.assertLessEqual(len(done.err.splitlines()), 5, done.err)


class meter_running:
    """A replay to the topic and to x.json, of 500 flows or, with live_input, of the flows that are fed to it."""

    def __init__(self, case, topic, *arguments, listener="PLAINTEXT", live_input=False):
        self.case, self.fed = case, 0
        source = case.path("input") if live_input else case.flows("x.pcap", 500, first_port=20000)
        if live_input:
            os.mkfifo(source)
        self.running = meter.Meter(case, "kafka", "-f", source, "--kafka", case.target(topic, listener), "--json",
                                   case.path("x.json"), "--max-flows", "64", *arguments)
        self.input = open(source, "wb", buffering=0) if live_input else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.input:
            self.input.close()

    def feed(self, count):
        """Packets of this many flows. All but the last 64 end at once."""
        data = capture.pcap([(1 + i / 1000, capture.ethernet(capture.udp(
            ports=(1000 + i % 50000, 53 + i // 50000)))) for i in range(self.fed, self.fed + count)])
        self.input.write(data if self.fed == 0 else data[24:])
        self.fed += count

    def end_of_input(self):
        self.input.close()

    def err(self):
        return self.running.err()

    def wait(self, seconds=90):
        return self.running.wait(seconds)
