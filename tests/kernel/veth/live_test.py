# SPDX-License-Identifier: BSD-3-Clause
"""Live metering of real traffic over a veth pair: each flow equals that of a replayed tcpdump. Needs root."""
import sys
import time

import meter
import namespaces
from live_cases import AgainstTcpdump, Live, TIMES_114, UNTIMED, UNTIMED_114
from meter import FLOW
from namespaces import A4, A6, B4, B6


class Traffic(AgainstTcpdump):
    """tcpdump is on the same interface."""

    def test_tcp_sent(self):
        self.compare(self.iperf("-n", "12M", "-b", "300M", "-P", "2"), 6)

    def test_tcp_received(self):
        self.compare(self.iperf("-n", "12M", "-b", "300M", "-P", "2", "-R"), 6)

    def test_tcp_both_ways_on_the_servers_end(self):
        self.compare(self.iperf("-t", "1", "-b", "80M", "--bidir"), 6, side="b")

    def test_udp_sent(self):
        self.compare(self.iperf("-u", "-l", "900", "-n", "2M", "-b", "40M"), 4)

    def test_udp_received(self):
        self.compare(self.iperf("-u", "-l", "900", "-n", "2M", "-b", "40M", "-R"), 4)

    def test_netflowmeter114(self):
        def traffic(pair):
            self.iperf("-n", "3M", "-b", "100M", "-P", "2")(pair)
            self.ping("-s", "5000")(pair)

        found = self.compare(traffic, 8, "a", (), ("--features", "netflowmeter114"), UNTIMED_114, TIMES_114)
        tcp = [row for row in found.values() if row["protocol"] == "TCP"]
        self.assertTrue(any(int(row["fwd_payload_bytes_max"]) > 1000 for row in tcp))
        self.assertTrue(all(int(row["max_header_bytes"]) > int(row["min_header_bytes"]) for row in tcp))

    def test_http_by_curl(self):
        def traffic(pair):
            with open(self.path("page"), "wb") as page:
                page.write(bytes(700_000))
            for address, host in ((B4, B4), (B6, f"[{B6}]")):
                server = pair.b.start(sys.executable, "-m", "http.server", "8080", "--bind", address,
                                      "--directory", self.directory)
                pair.b.listening(8080)
                for _ in range(3):
                    pair.a.run("curl", "-sSf", "--noproxy", "*", "--max-time", "20", "-o", "/dev/null",
                               f"http://{host}:8080/page")
                server.kill()
                server.wait()

        found = self.compare(traffic, 6)
        for row in found.values():
            if row["protocol"] == "6":
                self.assertGreater(int(row["totlen_bwd_pkts"]), 700_000)
                # A loaded machine may retransmit one. compare() has checked that tcpdump saw it, too.
                self.assertGreaterEqual(int(row["syn_flag_cnt"]), 2)
                self.assertGreaterEqual(int(row["fin_flag_cnt"]), 2)

    def test_refused_connection(self):
        def traffic(pair):
            for address in (B4, B6):
                pair.a.run("curl", "-s", "--noproxy", "*", f"http://{'[' + address + ']' if ':' in address else address}:9/",
                           check=False)

        for row in self.compare(traffic, 2).values():
            if row["protocol"] == "6":
                self.assertEqual((row["tot_fwd_pkts"], row["tot_bwd_pkts"], row["rst_flag_cnt"]), ("1", "1", "1"))

    def test_udp_question_and_answer(self):
        def traffic(pair):
            for ours, theirs in ((A4, B4), (A6, B6)):
                server = self.udp(pair.b, theirs, 53)
                client = self.udp(pair.a, ours, 40000, (theirs, 53))
                for size in (0, 1, 17, 18, 19, 1400):
                    client.send(bytes(size))
                    who = server.recvfrom(2000)[1]
                    server.sendto(bytes(2 * size % 1400), who)
                    client.recv(2000)

        for row in self.compare(traffic, 2).values():
            self.assertEqual((row["tot_fwd_pkts"], row["tot_bwd_pkts"]), ("6", "6"))

    def ping(self, *arguments):
        def traffic(pair):
            for address in (B4, B6):
                pair.a.run("ping", "-q", "-c", "4", "-i", "0.1", *arguments, address)

        return traffic

    def test_ping(self):
        found = self.compare(self.ping(), 2)
        self.assertEqual({(row["protocol"], row["tot_fwd_pkts"], row["tot_bwd_pkts"]) for row in found.values()},
                         {("1", "4", "4"), ("58", "4", "4")})

    def test_fragmented_ping(self):
        found = self.compare(self.ping("-s", "5000"), 2)
        self.assertEqual({(row["protocol"], row["tot_fwd_pkts"], row["tot_bwd_pkts"]) for row in found.values()},
                         {("1", "16", "16"), ("58", "16", "16")})

    def test_fragmented_ping_on_the_other_end(self):
        self.compare(self.ping("-s", "5000"), 2, side="b")

    def test_fragmented_udp(self):
        def traffic(pair):
            for ours, theirs in ((A4, B4), (A6, B6)):
                server = self.udp(pair.b, theirs, 7)
                client = self.udp(pair.a, ours, 40000, (theirs, 7))
                for size in (1472, 1473, 4000, 9000):
                    client.send(bytes(size))
                    server.sendto(*server.recvfrom(10000))
                    client.recv(10000)

        self.compare(traffic, 2)

    def test_many_flows_at_once(self):
        def traffic(pair):
            server = self.udp(pair.b, B4, 9999)
            server.setblocking(False)
            client = self.udp(pair.a, A4)
            for _ in range(3):
                for port in range(20000, 22000):
                    client.sendto(bytes(port % 50), (B4, port))
                time.sleep(0.1)

        # The answers (port unreachable) are rate limited and belong to one flow, so their number may vary.
        self.compare(traffic, 2000)


