# SPDX-License-Identifier: BSD-3-Clause
"""--attribute: whose packets they are, compared with what each container was told to send. Needs root."""
import re

from attribution_cases import PATHS, Attribution, Container
from live_view_test import OnTerminal
from meter import packets_in


class EveryEngine(Attribution):
    """Containers as all engines name them. Each sends to two others, by UDP, TCP and ICMP."""

    def setUp(self):
        super().setUp()
        self.containers = [Container(self.node, i + 1, kind) for i, kind in enumerate(PATHS)]
        self.of = {each.address: each for each in self.containers}

    def talk(self):
        """Returns {(source, destination): datagrams there and back}."""
        ends = [(each.peer(f"peer {each.number}"), each) for each in self.containers]
        self.peers = {container.address: peer for peer, container in ends}
        sent = {}
        for i, client in enumerate(ends):
            for step in (1, 3):
                server = ends[(i + step) % len(ends)]
                there, back = 3 + i, 2 + step
                self.udp(client, server, there, back)
                sent[client[1].address, server[1].address] = there + back
                self.tcp(client, server)
        for i, (_, container) in enumerate(ends):
            container.run("ping", "-q", "-c", "2", "-i", "0.02", ends[i - 1][1].address)
        return sent

    def assert_end_of(self, row, container):
        self.assert_end(row, container)

    def test_every_packet_has_its_owners(self):
        live = self.meter()
        sent = self.talk()
        rows = self.finished(live)
        known = 0
        for row in rows:
            for address in (row["src_ip"], row["dst_ip"]):
                if self.end(row, address)["attribution"] != "none":
                    self.assert_end_of(row, self.of[address])
                    known += packets_in([row])
        self.assertGreaterEqual(known, 0.99 * 2 * packets_in(rows), "packets of which an owner is known")
        found = {(row["src_ip"], row["dst_ip"]): packets_in([row]) for row in rows if row["protocol"] == "17"}
        self.assertEqual(found, sent, "datagrams")
        of_tcp = [row for row in rows if row["protocol"] == "6"]
        self.assertEqual(len(of_tcp), len(sent))
        for row in of_tcp:
            self.assert_end(row, self.of[row["src_ip"]], "socket")
            self.assert_end(row, self.of[row["dst_ip"]], "listener")
        of_ping = [row for row in rows if row["protocol"] == "1"]
        self.assertEqual(len(of_ping), len(self.containers))
        for row in of_ping:  # the kernel answers
            self.assert_end(row, self.of[row["src_ip"]], "socket")
            self.assert_end(row, self.of[row["dst_ip"]], "interface")


class EveryEngineInTheKernelsDatapath(EveryEngine):
    options = ("--datapath", "kernel")


class EveryProcess(EveryEngine):
    mode = "process"

    def assert_end_of(self, row, container):
        super().assert_end_of(row, container)
        found = self.end(row, container.address)
        if row["protocol"] == "1":  # the process was ping, or the kernel
            self.assertIn(found["comm"], ("ping", ""), found)
            return
        peer = self.peers[container.address]
        self.assertEqual((found["pid"], found["comm"]), (str(peer.pid), f"peer%20{container.number}"), found)


class EveryProcessInTheKernelsDatapath(EveryProcess):
    options = ("--datapath", "kernel")


class OnScreens(Attribution):
    """Names stand for addresses where people read. Nobody has named these containers, so these are the starts of their ids."""

    def test_table_and_top(self):
        one, two = Container(self.node, 1), Container(self.node, 2, "kubelet")
        ends = (one.peer(), one), (two.peer(), two)
        options = ("-i", "veth*", "--netns", self.node.namespace.name, "--attribute", "container", "--max-flows", "4096")
        with open(self.path("table"), "wb") as table:
            live = self.meter("--table", stdout=table)
            top = OnTerminal(self, (), *options, "--top", "--datapath", "kernel").wait_drawn()
            self.udp(*ends, 3, 3)
            flow = rf"{one.id[:12]}:\d+ +{two.id[:12]}:7000 "
            top.wait_for("the flow", lambda screen: re.search("udp +" + flow, screen.text()))
            top.keys("c")
            top.wait_for("a line for each", lambda screen: all(
                re.search(f"^{each.id[:12]} ", screen.text(), re.M) for each in (one, two)))
            top.keys("q")
            self.assertEqual(top.wait(), 0, top.screen.main)
            self.finished(live)
        with open(self.path("table"), encoding="ascii") as text:
            self.assertRegex(text.read(), "UDP +" + flow)
