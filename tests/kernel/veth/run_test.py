# SPDX-License-Identifier: BSD-3-Clause
"""A live run: when its rows are written, how it stops and fails, and what it needs. Needs root; makes and removes its own
network namespaces."""
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import time

import capture
import cases
import meter
import namespaces
from live_cases import Live, NOBODY, UNTIMED
from meter import FLOW
from namespaces import A4, B4, B6


class Rows(Live):
    """How soon rows come."""

    SANITIZED = True

    def last_sent_to_row(self, timeout_s, arguments, talk):
        """A row is in the file within a second of its flow's end (last packet and time-out). A loaded machine may be
        late, but the best of four attempts must be in time."""
        pair = self.pair()
        live = self.start(pair.a, *arguments).wait_attached()
        late = []
        for port in range(41000, 41004):
            begin = time.monotonic()
            talk(pair, port)
            last = time.monotonic()
            row = meter.wait_for("the row", lambda port=port: self.of_ports(live.rows(), port))
            there = time.monotonic()
            self.assertEqual(len(row), 1)
            self.assertGreater(there - begin, timeout_s, "the row came before its flow's end")
            late.append(there - last - timeout_s)
            if late[-1] < 1.0:
                break
        print("row", *(f"{seconds * 1e3:.0f}" for seconds in late), "ms after its flow's end")
        self.assertLess(min(late), 1.0)
        self.assertIsNone(live.process.poll())
        self.assertTrue(live.text().endswith("\n"))
        live.stop_clean()

    def talk_udp(self, pair, port=41000):
        client = self.udp(pair.a, A4, port, (B4, 9))
        for _ in range(3):
            client.send(b"x")

    def test_idle_udp_flow_without_further_packets(self):
        self.last_sent_to_row(1, ("--idle-timeout", "1"), self.talk_udp)

    def test_closed_tcp_flow(self):
        def talk(pair, port):
            with pair.b.inside():
                server = socket.create_server((B4, port))
            with pair.a.inside():
                client = socket.create_connection((B4, port))
            other, _ = server.accept()
            client.sendall(b"hello")
            other.recv(5)
            for s in (client, other, server):
                s.close()

        self.last_sent_to_row(0.5, ("--tcp-linger", "0.5"), talk)

    def test_idle_ping(self):
        pair = self.pair()
        live = self.start(pair.a, "--icmp-idle-timeout", "0.5").wait_attached()
        pair.a.run("ping", "-q", "-c", "2", "-i", "0.2", B4)
        row = meter.wait_for("the row", lambda: [row for row in live.rows() if row["protocol"] == "1"],
                             30)[0]  # the default is 60 s
        self.assertEqual((row["tot_fwd_pkts"], row["tot_bwd_pkts"]), ("2", "2"))
        live.stop_clean()

    def test_header_is_there_at_once(self):
        pair = self.pair()
        live = self.start(pair.a).wait_attached()
        meter.wait_for("the header", lambda: live.text().count("\n") == 1)
        live.stop_clean()

    def test_standard_output(self):
        pair = self.pair()
        with open(self.path("out.csv"), "wb") as out:
            live = self.start(pair.a, "-c", "-", "--fields", "src_port,tot_fwd_pkts", stdout=out)
        live.wait_attached()
        self.talk_udp(pair)
        time.sleep(0.1)
        self.assertEqual(live.stop().code, 0)
        with open(self.path("out.csv"), encoding="utf-8") as out:
            self.assertIn("41000,3", out.read().splitlines())

    def test_active_timeout_splits(self):
        pair = self.pair()
        live = self.start(pair.a, "--active-timeout", "1").wait_attached()
        client = self.udp(pair.a, A4, 41000, (B4, 9))
        for _ in range(25):
            client.send(b"x")
            time.sleep(0.1)
        live.stop_clean()
        rows = self.of_ports(live.rows(), 41000)
        self.assertGreaterEqual(len(rows), 2)
        self.assertEqual(sum(int(row["tot_fwd_pkts"]) for row in rows), 25)
        self.assertLessEqual(max(float(row["flow_duration"]) for row in rows), 1.0)


