# SPDX-License-Identifier: BSD-3-Clause
"""The compatibility modes in live runs: the rows of traffic over a veth pair equal those of the same mode on a tcpdump
of the same interface; buffers of many segments. Needs root; makes and removes its own network namespaces."""
import csv
import io
import os
import re
import signal
import socket
import threading
import time

import capture
import cases
import meter
import namespaces
from namespaces import A4, A6, B4, B6

# Two hooks see a packet at slightly different times. Of the columns that depend on time (in both modes), only some
# times are compared, with slack. Bulks and subflows depend on gaps of a second, which the traffic does not come near
# to.
CLOCK = re.compile("timestamp|duration|iat|active|idle|/s$|_s$|bulk rate|blk_rate", re.IGNORECASE)
SECONDS = {"python": ("flow_duration", "flow_iat_max", "fwd_iat_tot", "bwd_iat_tot"), "java": ()}
MICROSECONDS = {"java": ("Flow Duration", "Flow IAT Max", "Fwd IAT Total", "Bwd IAT Total"), "python": ()}
SLACK_S = 0.25
PAUSE_S = 0.02  # packets of the two directions never cross, so both hooks see the same order


class CompatLive(cases.Case):
    def setUp(self):
        super().setUp()
        missing = namespaces.missing_here()
        if missing:
            self.skipTest(missing)
        os.environ["TZ"] = "UTC"

    def start(self, namespace, name, *arguments):
        return meter.Meter(self, name, "-i", "veth0", *arguments, prefix=namespace.enter).wait_attached()

    def stop(self, live):
        """The run must succeed without losing a packet. Returns its account of the mode and of the hooks."""
        done = live.stop()
        self.assertEqual((done.code, done.errors, done.warnings), (0, [], []), done.err)
        done.account = meter.account_of([line for line in done.err.splitlines() if " lost=" in line][-1])
        meter.assert_balanced(self, done.account)
        self.assertEqual(done.account["lost"], 0, done.err)
        mode = re.findall(r"seen=\d+ taken=.*", done.err)[-1]
        done.mode = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", mode)}
        self.assertLessEqual(done.mode["seen"], done.account["metered"], done.err)
        return done

    def rows(self, path):
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(io.StringIO(file.read())))

    def server(self, pair, kind, address, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with pair.b.inside():
            s = socket.socket(family, kind)
        self.addCleanup(s.close)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address, port))
        s.settimeout(10)
        if kind == socket.SOCK_STREAM:
            s.listen()
        return s

    def client(self, pair, kind, address, port):
        with pair.a.inside():
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        self.addCleanup(s.close)
        s.bind((address, port))
        s.settimeout(10)
        return s

    def ask_udp(self, pair, ours=A4, theirs=B4, port=40000, sizes=(0, 1, 17, 18, 19, 700, 1400, 300)):
        server, client = self.server(pair, socket.SOCK_DGRAM, theirs, 53), self.client(pair, socket.SOCK_DGRAM, ours, port)
        for size in sizes:
            client.sendto(bytes(size), (theirs, 53))
            data, who = server.recvfrom(20000)
            time.sleep(PAUSE_S)
            server.sendto(bytes(len(data) // 2), who)
            client.recv(20000)
            time.sleep(PAUSE_S)
        server.close()

    def converse_tcp(self, pair, port, client_closes_first=True):
        server = self.server(pair, socket.SOCK_STREAM, B4, 8000)
        client = self.client(pair, socket.SOCK_STREAM, A4, port)
        client.connect((B4, 8000))
        there, _ = server.accept()
        time.sleep(PAUSE_S)
        for size in (1, 500, 1448, 30):
            client.sendall(bytes(size))
            time.sleep(3 * PAUSE_S)  # longer than a delayed acknowledgement waits
            there.sendall(bytes(2 * size % 1400))
            time.sleep(3 * PAUSE_S)
        for end in (client, there) if client_closes_first else (there, client):
            end.close()
            time.sleep(3 * PAUSE_S)
        server.close()

    def traffic(self, pair):
        self.ask_udp(pair)
        self.ask_udp(pair, A6, B6)
        self.converse_tcp(pair, 41000)
        self.converse_tcp(pair, 41001, client_closes_first=False)
        refused = self.client(pair, socket.SOCK_STREAM, A4, 41002)
        self.assertRaises(ConnectionRefusedError, refused.connect, (B4, 9))
        pair.a.run("ping", "-q", "-c", "4", "-i", "0.1", B4)
        pair.b.run("ping", "-q", "-c", "3", "-i", "0.1", "-s", "1000", A4)
        self.ask_udp(pair, port=40001, sizes=(1472, 1473, 5000))  # the last two in fragments
        pair.a.run("ping", "-q", "-c", "2", "-i", "0.1", "-s", "3000", B4)
        pair.a.run("ping", "-q", "-c", "2", "-i", "0.1", B6)

    def compare(self, mode, traffic, least_rows):
        """Compares the live rows, in their order, with those of the capture. Returns the live rows and both runs."""
        pair = namespaces.Pair(self)
        pair.wait_quiet()
        live = self.start(pair.a, "live", "--compat", mode)
        dump = namespaces.Tcpdump(self, pair.a, "veth0")
        pair.wait_quiet()
        traffic(pair)
        pair.wait_quiet()
        pcap = dump.stop()
        done = self.stop(live)
        self.assertEqual(done.mode["seen"], done.account["metered"], done.err)
        replayed = meter.run("-f", pcap, "--compat", mode, "-c", self.path("replay.csv"))
        self.assertEqual((replayed.code, replayed.warnings), (0, []), replayed.err)
        found = self.rows(live.csv)
        # From frames that are not IPv4, the Java program makes flows between parts of MAC addresses. A live run does
        # not.
        expected = [row for row in self.rows(self.path("replay.csv")) if (row.get("Src IP") or row["src_ip"]) in (A4, B4)]
        names = list(expected[0])
        self.assertEqual(list(found[0]), names)
        exact = [name for name in names if not CLOCK.search(name)]
        self.assertGreater(len(exact), 50)
        self.assertEqual([[row[name] for name in exact[:6]] for row in found],
                         [[row[name] for name in exact[:6]] for row in expected])
        self.assertGreaterEqual(len(found), least_rows)
        for i, (row, other) in enumerate(zip(found, expected, strict=True)):
            for name in exact:
                self.assertEqual(row[name], other[name], f"{name} of row {i}: {other}")
            for scale, columns in ((1, SECONDS), (1e6, MICROSECONDS)):
                for name in columns[mode]:
                    self.assertAlmostEqual(float(row[name]) / scale, float(other[name]) / scale, delta=SLACK_S, msg=name)
        return found, done, replayed

    def test_python(self):
        found, done, replayed = self.compare("python", self.traffic, 8)
        # Packets that only the kernel meters are classified as in a replay.
        for reason in ("taken", "later_fragment"):
            self.assertEqual(done.mode[reason], int(re.search(rf" {reason}=(\d+)", replayed.err)[1]), reason)
        self.assertGreater(done.mode["not_ipv4"], 0)
        stamps = [time.mktime(time.strptime(row["timestamp"], "%Y-%m-%d %H:%M:%S")) - time.timezone for row in found]
        self.assertLess(abs(stamps[-1] - time.time()), 100)

    def test_java(self):
        _, done, replayed = self.compare("java", self.traffic, 5)
        self.assertEqual(done.mode["taken"], int(re.search(r" taken=(\d+)", replayed.err)[1]))

    def test_tagged_and_padded(self):
        """A packet with a VLAN tag is ignored by the Python program and belongs to a flow for the Java program. Padding
        counts as payload for the Python program and is cut off by the Java program. The frames have foreign MAC
        addresses, in both directions."""
        def traffic(pair):
            raw = {}
            for side in (pair.a, pair.b):
                with side.inside():
                    raw[side] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                self.addCleanup(raw[side].close)
                raw[side].bind(("veth0", 0))
            for size in (10, 100, 1300):
                for side, ends in ((pair.a, (A4, B4)), (pair.b, (B4, A4))):
                    for port, tag in ((5000, b"\x00\x05\x08\x00"), (5001, b"")):
                        packet = capture.udp(bytes(size), *ends, (port, 53) if side is pair.a else (53, port))
                        raw[side].send(capture.ethernet(tag + packet, 0x8100 if tag else 0x0800).ljust(60, b"\0"))
                        time.sleep(PAUSE_S)

        found, done, _ = self.compare("python", traffic, 1)
        self.assertEqual([(row["src_port"], row["totlen_fwd_pkts"]) for row in found], [("5001", str(60 + 60 + 142 + 1342))])
        self.assertGreaterEqual(done.mode["not_ipv4"], 4)
        found, _, _ = self.compare("java", traffic, 2)
        self.assertEqual({row["Src Port"]: row["Total Length of Bwd Packet"] for row in found}, {"5000": "1414.0", "5001": "1410.0"})

    def test_rows_come_while_it_runs(self):
        pair = namespaces.Pair(self)
        pair.wait_quiet()
        live = self.start(pair.a, "live", "--compat", "java")
        meter.wait_for("the header", lambda: live.text().startswith("Flow ID,"))
        refused = self.client(pair, socket.SOCK_STREAM, A4, 41000)
        self.assertRaises(ConnectionRefusedError, refused.connect, (B4, 9))
        meter.wait_for("the row of the flow that a RST ended", lambda: len(live.rows()) == 1)
        live.process.send_signal(signal.SIGUSR1)
        meter.wait_for("the account", lambda: re.search(r"seen=2 taken=2 .* flows=1\b", live.err()))
        self.stop(live)

    def test_lost_events_are_said(self):
        """The process is stopped while more packets come than the event stream holds."""
        pair = namespaces.Pair(self)
        pair.wait_quiet()
        live = self.start(pair.a, "live", "--compat", "python", "--event-memory", "1")
        client = self.client(pair, socket.SOCK_DGRAM, A4, 42000)
        sent = 60_000
        live.process.send_signal(signal.SIGSTOP)
        for _ in range(sent):
            client.sendto(b"x", (B4, 9))
        live.process.send_signal(signal.SIGCONT)
        done = live.stop()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        account = meter.account_of([line for line in done.err.splitlines() if " lost=" in line][-1])
        self.assertGreaterEqual(account["metered"], sent)
        self.assertGreater(account["lost"], 0, "the stream held everything")
        self.assertIn(f"seen={account['metered'] - account['lost']} taken=", done.err)
        self.assertTrue(any(f"{account['lost']} metered packets are in no flow" in line for line in done.warnings), done.err)
        row, = [row for row in self.rows(live.csv) if row["src_port"] == "42000"]
        self.assertLess(int(row["tot_fwd_pkts"]), sent)

    def test_buffers_of_many_segments(self):
        """With --compat java they count as the packets on the wire, like in a normal run. With --compat python each
        buffer is one packet, as a packet socket shows it."""
        pair = namespaces.Pair(self, offload=True)
        # A FIN that is sent again, because a busy machine acknowledges it late, is not in the Java program's flow.
        for side in (pair.a, pair.b):
            side.run("sysctl", "-qw", "net.ipv4.tcp_early_retrans=0")
        pair.wait_quiet()
        meters = {mode: self.start(pair.a, mode, "--compat", mode) for mode in ("python", "java")}
        correct = self.start(pair.a, "correct")
        server = self.server(pair, socket.SOCK_STREAM, B4, 8000)
        client = self.client(pair, socket.SOCK_STREAM, A4, 41000)
        client.connect((B4, 8000))
        there, _ = server.accept()
        sender = threading.Thread(target=lambda: (client.sendall(bytes(3_000_000)), client.shutdown(socket.SHUT_WR)))
        sender.start()
        received = 0
        while data := there.recv(1 << 20):
            received += len(data)
        sender.join()
        there.close()
        self.assertEqual(received, 3_000_000)
        pair.wait_quiet()
        done = {mode: self.stop(meters[mode]) for mode in meters}
        correct.stop_clean()
        wire, = self.rows(correct.csv)
        row, = self.rows(meters["java"].csv)
        # The last ACK comes after the end of the Java program's flow.
        self.assertEqual((row["Total Fwd Packet"], row["Total Bwd packets"], row["Total Length of Fwd Packet"]),
                         (str(int(wire["tot_fwd_pkts"]) - 1), wire["tot_bwd_pkts"], "3000000.0"))
        for name, other in (("PSH Flag Count", "psh_flag_cnt"), ("FIN Flag Count", "fin_flag_cnt"),
                            ("Fwd Act Data Pkts", "fwd_act_data_pkts")):
            self.assertEqual(row[name], wire[other], name)
        self.assertEqual(int(row["ACK Flag Count"]), int(wire["ack_flag_cnt"]) - 1)
        row, = self.rows(meters["python"].csv)
        buffers = sum(int(number) for number in re.findall(r"(?:in|e)gress: .*buffers=(\d+)", done["python"].err))
        self.assertGreater(done["python"].account["metered"], 2 * buffers, "the traffic was not of large buffers")
        self.assertEqual(done["python"].mode["seen"], buffers - done["python"].account["not_ip"]
                         - done["python"].account["other_protocol"])
        self.assertEqual(int(row["tot_fwd_pkts"]) + int(row["tot_bwd_pkts"]), done["python"].mode["taken"] + 1)
        self.assertGreater(int(row["fwd_pkt_len_max"]), 2 * 1514)


class Refused(cases.Case):
    """Options that exclude each other are reported before anything is changed."""

    def test_usage(self):
        output = self.path("out.csv")
        for mode in ("python", "java"):
            for arguments, words in (
                    (("-i", "lo", "--datapath", "kernel"), "--datapath kernel"), (("-i", "lo", "--per-interface"), "--per-interface"),
                    (("-i", "lo", "--pin", "/sys/fs/bpf/x"), "--pin"), (("-i", "lo", "--quality"), "--quality"),
                    (("-f", "x.pcap", "--extra", "end_reason"), "--extra")):
                done = meter.run("--compat", mode, "-c", output, *arguments)
                self.assertEqual((done.code, len(done.errors)), (2, 1), done.err)
                self.assertIn(words, done.errors[0])
                self.assertFalse(os.path.exists(output))

    def test_java_fixed_is_not_there(self):
        done = meter.run("--compat", "java-fixed", "-f", "x.pcap")
        self.assertEqual((done.code, len(done.errors)), (2, 1), done.err)
        self.assertIn("java-fixed is not available", done.errors[0])
