# SPDX-License-Identifier: BSD-3-Clause
"""Shared by the live tests: a veth pair with one metered end, and real traffic over it, which is compared with a
replayed tcpdump of the same interface."""
import datetime
import socket

import cases
import meter
import namespaces
from meter import FLOW
from namespaces import B4, B6

NOBODY = "65534"
# Two hooks see a packet at slightly different times, and sometimes see the packets of two directions in another order.
# These columns depend on neither, so they must be equal.
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
    """Sends to its target without being connected: an answer "port unreachable" does not make the next send() fail."""

    target = None

    def send(self, data):
        return self.sendto(data, self.target)


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

    def tcp_counters(self, namespace):
        names, values = (line.split() for line in namespace.run("cat", "/proc/net/snmp").splitlines()
                         if line.startswith("Tcp:"))
        return {name: int(value) for name, value in zip(names[1:], values[1:])}

    def of_ports(self, rows, port):
        return [row for row in rows if str(port) in (row["src_port"], row["dst_port"])]


class AgainstTcpdump(Live):
    """Each flow of real traffic equals that of a replayed tcpdump."""

    arguments = ()

    def make_pair(self):
        return self.pair()

    def captured(self, pair, side):
        """The end that tcpdump is on."""
        return getattr(pair, side)

    def compare(self, traffic, expected_flows, side="a", live_options=(), options=(), untimed=UNTIMED, times=TIMES):
        """Meters and captures the end of this side while traffic(pair) runs. Returns the rows by flow."""
        pair = self.make_pair()
        namespace, options = getattr(pair, side), (*options, "--fleet", "--meter-id", "both")
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
            for column in (*untimed, "meter_id", "community_id"):
                self.assertEqual(found[key][column], expected[key][column], f"{column} of {key}")
            for column in times:
                self.assertAlmostEqual(float(found[key][column]), float(expected[key][column]), delta=CLOCK_SLACK_S,
                                       msg=f"{column} of {key}")
            start = [datetime.datetime.fromisoformat(row[key]["timestamp"]) for row in (found, expected)]
            self.assertLess(abs(start[0] - start[1]).total_seconds(), CLOCK_SLACK_S, f"timestamp of {key}")
        self.agrees_with_link_counters(done, expected, after[0] - before[0], after[1] - before[1])
        return found

    def agrees_with_link_counters(self, done, rows, packets, byte_count):
        """Compares with the kernel's own counters (ip -s link), if nothing but our flows was on the wire."""
        if any(key[1].startswith("ff") for key in rows) or done.account["not_ip"]:
            print("not compared with the interface's counters: there were other packets")
            return
        self.assertEqual(done.account["seen"], packets)
        if not all("totlen_fwd_pkts" in row for row in rows.values()):
            return
        self.assertEqual(sum(int(row["totlen_fwd_pkts"]) + int(row["totlen_bwd_pkts"]) for row in rows.values()), byte_count)

    def by_flow(self, rows):
        """Rows by 5-tuple and occurrence, because ICMP flows of two addresses have the same 5-tuple."""
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