class Stopping(Live):
    SANITIZED = True

    def metering_with_open_flows(self, *arguments):
        pair = self.pair()
        live = self.start(pair.a, *arguments).wait_attached()
        for port in range(42000, 42020):
            self.udp(pair.a, A4, port, (B4, 9)).send(b"x")
        pair.a.run("ping", "-q", "-c", "2", "-i", "0.2", B6)
        return pair, live

    def open_flows_are_written(self, number):
        pair, live = self.metering_with_open_flows()
        self.assertEqual(live.rows(), [], "no flow has ended yet")
        done = live.stop_clean(number)
        self.assertEqual(len({row["src_port"] for row in live.rows() if row["src_port"].startswith("420")}), 20)
        self.assertEqual(done.warnings, [])

    def test_sigint(self):
        self.open_flows_are_written(signal.SIGINT)

    def test_sigterm(self):
        self.open_flows_are_written(signal.SIGTERM)

    def test_second_signal_exits_at_once(self):
        """The output takes nothing, so the orderly end hangs."""
        pair = self.pair()
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, bytes(65536))
        except BlockingIOError:
            os.set_blocking(writer, True)
        live = self.start(pair.a, "-c", "-", "--on-full", "block", "--drain", "3600", stdout=writer)
        os.close(writer)
        self.addCleanup(os.close, reader)

        def blocked():
            with open(f"/proc/{live.process.pid}/wchan", encoding="ascii") as wchan:
                return "pipe" in wchan.read()

        meter.wait_for("the program waits for its output", blocked)
        live.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        self.assertIsNone(live.process.poll(), "one signal is no reason to lose rows")
        live.process.send_signal(signal.SIGINT)
        self.assertEqual(live.wait().code, 1)

    def test_duration(self):
        pair = self.pair()
        start = time.monotonic()
        live = self.start(pair.a, "--duration", "1.5").wait_attached()
        self.udp(pair.a, A4, 42000, (B4, 9)).send(b"x")
        done = live.wait()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        self.assertGreater(time.monotonic() - start, 1.4)
        self.assertLess(time.monotonic() - start, 30)
        self.assertEqual(len(self.of_ports(live.rows(), 42000)), 1)

    def test_packets(self):
        pair = self.pair()
        live = self.start(pair.a, "--packets", "10").wait_attached()
        client = self.udp(pair.a, A4, 42000, (B4, 9))
        for _ in range(9):
            client.send(b"x")
        time.sleep(0.3)
        client = self.udp(pair.a, A4, 42001, (B4, 9))
        for _ in range(20):
            client.send(b"x")
        done = live.wait()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        meter.assert_balanced(self, done.account)
        self.assertGreaterEqual(done.account["seen"], 10)
        self.assertEqual(done.account["in_rows"], meter.packets_in(live.rows()))

    def own_objects(self, process):
        """Ids of the BPF links and programs that the process holds."""
        ids = {"link": set(), "prog": set()}
        for fd in os.listdir(f"/proc/{process.pid}/fdinfo"):
            with open(f"/proc/{process.pid}/fdinfo/{fd}", encoding="ascii") as info:
                fields = dict(line.split(":", 1) for line in info.read().splitlines() if ":" in line)
            for kind in ids:
                if kind + "_id" in fields:
                    ids[kind].add(fields[kind + "_id"].strip())
        return ids

    def leaves_nothing(self, number):
        pair, live = self.metering_with_open_flows()
        ids = self.own_objects(live.process)
        self.assertEqual(len(ids["link"]), 2, "ingress and egress")
        self.assertGreaterEqual(len(ids["prog"]), 2)
        live.process.send_signal(number)
        live.process.wait(timeout=60)

        def gone():
            return not [f"{kind} {each}" for kind, some in ids.items() for each in some
                        if subprocess.run(["bpftool", kind, "show", "id", each], stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL).returncode == 0]

        meter.wait_for("programs and links are gone", gone)
        pair.a.run("ping", "-q", "-c", "1", B4)

    def test_kill_leaves_no_program(self):
        self.leaves_nothing(signal.SIGKILL)

    def test_sigint_leaves_no_program(self):
        self.leaves_nothing(signal.SIGINT)

    def test_killed_run_has_whole_rows(self):
        pair = self.pair()
        live = self.start(pair.a, "--idle-timeout", "0.2").wait_attached()
        for port in range(42000, 42200):
            self.udp(pair.a, A4, port, (B4, 9)).send(b"x")
        meter.wait_for("rows", lambda: len(live.rows()) >= 100)
        live.process.kill()
        live.process.wait()
        lines = live.text().splitlines(keepends=True)
        self.assertEqual({(line.count(","), line[-1]) for line in lines}, {(81, "\n")})