class TrafficOfTheKernelDatapath(Traffic):
    arguments = ("--datapath", "kernel")


class Offload(Live):
    """Buffers of many segments count as what is on the wire: the sender's own segment counters are the reference."""

    def segments_equal(self, *limits):
        pair = namespaces.Pair(self, offload=True)
        for side in (pair.a, pair.b):
            if limits:
                side.ip("link", "set", "dev", "veth0", *limits)
        pair.wait_quiet()
        meters = {}
        for name, side in (("a", pair.a), ("b", pair.b)):
            meters[name] = self.start(side, name=name).wait_attached()
        for address in (B4, B6):
            pair.b.start("iperf3", "-s", "-1", "-p", "5201", "-B", address)
            pair.b.listening(5201)
            pair.a.run("iperf3", "-c", address, "-p", "5201", "-n", "300M")
            meter.wait_for("the port is free", lambda: ":5201 " not in pair.b.run("ss", "-Htln"))
        pair.wait_quiet()
        sent = self.tcp_counters(pair.a)
        rows = {}
        for name, live in meters.items():
            done = live.stop_clean()
            self.assertEqual(done.account["lost"], 0, done.err)
            rows[name] = {tuple(row[column] for column in FLOW): row for row in live.rows() if row["protocol"] == "6"}
        self.assertEqual(len(rows["a"]), 4)
        self.assertTrue(all(key[0] in (A4, A6) for key in rows["a"]), "A opened every connection")
        self.assertEqual(sum(int(row["tot_fwd_pkts"]) for row in rows["a"].values()), sent["OutSegs"] + sent["RetransSegs"])
        self.assertEqual(sum(int(row["tot_bwd_pkts"]) for row in rows["a"].values()), sent["InSegs"])
        self.assertGreater(sent["OutSegs"], 400_000, "300 MB in each IP version")
        self.assertLessEqual(max(int(row["pkt_len_max"]) for row in rows["a"].values()), 1514)
        self.assertEqual(rows["a"].keys(), rows["b"].keys())
        for key, row in rows["a"].items():
            for column in UNTIMED:
                self.assertEqual(row[column], rows["b"][key][column], f"{column} of {key} at both ends")

    def test_tcp(self):
        self.segments_equal()

    def test_big_tcp(self):
        self.segments_equal("gso_max_size", "150000", "gro_max_size", "150000")
