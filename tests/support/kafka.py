# SPDX-License-Identifier: BSD-3-Clause
"""A real Apache Kafka of one to three brokers (KRaft) on the loopback interface, and a client for it.

The brokers are the jars of Maven Central, which scripts/install-dependencies --fleet fetches. They listen without
protection (where everything is allowed), with TLS, and with a user's name and password (where only what an ACL allows is
allowed). The client is librdkafka, called through ctypes: it makes topics and ACLs, and reads whole topics."""
import collections
import ctypes
import ctypes.util
import os
import re
import shutil
import subprocess

import meter
from ports import free_ports

VERSION = "4.1.2"  # needs Java 17
JARS = os.environ.get("FLOWMETER_KAFKA_JARS") or os.path.expanduser(f"~/.cache/flowmeter-ebpf/kafka-{VERSION}")
LISTENERS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT")
USER, PASSWORD = "meter", "not-so-secret"


def library():
    try:
        return ctypes.CDLL("librdkafka.so.1")
    except OSError:
        return None


def missing():
    """Why no broker can be started here, or ""."""
    if library() is None:
        return "librdkafka1 is not installed"
    if not os.path.isdir(JARS):
        return f"no {JARS}: scripts/install-dependencies --fleet fetches it"
    if not shutil.which("java"):
        return "no java"
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=60).stderr
    version = re.search(r'version "(\d+)', said)
    if not version or int(version[1]) < 17:
        return f"needs Java 17: {said.splitlines()[:1]}"
    return ""


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


def make_authority(path):
    """path.pem and path.key: a certificate authority of its own."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=test authority", "-keyout", path + ".key", "-out", path + ".pem")


def make_certificate(authority, path):
    """path.pem with key and certificate of 127.0.0.1, as a broker reads them."""
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=127.0.0.1",
            "-keyout", path + ".key", "-out", path + ".csr")
    with open(path + ".ext", "w", encoding="ascii") as file:
        file.write("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", path + ".csr", "-CA", authority + ".pem", "-CAkey", authority + ".key",
            "-CAcreateserial", "-days", "2", "-extfile", path + ".ext", "-out", path + ".crt")
    with open(path + ".pem", "w", encoding="ascii") as file:
        for part in (".key", ".crt"):
            with open(path + part, encoding="ascii") as text:
                file.write(text.read())


class Cluster:
    """Started when the constructor returns; the caller stops it. prefix: the command that runs a broker elsewhere."""

    def __init__(self, directory, brokers=1, prefix=(), address="127.0.0.1"):
        self.directory, self.brokers, self.prefix, self.address = directory, brokers, prefix, address
        self.processes = {}
        make_authority(self.path("ca"))
        make_certificate(self.path("ca"), self.path("broker"))
        # Another process could take a port before the broker does.
        for _ in range(3):
            self._configure()
            try:
                for node in self.nodes():
                    self._run(node)
                for node in self.nodes():
                    self._wait_ready(node)
                return
            except PortTaken:
                self.stop()
                for node in self.nodes():
                    shutil.rmtree(self.path(f"data-{node}"))
            except BaseException:
                self.stop()
                raise
        raise AssertionError("kafka: other processes have taken its ports three times")

    def path(self, name):
        return os.path.join(self.directory, name)

    def nodes(self):
        return range(1, self.brokers + 1)

    def servers(self, listener="PLAINTEXT"):
        return ",".join(f"{self.address}:{self.ports[node][listener]}" for node in self.nodes())

    def _configure(self):
        names = (*LISTENERS, "CONTROLLER")
        ports = free_ports(len(names) * self.brokers)
        self.ports = {node: dict(zip(names, ports[(node - 1) * len(names):])) for node in self.nodes()}
        for node in self.nodes():
            listeners = ",".join(f"{name}://{self.address}:{port}" for name, port in self.ports[node].items())
            with open(self.path(f"{node}.properties"), "w", encoding="ascii") as file:
                file.write(PROPERTIES.format(
                    node=node, listeners=listeners, directory=self.directory, brokers=self.brokers,
                    least=(self.brokers + 1) // 2, user=USER, password=PASSWORD,
                    voters=",".join(f"{each}@{self.address}:{self.ports[each]['CONTROLLER']}" for each in self.nodes())))
            done = subprocess.run(self._java("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg",
                                             "-c", self.path(f"{node}.properties")), capture_output=True, text=True,
                                  timeout=120)
            if done.returncode != 0:
                raise AssertionError(f"kafka: {done.stdout}{done.stderr}")

    def _java(self, *arguments):
        return ["java", "-Xmx384m", f"-Djava.io.tmpdir={self.directory}", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info", "-cp", JARS + "/*", *arguments]

    def _run(self, node):
        with open(self.path(f"{node}.log"), "wb") as log:
            self.processes[node] = subprocess.Popen(
                [*self.prefix, *self._java("kafka.Kafka", self.path(f"{node}.properties"))], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=meter.die_with_parent)

    def log(self, node):
        with open(self.path(f"{node}.log"), encoding="utf-8", errors="replace") as log:
            return log.read()

    def _wait_ready(self, node):
        """Its start has ended: an open port is not enough."""

        def ready():
            if self.processes[node].poll() is not None:
                log = self.log(node)
                raise (PortTaken if "in use" in log else AssertionError)(f"kafka: broker {node} has ended: {log[-2000:]}")
            return "Kafka Server started" in self.log(node)

        meter.wait_for(f"broker {node} starts", ready, seconds=120)

    def kill(self, node):
        self.processes[node].kill()
        self.processes[node].wait()

    def leave(self, node):
        """An orderly end, before which others become the leaders of its partitions."""
        self.processes[node].terminate()
        self.processes[node].wait(timeout=60)

    def restart(self, node):
        self._run(node)
        self._wait_ready(node)

    def stop(self):
        for process in self.processes.values():
            process.kill()
            process.wait()


class PortTaken(AssertionError):
    pass


PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners={listeners}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT
log.dirs={directory}/data-{node}
auto.create.topics.enable=false
num.partitions=4
default.replication.factor={brokers}
min.insync.replicas={least}
offsets.topic.replication.factor={brokers}
transaction.state.log.replication.factor={brokers}
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
ssl.keystore.type=PEM
ssl.keystore.location={directory}/broker.pem
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
required user_{user}="{password}";
"""