class Interfaces(Live):
    def test_no_such_interface_leaves_the_output_alone(self):
        namespace = namespaces.Namespace(self, "a")
        with open(self.path("live.csv"), "w", encoding="ascii") as output:
            output.write("kept\n")
        live = self.start(namespace, interface="nosuch0")
        self.one_error(live.wait(), "nosuch0")
        self.assertEqual(live.text(), "kept\n")

    def test_interface_goes_away(self):
        pair = self.pair()
        live = self.start(pair.a, "--idle-timeout", "0.3").wait_attached()
        self.udp(pair.a, A4, 42000, (B4, 9)).send(b"x")
        meter.wait_for("a row", lambda: self.of_ports(live.rows(), 42000))
        self.udp(pair.a, A4, 42001, (B4, 9)).send(b"x")
        pair.a.ip("link", "del", "veth0")
        done = live.wait()
        self.one_error(done, "veth0", "removed")
        meter.assert_balanced(self, done.account)
        for port in (42000, 42001):
            self.assertEqual(len(self.of_ports(live.rows(), port)), 1)

    def test_interface_down_and_up_again(self):
        pair = self.pair()
        live = self.start(pair.a).wait_attached()
        client = self.udp(pair.a, A4, 42000, (B4, 9))
        client.send(b"x")
        pair.a.ip("link", "set", "veth0", "down")
        time.sleep(1.2)
        self.assertIsNone(live.process.poll(), "an interface that is down may come back")
        pair.a.ip("link", "set", "veth0", "up")
        pair.a.run("ping", "-q", "-c", "3", "-i", "0.3", B4, check=False)  # until the carrier is back
        client.send(b"x")
        time.sleep(0.1)
        live.stop_clean()
        self.assertGreaterEqual(meter.packets_in(self.of_ports(live.rows(), 42000)), 2)

    def test_two_instances_count_everything(self):
        pair = self.pair()
        both = [self.start(pair.a, name=name).wait_attached() for name in ("first", "second")]
        pair.wait_quiet()
        client = self.udp(pair.a, A4, 42000, (B4, 9))
        for _ in range(50):
            client.send(b"x" * 30)
        pair.a.run("ping", "-q", "-c", "3", "-i", "0.1", B6)
        pair.wait_quiet()
        for live in both:
            live.stop_clean()
        # Multicast reports of IPv6 may have come when only one meter was attached.
        first, second = (sorted([row[name] for name in FLOW + UNTIMED] for row in live.rows()
                                if not row["dst_ip"].startswith("ff")) for live in both)
        self.assertEqual(first, second)
        self.assertEqual([row["tot_fwd_pkts"] for row in self.of_ports(both[0].rows(), 42000)
                          if row["protocol"] == "17"], ["50"])

    def test_second_instance_goes_on_without_the_first(self):
        pair = self.pair()
        first = self.start(pair.a, name="first").wait_attached()
        second = self.start(pair.a, name="second").wait_attached()
        client = self.udp(pair.a, A4, 42000, (B4, 9))
        client.send(b"x")
        first.stop_clean()
        client.send(b"x")
        time.sleep(0.1)
        second.stop_clean()
        self.assertEqual([row["tot_fwd_pkts"] for row in self.of_ports(second.rows(), 42000)
                          if row["protocol"] == "17"], ["2"])

    def test_loopback_counts_each_packet_once(self):
        namespace = namespaces.Namespace(self, "a")
        live = self.start(namespace, interface="lo").wait_attached()
        server = self.udp(namespace, "127.0.0.1", 7)
        client = self.udp(namespace, "127.0.0.1", 42000, ("127.0.0.1", 7))
        for _ in range(10):
            client.send(b"x")
        for _ in range(4):
            server.sendto(b"yy", ("127.0.0.1", 42000))
        time.sleep(0.1)
        done = live.stop_clean()
        self.assertEqual(done.account["seen"], 14, done.err)
        row, = live.rows()
        self.assertEqual((row["tot_fwd_pkts"], row["tot_bwd_pkts"]), ("10", "4"))
        self.assertEqual(row["totlen_fwd_pkts"], str(10 * (14 + 20 + 8 + 1)))

    def test_tun_without_link_header(self):
        namespace = namespaces.Namespace(self, "a")
        with namespace.inside():
            tun = os.open("/dev/net/tun", os.O_RDWR)
            self.addCleanup(os.close, tun)
            fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x0001 | 0x1000))  # TUNSETIFF, TUN and NO_PI
        namespace.ip("link", "set", "dev", "tun0", "addrgenmode", "none")
        namespace.ip("addr", "add", A4 + "/24", "dev", "tun0")
        namespace.ip("link", "set", "tun0", "up")
        live = self.start(namespace, interface="tun0").wait_attached()
        client = self.udp(namespace, A4, 42000, (B4, 53))
        for _ in range(3):
            client.send(b"x" * 10)
        for _ in range(5):
            os.write(tun, capture.udp(b"y" * 20, B4, A4, (53, 42000)))
        os.write(tun, b"\x60" + bytes(5) + b"\x3b\x40" + bytes(32))  # IPv6 without a next header
        time.sleep(0.1)
        done = live.stop_clean()
        row, = self.of_ports(live.rows(), 42000)
        self.assertEqual((row["src_ip"], row["tot_fwd_pkts"], row["tot_bwd_pkts"]), (A4, "3", "5"), done.err)
        self.assertEqual((row["totlen_fwd_pkts"], row["totlen_bwd_pkts"]), (str(3 * 38), str(5 * 48)))
        self.assertEqual(row["fwd_header_len"], str(3 * 28))
        self.assertEqual(done.account["not_ip"], 0, done.err)

    def test_what_is_not_metered_has_its_class(self):
        pair = self.pair()
        live = self.start(pair.a).wait_attached()
        pair.wait_quiet()
        with pair.b.inside():
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.addCleanup(raw.close)
        raw.bind(("veth0", 0))
        # The MAC address is nobody's here, so the stack does not answer.
        frames = {
            "not_ip": capture.ethernet(bytes(46), 0x88B5),
            "other_protocol": capture.ethernet(capture.ipv4(132, bytes(20), B4, A4)),
            "malformed": capture.ethernet(b"\x45" + bytes(9)),
            "unattributed_fragment": capture.ethernet(
                capture.ipv4(17, bytes(64), B4, A4)[:6] + b"\x00\x08" + capture.ipv4(17, bytes(64), B4, A4)[8:]),
        }
        for count, frame in enumerate(frames.values(), 1):
            for _ in range(count):
                raw.send(frame)
        time.sleep(0.1)
        done = live.stop_clean()
        self.assertEqual({name: done.account[name] for name in frames},
                         {name: count for count, name in enumerate(frames, 1)}, done.err)


