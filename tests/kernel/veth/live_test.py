# SPDX-License-Identifier: BSD-3-Clause
"""Live metering: real traffic over a veth pair, compared with a tcpdump of the same interface that is replayed. Needs root;
makes and removes its own network namespaces."""
import datetime
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import cases  # noqa: E402
import meter  # noqa: E402
import namespaces  # noqa: E402
from meter import FLOW  # noqa: E402
from namespaces import A4, A6, B4, B6  # noqa: E402

NOBODY = "65534"
# Two hooks see a packet at slightly different times, and packets of the two directions in another order now and then.
# What depends on neither is equal to the last digit.
UNTIMED = (
    "tot_fwd_pkts", "tot_bwd_pkts", "totlen_fwd_pkts", "totlen_bwd_pkts", "fwd_pkt_len_max", "fwd_pkt_len_min",
    "fwd_pkt_len_mean", "fwd_pkt_len_std", "bwd_pkt_len_max", "bwd_pkt_len_min", "bwd_pkt_len_mean", "bwd_pkt_len_std",
    "pkt_len_max", "pkt_len_min", "pkt_len_mean", "pkt_len_std", "pkt_len_var", "fwd_header_len", "bwd_header_len",
    "fwd_seg_size_min", "fwd_act_data_pkts", "fwd_psh_flags", "bwd_psh_flags", "fwd_urg_flags", "bwd_urg_flags",
    "fin_flag_cnt", "syn_flag_cnt", "rst_flag_cnt", "psh_flag_cnt", "ack_flag_cnt", "urg_flag_cnt", "ece_flag_cnt",
    "cwr_flag_count", "down_up_ratio", "pkt_size_avg", "init_fwd_win_byts", "init_bwd_win_byts", "fwd_seg_size_avg",
    "bwd_seg_size_avg")
TIMES = ("flow_duration", "flow_iat_max", "fwd_iat_tot", "bwd_iat_tot", "active_max", "idle_max")
SIDES = ("", "fwd_", "bwd_")
UNTIMED_114 = (
    "packets_count", "fwd_packets_count", "bwd_packets_count", "down_up_rate", "fwd_init_win_bytes", "bwd_init_win_bytes",
    *(f"{side}avg_segment_size" for side in SIDES), *(f"{side}total_payload_bytes" for side in SIDES),
    *(f"{side}payload_bytes_{what}" for side in SIDES for what in ("max", "min", "mean", "std", "variance")),
    *(f"{side}{what}_header_bytes" for side in SIDES for what in ("total", "max", "min", "mean", "std")),
    *(f"{side}{flag}_flag_counts" for side in SIDES for flag in ("fin", "psh", "urg", "ece", "syn", "ack", "cwr", "rst")))
TIMES_114 = ("duration", "packet_IAT_max", "fwd_packets_IAT_total", "bwd_packets_IAT_total", "active_max", "idle_max")
CLOCK_SLACK_S = 0.25  # a loaded machine may stop between the two hooks


class UdpSocket(socket.socket):
    """Sends to its target without being connected: an answer "port unreachable" is no error of the next send()."""

    target = None

    def send(self, octets):
        return self.sendto(octets, self.target)


class Live(cases.Case):
    def setUp(self):
        super().setUp()
        missing = namespaces.missing_here()
        if missing:
            self.skipTest(missing)

    def pair(self):
        pair = namespaces.Pair(self)
        pair.wait_quiet()
        return pair

    def start(self, namespace, *arguments, name="live", interface="veth0", prefix=(), **options):
        return meter.Meter(self, name, "-i", interface, *arguments, prefix=(*namespace.enter, *prefix), **options)

    def udp(self, namespace, address, port=0, target=None):
        with namespace.inside():
            s = UdpSocket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.settimeout(10)
        s.bind((address, port))
        s.target = target
        return s

    def one_error(self, done, *words):
        self.assertEqual(done.code, 1, done.err)
        self.assertEqual(len(done.errors), 1, done.err)
        for word in words:
            self.assertIn(word, done.errors[0])

    def of_ports(self, rows, port):
        return [row for row in rows if str(port) in (row["src_port"], row["dst_port"])]


