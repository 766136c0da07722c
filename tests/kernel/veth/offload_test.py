# SPDX-License-Identifier: BSD-3-Clause
"""Live metering of buffers of many segments against a capture of the wire. Needs root."""
import socket
import statistics

import live_cases
import namespaces
from limit_cases import HEADERS, Limits, UDP_SEGMENT, hooks
from namespaces import A4, A6, B4, B6


class OffloadAgainstTheWire(live_cases.AgainstTcpdump):
    """a sends and receives buffers of many segments; tcpdump at b sees the frames on the wire."""

    def make_pair(self):
        pair = namespaces.Pair(self)
        # Without TSO the kernel cuts the buffers after the hooks and before tcpdump.
        for side in (pair.a, pair.b):
            side.run("ethtool", "-K", "veth0", "gso", "on")
            side.ip("link", "set", "dev", "veth0", "gso_max_segs", "65535")
        pair.a.run("ethtool", "-K", "veth0", "gro", "on")
        pair.wait_quiet()
        return pair

    def captured(self, pair, side):
        return pair.b

    def agrees_with_link_counters(self, done, rows, packets, byte_count):
        # A veth with GRO counts the bytes that it receives without their Ethernet headers.
        received = hooks(done.err)["veth0", "ingress"]["seen"]
        super().agrees_with_link_counters(done, rows, packets, byte_count + 14 * received)

    def transfer(self, datapath, *arguments):
        self.arguments = ("--datapath", datapath)
        # The window fits into every queue between the ends. A packet lost on the wire would be seen by one end only.
        self.compare(self.iperf("-n", "20M", "-b", "300M", "-w", "128K", *arguments), 4)
        with open(self.path("live.log"), encoding="utf-8") as log:
            text = log.read()
        counters = hooks(text)["veth0", "ingress" if "-R" in arguments else "egress"]
        self.assertLess(counters["buffers"], 0.8 * counters["seen"], "hardly anything was merged: this proves nothing")

    def test_sent_events(self):
        self.transfer("events")

    def test_sent_kernel(self):
        self.transfer("kernel")

    def test_received_events(self):
        self.transfer("events", "-R")

    def test_received_kernel(self):
        self.transfer("kernel", "-R")


class UdpSegmentation(Limits):
    """Datagrams that the kernel cuts out of one buffer (UDP_SEGMENT) count as the datagrams that arrive."""

    def received(self, datapath):
        pair = namespaces.Pair(self, offload=True)
        pair.wait_quiet()
        live = self.start(pair.a, "--datapath", datapath).wait_attached()
        sizes = {}
        for ours, theirs, segment in ((A4, B4, 1000), (A6, B6, 700)):
            server = self.udp(pair.b, theirs, 7000)
            client = self.udp(pair.a, ours, 40000, (theirs, 7000))
            client.setsockopt(socket.SOL_UDP, UDP_SEGMENT, segment)
            sizes[ours] = []
            for remaining in (30 * segment, 30 * segment + 1, segment, 2 * segment - 1, 1):
                client.send(bytes(remaining))
                while remaining > 0:  # the last one is shorter
                    sizes[ours].append(len(server.recv(2000)))
                    remaining -= sizes[ours][-1]
        self.assertEqual([len(each) for each in sizes.values()], [65, 65])
        pair.wait_quiet()
        done, rows = self.finish(live)
        for ours, got in sizes.items():
            row, = (row for row in rows if row["src_ip"] == ours)
            headers = HEADERS + (20 if ":" in ours else 0)
            lengths = [headers + size for size in got]
            self.assertEqual((row["tot_fwd_pkts"], row["totlen_fwd_pkts"]), (str(len(got)), str(sum(lengths))))
            self.assertEqual((row["fwd_pkt_len_min"], row["fwd_pkt_len_max"]), (str(min(lengths)), str(max(lengths))))
            self.assertAlmostEqual(float(row["fwd_pkt_len_std"]), statistics.pstdev(lengths), places=6)
        egress = hooks(done.err)["veth0", "egress"]
        self.assertEqual(egress["seen"], egress["buffers"] + 2 * (29 + 30 + 1), "each buffer held one datagram")

    def test_events(self):
        self.received("events")

    def test_kernel(self):
        self.received("kernel")
