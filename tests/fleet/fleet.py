# SPDX-License-Identifier: BSD-3-Clause
"""A fleet under fire: meters on three hosts write to a Kafka topic, ClickHouse consumes it, and meters and broker are killed
at random. Then the database must have each row of each meter, once, and each packet that was metered."""
import contextlib
import csv
import os
import random
import secrets
import time

import meter
import namespaces
from database import Database
from network import SERVICES, Network, Traffic
from node import Node

import kafka

TOPIC = "flows"
MORE_THAN_ONCE = """
SELECT community_id, flow_key, meter_id, timestamp, flow_duration, protocol, tot_fwd_pkts, tot_bwd_pkts, end_reason, src_ip, direction FROM flows FINAL
WHERE community_id IN (SELECT community_id FROM flows_once GROUP BY community_id HAVING uniqExact(flow_key) > 1)
ORDER BY community_id, meter_id, timestamp"""


class Sampler:
    """What goes on, second by second: (seconds, rows made, rows in the database, rows in spools), and what happened when."""

    def __init__(self, fleet):
        self.fleet, self.begin = fleet, time.monotonic()
        self.samples, self.events = [], []

    def now(self):
        return time.monotonic() - self.begin

    def take(self):
        nodes = self.fleet.nodes
        self.samples.append((round(self.now(), 1), sum(node.rows_made() for node in nodes),
                             self.fleet.database.rows_received(), sum(node.rows_spooled() for node in nodes)))

    def note(self, what):
        self.events.append((round(self.now(), 1), what))
        print(f"{self.now():7.1f} s  {what}", flush=True)


class Fleet:
    """seed: of the moments and kinds of events."""

    def __init__(self, case, hosts=3, connections_per_s=20.0, seed=None, longest_outage_s=10.0):
        self.case, self.longest_outage_s = case, longest_outage_s
        self.seed = seed if seed is not None else secrets.randbelow(1 << 32)
        self.random = random.Random(self.seed)
        print(f"seed {self.seed}", flush=True)
        network = Network(case, hosts)
        self.hosts = network.hosts
        self.database = Database(case, network.services)
        os.mkdir(case.path("kafka"))
        self.broker = kafka.Cluster(case.path("kafka"), prefix=network.services.enter, address=SERVICES)
        case.addCleanup(self.broker.stop)
        with network.services.inside():
            kafka.Client(self.broker.servers()).create_topic(TOPIC, partitions=4)
        self.database.create(self.broker.servers(), TOPIC)
        pins = namespaces.bpf_file_system(case)
        self.nodes = [Node(case, host, pins, "--kafka", f"{self.broker.servers()}/{TOPIC}") for host in self.hosts]
        for node in self.nodes:
            node.start()
        self.traffic = Traffic(self.hosts, connections_per_s)
        self.sampler = Sampler(self)

    # ---- what happens ----

    def kill_meter(self):
        node = self.random.choice(self.nodes)
        self.sampler.note(f"{node.name}: kill -9")
        node.kill()
        self.wait(self.random.uniform(0.1, 3))
        node.start()

    def restart_meter(self):
        node = self.random.choice(self.nodes)
        self.sampler.note(f"{node.name}: restart")
        node.stop()
        node.start()

    def kill_broker(self):
        self.sampler.note("broker: kill -9")
        self.broker.kill(1)
        self.wait(self.random.uniform(1, self.longest_outage_s))
        self.broker.restart(1)
        self.sampler.note("broker: back")

    def wait(self, seconds):
        """Samples meanwhile."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begin = time.monotonic()
            self.sampler.take()
            time.sleep(max(0.0, min(begin + 1, end) - time.monotonic()))

    def run(self, seconds):
        """Each kind of event happens at least once."""
        end = time.monotonic() + seconds
        due = [self.kill_meter, self.kill_broker, self.restart_meter]
        self.random.shuffle(due)
        while due or time.monotonic() < end:
            self.wait(self.random.uniform(1, 6))
            what = due.pop() if due else self.random.choices(
                (self.kill_meter, self.restart_meter, self.kill_broker), (4, 1, 2))[0]
            what()

    @contextlib.contextmanager
    def logs_on_failure(self):
        try:
            yield
        except BaseException:
            for run in (run for node in self.nodes for run in node.runs):
                print(f"---- {run.name}\n{run.err()[-3000:]}")
            raise

    # ---- what has come of it ----

    def end(self):
        """Ends all; returns (metered packets, rows by the meters' own files, connections by kind)."""
        self.wait(3)
        connections = self.traffic.end()
        self.wait(3)
        accounts = [node.end() for node in self.nodes]
        for node, account in zip(self.nodes, accounts):
            self.case.assertEqual((account["lost"], account["in_rows"]), (0, account["metered"]), node.name)
        rows = {}
        for node in self.nodes:
            with open(node.rows, newline="", encoding="utf-8") as file:
                of_node = {row["flow_id"]: int(row["tot_fwd_pkts"]) + int(row["tot_bwd_pkts"]) for row in csv.DictReader(file)}
            rows.update(of_node)
        return sum(account["metered"] for account in accounts), rows, connections

    def check(self):
        """The fleet's conservation law. Returns what was counted."""
        metered, rows, connections = self.end()
        case, database = self.case, self.database
        case.assertEqual(sum(rows.values()), metered, "the packets of the meters' own rows")
        meter.wait_for("all rows in the database", lambda: database.rows_received() >= len(rows), seconds=120)
        self.wait(2)
        received = set(database.column("SELECT flow_id FROM flows FINAL"))
        case.assertEqual((len(set(rows) - received), len(received - set(rows))), (0, 0),
                         "rows missing in the database, and rows that no meter has")
        case.assertEqual(database.number("SELECT count() FROM flows FINAL"), len(rows), "rows after FINAL")
        case.assertEqual(database.number("SELECT sum(tot_fwd_pkts + tot_bwd_pkts) FROM flows FINAL"), metered,
                         "packets in the database")
        once = database.number("SELECT uniqExact(flow_key) FROM flows_once")
        if once != sum(connections.values()):
            for row in database.server.rows(MORE_THAN_ONCE):
                print(*row)
        case.assertEqual(once, sum(connections.values()), f"flows that passed two nodes, seen once: {connections}")
        delivered = database.number("SELECT sum(rows) FROM delivered")
        return {"metered packets": metered, "rows": len(rows), "delivered twice": delivered - len(rows),
                "connections": sum(connections.values()), "events": len(self.sampler.events)}