class Outputs(Live):
    def test_full_file_system(self):
        """The output is on a tiny tmpfs in a mount namespace, and is copied out of it at the end."""
        pair = self.pair()
        script = ('mount -t tmpfs -o size=64k none "$0" && "$@"; status=$?; cp "$0/flows.csv" "$0.csv"; exit $status')
        disk = self.path("disk")
        os.mkdir(disk)
        live = self.start(pair.a, "-c", disk + "/flows.csv", "--idle-timeout", "0.1", "--duration", "3", "--drain", "0.1",
                          prefix=("unshare", "-m", "sh", "-c", script, disk)).wait_attached()
        for port in range(30000, 31000):
            self.udp(pair.a, A4, port, (B4, 9)).send(b"x")
        done = live.wait()
        self.one_error(done, disk + "/flows.csv", "No space left")
        with open(disk + ".csv", encoding="utf-8") as file:
            lines = file.read().splitlines(keepends=True)
        self.assertGreater(len(lines), 50)
        self.assertEqual({(line.count(","), line[-1]) for line in lines}, {(81, "\n")})


class Privileges(Live):
    def setUp(self):
        super().setUp()
        self.namespace = namespaces.Namespace(self, "a")
        self.program = self.path("meter")  # the build directory may be closed to other users
        shutil.copy(cases.meter_path, self.program)
        os.chmod(self.program, 0o755)

    def start_as_nobody(self, *capabilities):
        some = "-all" + "".join(",+" + each for each in capabilities)
        return self.start(self.namespace, interface="lo", program=self.program, prefix=(
            "setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--inh-caps=" + some,
            "--ambient-caps=" + some, "--bounding-set=" + some))

    def test_none(self):
        self.one_error(self.start_as_nobody().wait(), "CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON")
        self.assertFalse(os.path.exists(self.path("live.csv")))

    def test_the_missing_one_is_named(self):
        everything = {"bpf": "CAP_BPF", "net_admin": "CAP_NET_ADMIN", "perfmon": "CAP_PERFMON"}
        for missing, name in everything.items():
            with self.subTest(name):
                done = self.start_as_nobody(*(each for each in everything if each != missing)).wait()
                self.one_error(done, name)
                for other in set(everything.values()) - {name}:
                    self.assertNotIn(other, done.errors[0])

    def test_three_capabilities_are_enough(self):
        live = self.start_as_nobody("bpf", "net_admin", "perfmon").wait_attached()
        client = self.udp(self.namespace, "127.0.0.1", 42000, ("127.0.0.1", 42000))
        client.send(b"x")
        time.sleep(0.1)
        live.stop_clean()
        self.assertEqual(len(live.rows()), 1)
        self.assertEqual(os.stat(live.csv).st_uid, int(NOBODY))