# ---- the client ------------------------------------------------------------------------------------------------------

Message = collections.namedtuple("Message", "partition offset key value headers")


class RawMessage(ctypes.Structure):
    """rd_kafka_message_t"""
    _fields_ = [("error", ctypes.c_int), ("topic", ctypes.c_void_p), ("partition", ctypes.c_int32),
                ("payload", ctypes.c_void_p), ("size", ctypes.c_size_t), ("key", ctypes.c_void_p),
                ("key_size", ctypes.c_size_t), ("offset", ctypes.c_int64), ("private", ctypes.c_void_p)]


class Client:
    """Of a cluster, with all rights."""

    PRODUCER, CONSUMER = 0, 1
    TOPIC, LITERAL, ALLOW, WRITE, DESCRIBE = 2, 3, 3, 4, 8  # of ACLs

    def __init__(self, servers):
        self.servers = servers
        self.c = library()
        for name in ("conf_new", "new", "topic_new", "queue_new", "queue_poll", "NewTopic_new", "AclBinding_new",
                     "event_CreateTopics_result", "event_CreateAcls_result", "AdminOptions_new"):
            getattr(self.c, "rd_kafka_" + name).restype = ctypes.c_void_p
        for name in ("event_error_string", "err2str", "topic_result_error_string"):
            getattr(self.c, "rd_kafka_" + name).restype = ctypes.c_char_p
        self.c.rd_kafka_consume_batch.restype = ctypes.c_ssize_t
        self.c.rd_kafka_CreateTopics_result_topics.restype = ctypes.POINTER(ctypes.c_void_p)

    def _handle(self, kind, **properties):
        conf = ctypes.c_void_p(self.c.rd_kafka_conf_new())
        why = ctypes.create_string_buffer(512)
        for name, value in {"bootstrap.servers": self.servers, "log_level": "0", **properties}.items():
            name = name.replace("_", ".") if name != "log_level" else name
            if self.c.rd_kafka_conf_set(conf, name.encode(), value.encode(), why, len(why)) != 0:
                raise AssertionError(why.value.decode())
        handle = self.c.rd_kafka_new(kind, conf, why, len(why))
        if not handle:
            raise AssertionError(why.value.decode())
        return ctypes.c_void_p(handle)

    def _administer(self, call, make, result):
        """Calls CreateTopics or CreateAcls with one object; returns the event."""
        handle = self._handle(self.PRODUCER)
        queue = ctypes.c_void_p(self.c.rd_kafka_queue_new(handle))
        why = ctypes.create_string_buffer(512)
        try:
            things = (ctypes.c_void_p * 1)(make(why))
            call(handle, things, ctypes.c_size_t(1), None, queue)
            event = ctypes.c_void_p(self.c.rd_kafka_queue_poll(queue, 60_000))
            if not event or self.c.rd_kafka_event_error(event) != 0:
                raise AssertionError((self.c.rd_kafka_event_error_string(event) if event else b"no answer").decode())
            result(event)
            self.c.rd_kafka_event_destroy(event)
        finally:
            self.c.rd_kafka_queue_destroy(queue)
            self.c.rd_kafka_destroy(handle)

    def create_topic(self, name, partitions=4, replicas=1, **properties):
        def make(why):
            topic = self.c.rd_kafka_NewTopic_new(name.encode(), partitions, replicas, why, ctypes.c_size_t(len(why)))
            for key, value in properties.items():
                self.c.rd_kafka_NewTopic_set_config(ctypes.c_void_p(topic), key.replace("_", ".").encode(),
                                                    str(value).encode())
            return topic

        def check(event):
            result = ctypes.c_void_p(self.c.rd_kafka_event_CreateTopics_result(event))
            count = ctypes.c_size_t()
            topics = self.c.rd_kafka_CreateTopics_result_topics(result, ctypes.byref(count))
            error = self.c.rd_kafka_topic_result_error_string(ctypes.c_void_p(topics[0]))
            if error:
                raise AssertionError(f"topic {name}: {error.decode()}")

        self._administer(self.c.rd_kafka_CreateTopics, make, check)

    def allow(self, user, topic):
        """The user may write to the topic."""
        for operation in (self.WRITE, self.DESCRIBE):
            self._administer(self.c.rd_kafka_CreateAcls, lambda why, operation=operation: self.c.rd_kafka_AclBinding_new(
                self.TOPIC, topic.encode(), self.LITERAL, f"User:{user}".encode(), b"*", operation, self.ALLOW, why,
                ctypes.c_size_t(len(why))), lambda event: None)

    def _bounds(self, handle, topic, partition):
        low, high = ctypes.c_int64(), ctypes.c_int64()
        # A new topic has no leader at first.
        meter.wait_for(f"{topic} [{partition}] can be read", lambda: self.c.rd_kafka_query_watermark_offsets(
            handle, topic.encode(), partition, ctypes.byref(low), ctypes.byref(high), 10_000) == 0)
        return low.value, high.value

    def size(self, topic, partitions=4):
        """How many messages the topic has now."""
        handle = self._handle(self.PRODUCER)
        try:
            bounds = [self._bounds(handle, topic, partition) for partition in range(partitions)]
        finally:
            self.c.rd_kafka_destroy(handle)
        return sum(high - low for low, high in bounds)

    def messages(self, topic, partitions=4):
        """All messages that the topic has now."""
        handle = self._handle(self.CONSUMER, group_id="test", enable_auto_commit="false")
        of_topic = ctypes.c_void_p(self.c.rd_kafka_topic_new(handle, topic.encode(), None))
        found = []
        try:
            for partition in range(partitions):
                low, high = self._bounds(handle, topic, partition)
                if low < high:
                    found += self._partition(of_topic, partition, high)
        finally:
            self.c.rd_kafka_topic_destroy(of_topic)
            self.c.rd_kafka_destroy(handle)
        return found

    def _partition(self, topic, partition, end):
        beginning = ctypes.c_int64(-2)
        if self.c.rd_kafka_consume_start(topic, partition, beginning) != 0:
            raise AssertionError(f"partition {partition} cannot be read")
        batch = (ctypes.POINTER(RawMessage) * 1000)()
        found, at = [], 0

        def read():
            nonlocal at
            count = self.c.rd_kafka_consume_batch(topic, partition, 1000, batch,
                                                  ctypes.c_size_t(min(len(batch), end - at)))
            for raw in batch[:max(count, 0)]:
                if raw.contents.error == 0:
                    found.append(self._message(raw))
                    at = raw.contents.offset + 1
                self.c.rd_kafka_message_destroy(raw)
            return at >= end

        meter.wait_for(f"partition {partition} is read", read)
        self.c.rd_kafka_consume_stop(topic, partition)
        return found

    def _message(self, pointer):
        raw = pointer.contents
        headers, all_headers = {}, ctypes.c_void_p()
        if self.c.rd_kafka_message_headers(pointer, ctypes.byref(all_headers)) == 0:
            name, value, size = ctypes.c_char_p(), ctypes.c_void_p(), ctypes.c_size_t()
            while self.c.rd_kafka_header_get_all(all_headers, ctypes.c_size_t(len(headers)), ctypes.byref(name),
                                                 ctypes.byref(value), ctypes.byref(size)) == 0:
                headers[name.value.decode()] = ctypes.string_at(value, size.value).decode()
        return Message(raw.partition, raw.offset, ctypes.string_at(raw.key, raw.key_size).decode(),
                       ctypes.string_at(raw.payload, raw.size).decode(), headers)


def murmur2(key):
    """As Java's org.apache.kafka.common.utils.Utils.murmur2, of which a producer takes the partition."""
    mask, m = 0xffffffff, 0x5bd1e995
    h = (0x9747b28c ^ len(key)) & mask
    for at in range(0, len(key) - 3, 4):
        k = int.from_bytes(key[at:at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    rest = key[len(key) & ~3:]
    if rest:
        h = ((h ^ int.from_bytes(rest, "little")) * m) & mask
    h = ((h ^ h >> 13) * m) & mask
    return h ^ h >> 15


def partition_of(key, partitions):
    return (murmur2(key.encode()) & 0x7fffffff) % partitions