class AgainstTcpdump(Live):
    """Each flow of real traffic equals that of a tcpdump, replayed."""

    arguments = ()

    def make_pair(self):
        return self.pair()

    def captured(self, pair, side):
        """The end that tcpdump is on."""
        return getattr(pair, side)

    def compare(self, traffic, expected_flows, side="a", live_options=(), options=(), untimed=UNTIMED, times=TIMES):
        """traffic(pair) runs while the end of this side is metered and captured; returns the rows by flow."""
        pair = self.make_pair()
        namespace = getattr(pair, side)
        live = self.start(namespace, *self.arguments, *live_options, *options).wait_attached()
        dump = namespaces.Tcpdump(self, self.captured(pair, side), "veth0")
        pair.wait_quiet()
        before = namespace.link_counters("veth0")
        traffic(pair)
        pair.wait_quiet()
        after = namespace.link_counters("veth0")
        pcap = dump.stop()
        done = live.stop_clean()
        replayed = meter.run("-f", pcap, "-c", self.path("replay.csv"), *options)
        self.assertEqual((replayed.code, replayed.warnings), (0, []), replayed.err)
        with open(self.path("replay.csv"), encoding="utf-8") as file:
            expected = self.by_flow(meter.rows_of(file.read()))
        found = self.by_flow(live.rows())
        # Multicast reports of IPv6 may have come before tcpdump was ready.
        ours = {key for key in expected if not key[1].startswith("ff")}
        self.assertEqual({key for key in found if not key[1].startswith("ff")}, ours)
        self.assertGreaterEqual(len(ours), expected_flows, "the traffic did not make its flows")
        for key in sorted(ours):
            for column in untimed:
                self.assertEqual(found[key][column], expected[key][column], f"{column} of {key}")
            for column in times:
                self.assertAlmostEqual(float(found[key][column]), float(expected[key][column]), delta=CLOCK_SLACK_S,
                                       msg=f"{column} of {key}")
            start = [datetime.datetime.fromisoformat(row[key]["timestamp"]) for row in (found, expected)]
            self.assertLess(abs(start[0] - start[1]).total_seconds(), CLOCK_SLACK_S, f"timestamp of {key}")
        self.agrees_with_link_counters(done, expected, after[0] - before[0], after[1] - before[1])
        return found

    def agrees_with_link_counters(self, done, rows, packets, octets):
        """The kernel's own counters of the interface (ip -s link), where nothing but our flows was on the wire."""
        if any(key[1].startswith("ff") for key in rows) or done.account["not_ip"]:
            print("not compared with the interface's counters: there were other packets")
            return
        self.assertEqual(done.account["seen"], packets)
        if not all("totlen_fwd_pkts" in row for row in rows.values()):
            return
        self.assertEqual(sum(int(row["totlen_fwd_pkts"]) + int(row["totlen_bwd_pkts"]) for row in rows.values()), octets)

    def by_flow(self, rows):
        """Rows by 5-tuple and occurrence: the ICMP flows of two addresses differ in none of the five."""
        flows = {}
        for row in sorted(rows, key=lambda row: row["timestamp"]):
            key = tuple(row[name] for name in FLOW)
            occurrence = 0
            while (*key, occurrence) in flows:
                occurrence += 1
            flows[*key, occurrence] = row
        return flows

    def iperf(self, *arguments):
        def traffic(pair):
            for address in (B4, B6):
                pair.b.start("iperf3", "-s", "-1", "-p", "5201", "-B", address)
                pair.b.listening(5201)
                pair.a.run("iperf3", "-c", address, "-p", "5201", *arguments)
                meter.wait_for("the port is free", lambda: ":5201 " not in pair.b.run("ss", "-Htln"))

        return traffic


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
                self.assertEqual((row["syn_flag_cnt"], row["fin_flag_cnt"]), ("2", "2"))

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

        # The answers (port unreachable) are rate limited and one flow: their number is not the point.
        self.compare(traffic, 2000)


class TrafficOfTheKernelDatapath(Traffic):
    arguments = ("--datapath", "kernel")


class Offload(Live):
    """Buffers of many segments count as what is on the wire: the sender's own segment counters are the reference."""

    def tcp_counters(self, namespace):
        names, values = (line.split() for line in namespace.run("cat", "/proc/net/snmp").splitlines()
                         if line.startswith("Tcp:"))
        return {name: int(value) for name, value in zip(names[1:], values[1:])}

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


if __name__ == "__main__":
    cases.main()
