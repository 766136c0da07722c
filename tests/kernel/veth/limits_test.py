# SPDX-License-Identifier: BSD-3-Clause
"""Live metering at its limits: lost events, a full map, a flood, stopping and asking for the account in the middle of it,
offloads against a capture of the wire. In each the conservation law holds: seen = metered + named classes, and metered =
packets in rows + lost. Needs root; makes and removes its own network namespaces."""
import collections
import csv
import datetime
import json
import os
import re
import signal
import socket
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import capture  # noqa: E402
import cases  # noqa: E402
import live_test  # noqa: E402
import meter  # noqa: E402
import namespaces  # noqa: E402
from namespaces import A4, A6, B4, B6  # noqa: E402

NOBODY4 = "198.51.100.77"  # frames to it reach the peer, which drops them without an answer
UDP_SEGMENT = 103  # not in Python's socket module
HEADERS = 14 + 20 + 8  # Ethernet, IPv4, UDP


def numbers(line):
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line)}


def totals(text):
    """The account lines of the whole run (not of one hook), oldest first."""
    return [numbers(line) for line in text.splitlines() if line.startswith("flowmeter-ebpf: info: seen=")]


def hooks(text):
    """{(interface, hook): counters} of the lines at the end with -v."""
    found = re.findall(r"info: (\S+) (ingress|egress): (seen=.*)", text)
    return {(interface, hook): numbers(line) for interface, hook, line in found}


def rare(text):
    """events_lost, uncounted, evicted ...: at the end with -v."""
    return numbers(next(line for line in text.splitlines() if " events_lost=" in line))


class Limits(live_test.Live):
    PATIENCE = 1

    def assert_balanced(self, account):
        classes = {name: number for name, number in account.items()
                   if name not in ("seen", "flows", "in_rows", "open", "open_flows", "lost", "kernel_only")}
        self.assertIn("metered", classes)
        self.assertEqual(account["seen"], sum(classes.values()), account)

    def finish(self, live, signal_number=signal.SIGTERM, seconds=60):
        """Ends the run; whatever was lost is said, and all else is in rows. Returns (Finished, rows)."""
        live.process.send_signal(signal_number)
        done = live.wait(seconds)
        self.assertEqual((done.code, done.errors), (0, []), done.err[-3000:])
        account = totals(done.err)[-1]
        self.assert_balanced(account)
        self.assertEqual(account["metered"], account["in_rows"] + account["lost"], account)
        rows = live.rows()
        self.assertEqual(meter.packets_in(rows), account["in_rows"], account)
        self.assertEqual(len(rows), account["flows"])
        done.account = account
        return done, rows

    def report(self, live):
        """The account that SIGUSR1 brings."""
        before = len(totals(live.err()))
        live.process.send_signal(signal.SIGUSR1)
        account = meter.wait_for("the account", lambda: totals(live.err())[before:], 60 * self.PATIENCE)[0]
        self.assert_balanced(account)
        return account

    def report_when_quiet(self, live):
        account = self.report(live)
        self.assertEqual(account["kernel_only"], 0, account)
        self.assertEqual(account["metered"], account["in_rows"] + account.get("open", 0), account)
        return account

    def silent_address(self, pair):
        """An address that b does not answer for."""
        mac = json.loads(pair.b.ip("-j", "link", "show", "dev", "veth0"))[0]["address"]
        pair.a.ip("neigh", "replace", NOBODY4, "lladdr", mac, "dev", "veth0", "nud", "permanent")
        return NOBODY4

    def on_one_cpu(self):
        """What this thread sends goes into one event stream."""
        cpus = os.sched_getaffinity(0)
        self.addCleanup(os.sched_setaffinity, 0, cpus)
        os.sched_setaffinity(0, {min(cpus)})

    @staticmethod
    def packets_by_port(rows):
        ports = collections.Counter()
        for row in rows:
            ports[int(row["dst_port"])] += int(row["tot_fwd_pkts"])
        return ports


class stopped:
    """The daemon stands still; the kernel goes on metering."""

    def __init__(self, live):
        self.process = live.process

    def __enter__(self):
        self.process.send_signal(signal.SIGSTOP)
        meter.wait_for("the daemon stands", self.stands)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)

    def stands(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "T"


class LostEvents(Limits):
    """A stream of 1 MiB and a daemon that stands still while many more packets come than it holds."""

    BUSY, HIDDEN, LATE = range(20000, 20060), range(30000, 30020), range(30010, 30020)
    UNITS = 1 << 20 >> 5  # of both CPUs' streams together

    def overloaded(self, datapath):
        """Returns (meter, packets sent by port, their sizes by port)."""
        pair = self.pair()
        target = self.silent_address(pair)
        live = self.start(pair.a, "--ring-size", "1", "--datapath", datapath, "--quality").wait_attached()
        self.on_one_cpu()
        client = self.udp(pair.a, A4)
        sent = collections.Counter()

        def send(ports, times):
            for _ in range(times):
                for port in ports:
                    client.sendto(bytes(port % 100), (target, port))
                    sent[port] += 1

        send(self.BUSY, 10)
        meter.wait_for("the daemon knows the flows", lambda: not self.backlog(live))
        with stopped(live):
            send(self.BUSY, self.UNITS // len(self.BUSY) + 100)  # also of one stream that had all the room
            send(self.HIDDEN, 5)
        time.sleep(0.3)
        send(self.BUSY, 3)
        send(self.LATE, 2)
        return pair, live, sent

    def backlog(self, live):
        return self.report(live)["kernel_only"]

    def check(self, datapath):
        _, live, sent = self.overloaded(datapath)
        time.sleep(2)  # it looks each second for flows that it does not know
        self.assertEqual(self.report_when_quiet(live)["unrecorded"], 0)
        done, rows = self.finish(live)
        self.assertEqual(done.account["lost"], 0, done.err)
        by_port = {int(row["dst_port"]): row for row in rows if row["src_ip"] == A4}
        self.assertEqual({port: by_port[port]["tot_fwd_pkts"] for port in sent},
                         {port: str(count) for port, count in sent.items()})
        for port, count in sent.items():
            self.assertEqual(int(by_port[port]["totlen_fwd_pkts"]), count * (HEADERS + port % 100), port)
        for row in rows:
            self.assertEqual(row["timing_estimated"], str(int(int(row["pkts_without_timing"]) > 0)))
            self.assertEqual(row["evictions"], "0")
        lost = sum(int(row["pkts_without_timing"]) for row in rows)
        warnings = [line for line in done.warnings if "times are missing" in line]
        return done, by_port, lost, warnings

    def test_events(self):
        done, by_port, lost, warnings = self.check("events")
        events_lost = rare(done.err)["events_lost"]
        self.assertGreater(events_lost, 1000, "nothing was lost: the test proves nothing")
        self.assertEqual(lost, events_lost, "each packet was a buffer of its own")
        for port in self.HIDDEN:
            self.assertGreaterEqual(int(by_port[port]["pkts_without_timing"]), 5, by_port[port])
        self.assertEqual(len(warnings), 1)
        self.assertIn(f" {lost} of their packets", warnings[0])

    def test_kernel(self):
        """Nothing is sent that could be lost but the first packets."""
        _, _, lost, warnings = self.check("kernel")
        self.assertEqual((lost, warnings), (0, []))


class FullMap(Limits):
    """More flows than --max-flows, in two rounds, each flow with a number of packets of its own."""

    def many_flows(self, datapath, ports):
        pair = self.pair()
        target = self.silent_address(pair)
        live = self.start(pair.a, "--max-flows", "64", "--datapath", datapath, "--quality").wait_attached()
        client = self.udp(pair.a, A4)
        sent = collections.Counter()
        for turn in range(2):
            for port in ports:
                for _ in range(1 + (port + turn) % 2):
                    client.sendto(b"", (target, port))
                    sent[port] += 1
        meter.wait_for("there are no more flows than the limit",
                       lambda: self.report(live).get("open_flows", 0) <= 64, 60)
        done, rows = self.finish(live)
        found = self.packets_by_port(row for row in rows if row["dst_ip"] == target)
        missing = {port: sent[port] - found[port] for port in sent if sent[port] != found[port]}
        self.assertTrue(all(packets > 0 for packets in missing.values()), "packets were counted twice")
        self.assertEqual(sum(missing.values()), done.account["lost"] + done.account["unrecorded"], done.account)
        self.assertLess(sum(missing.values()), sum(sent.values()) / 100, "the streams had room")
        self.assertLessEqual({row["end_reason"] for row in rows}, {"resources", "evicted", "end"})
        self.assertIn("resources", {row["end_reason"] for row in rows})
        self.assertTrue([line for line in done.warnings if "--max-flows" in line], done.err)
        return done, rows

    def test_1000_flows_events(self):
        self.many_flows("events", range(10000, 11000))

    def test_1000_flows_kernel(self):
        self.many_flows("kernel", range(10000, 11000))

    def test_50000_flows_events(self):
        self.many_flows("events", range(10000, 60000))

    def test_50000_flows_kernel(self):
        self.many_flows("kernel", range(10000, 60000))

    def came_back(self, *arguments):
        """Flows that are silent while the daemon stands still and thousands of others come, and then go on."""
        pair = self.pair()
        target = self.silent_address(pair)
        live = self.start(pair.a, "--max-flows", "64", "--quality", *arguments).wait_attached()
        client = self.udp(pair.a, A4)
        ours = range(9000, 9016)
        with stopped(live):
            for ports, times in ((ours, 3), (range(10000, 16000), 1), (ours, 4)):
                for port in ports:
                    for _ in range(times):
                        client.sendto(b"", (target, port))
        done, rows = self.finish(live)
        self.assertEqual((done.account["lost"], done.account["unrecorded"]), (0, 0), done.err)
        mine = [row for row in rows if int(row["dst_port"]) in ours]
        self.assertEqual(sorted((int(row["dst_port"]), row["tot_fwd_pkts"]) for row in mine),
                         [(port, "7") for port in ours])
        self.assertEqual({row["pkts_without_timing"] for row in mine}, {"0"})
        self.assertEqual(meter.packets_in(row for row in rows if row["dst_ip"] == target), 16 * 7 + 6000)
        return rare(done.err), [int(row["evictions"]) for row in mine], done

    def test_an_evicted_flow_that_comes_back_is_one_row(self):
        rare_events, evictions, done = self.came_back("--flow-map", "lru")
        self.assertGreater(sum(evictions), 0, "none was evicted: the test proves nothing")
        self.assertGreaterEqual(rare_events["recreated"], sum(evictions))
        self.assertTrue([line for line in done.warnings if "came back and went on" in line], done.err)

    def test_without_room_in_the_kernels_map_a_flow_is_one_row(self):
        for datapath in ("events", "kernel"):
            with self.subTest(datapath):
                rare_events, evictions, _ = self.came_back("--datapath", datapath)
                self.assertGreater(rare_events["uncounted"], 1000, "the map had room: the test proves nothing")
                self.assertEqual(sum(evictions), 0, "what the kernel knows is not thrown away")


class Flood(Limits):
    """A new flow with every packet, at some hundred thousand packets/s, beside an established connection."""

    FIELDS = "src_ip,dst_ip,src_port,dst_port,protocol,tot_fwd_pkts,tot_bwd_pkts"
    LOCK = "cpu"
    RATE, PATIENCE = "250000", 1
    MEMORY_MIB = 160

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with open(cases.meter_path, "rb") as program:
            if b"__asan_init" in program.read():  # several times slower, and the streams' backlog takes as much longer
                cls.RATE, cls.PATIENCE = "50000", 4

    def setUp(self):
        super().setUp()
        self.generator = os.path.join(os.path.dirname(cases.meter_path), "tests", "kernel", "live_frames", "send_live_frames")

    def metered_pair(self, datapath, *arguments):
        """What a receives comes in buffers of its own; a's TCP sends buffers of many segments."""
        self.pair_ = namespaces.Pair(self, offload=True)
        self.pair_.a.run("ethtool", "-K", "veth0", "gro", "on")  # live frames need it
        self.pair_.wait_quiet()
        return self.start(self.pair_.a, "--max-flows", "4096", "--datapath", datapath, "--fields", self.FIELDS,
                          *arguments).wait_attached()

    def flood(self):
        flood = self.pair_.b.start(self.generator, "--seconds", "120", "--rate", self.RATE, "--flows", "random", "veth0")
        before = self.pair_.a.link_counters("veth0")[0]
        meter.wait_for("the flood", lambda: self.pair_.a.link_counters("veth0")[0] > before + 10_000, 60)
        return flood

    def memory(self, live):
        """MiB: (all, without the event streams, whose pages appear as they are first used)."""
        with open(f"/proc/{live.process.pid}/status", encoding="ascii") as status:
            text = status.read()
        return [int(re.search(field + r":\s*(\d+) kB", text)[1]) / 1024 for field in ("VmRSS", "RssAnon")]

    def few_rows(self, live, fields):
        """Sums the rows of the flood instead of holding them."""
        kept, packets, flows = [], 0, 0
        with open(live.csv, encoding="utf-8") as file:
            reader = csv.reader(file)
            self.assertEqual(",".join(next(reader)), fields)
            for row in reader:
                self.assertEqual(len(row), 7, row)
                flows += 1
                packets += int(row[5]) + int(row[6])
                if row[4] == "6":
                    kept.append(dict(zip(fields.split(","), row)))
        return kept, packets, flows

    def end(self, live):
        """SIGTERM with the flood going on."""
        begin = time.monotonic()
        live.process.send_signal(signal.SIGTERM)
        done = live.wait(60 * self.PATIENCE)
        took = time.monotonic() - begin
        self.assertEqual((done.code, done.errors), (0, []), done.err[-3000:])
        self.assertLess(took, 20 * self.PATIENCE, "the end must not wait for the flood's")
        print(f"ended after {took:.2f} s: {totals(done.err)[-1]}")
        account = totals(done.err)[-1]
        self.assert_balanced(account)
        self.assertEqual(account["metered"], account["in_rows"] + account["lost"], account)
        rows, packets, flows = self.few_rows(live, self.FIELDS)
        self.assertEqual((packets, flows), (account["in_rows"], account["flows"]))
        return done, account, rows

    def beside_a_connection(self, datapath):
        live = self.metered_pair(datapath)
        a, b = self.pair_.a, self.pair_.b
        b.start("iperf3", "-s", "-1", "-p", "5201", "-B", B4)
        b.listening(5201)
        with open(self.path("iperf.json"), "wb") as out:
            client = a.start("iperf3", "-c", B4, "-p", "5201", "-b", "50M", "-t", "6", "-J", stdout=out)
        meter.wait_for("the connection", lambda: "ESTAB" in a.run("ss", "-Htn"))
        time.sleep(0.5)
        flood = self.flood()
        time.sleep(2)
        early = self.memory(live)
        account = self.report(live)  # and goes on
        self.assertLess(account["kernel_only"], account["metered"])
        client.wait(timeout=60)
        self.assertEqual(client.returncode, 0)
        late = self.memory(live)
        flood.terminate()
        flood.wait(timeout=60)
        self.pair_.wait_quiet()
        tcp = live_test.Offload.tcp_counters(self, a)
        done, account, rows = self.end(live)
        print(f"{rare(done.err)} memory {early} MiB in the flood, {late} MiB at its end")
        self.assertLess(late[0], self.MEMORY_MIB)
        self.assertLess(late[1], early[1] + 16, "it grows with the flood")
        self.assertGreater(account["flows"], 100_000, "hardly a flood")
        # Of iperf3's two connections the one for control is silent, and may have to make room.
        missing = tcp["OutSegs"] + tcp["RetransSegs"] - sum(int(row["tot_fwd_pkts"]) for row in rows)
        self.assertEqual((missing, account["lost"]), (0, 0))
        with open(self.path("iperf.json"), encoding="utf-8") as out:
            port = json.load(out)["start"]["connected"][0]["local_port"]
        data = [row for row in rows if row["src_port"] == str(port) or row["dst_port"] == str(port)]
        self.assertEqual(len(data), 1, "the established connection must stay one flow")
        self.assertGreater(int(data[0]["tot_fwd_pkts"]), 15_000, "50 Mbit/s for 6 s")
        self.assertTrue([line for line in done.warnings if "--max-flows" in line], done.err)

    def test_beside_a_connection_events(self):
        self.beside_a_connection("events")

    def test_beside_a_connection_kernel(self):
        self.beside_a_connection("kernel")

    def stop_in_the_middle(self, datapath):
        live = self.metered_pair(datapath)
        flood = self.flood()
        time.sleep(1)
        _, account, _ = self.end(live)
        self.assertIsNone(flood.poll(), "the flood was over before the end was asked for")
        self.assertGreater(account["flows"], 10_000)

    def test_sigterm_events(self):
        self.stop_in_the_middle("events")

    def test_sigterm_kernel(self):
        self.stop_in_the_middle("kernel")


class Report(Limits):
    """SIGUSR1: the account of a run that goes on."""

    def quiet(self, datapath):
        pair = self.pair()
        target = self.silent_address(pair)
        live = self.start(pair.a, "--datapath", datapath, "--idle-timeout", "10").wait_attached()
        client = self.udp(pair.a, A4)
        pair.wait_quiet()
        seen = self.report_when_quiet(live)["seen"]
        for count in (300, 500):
            for port in range(20000, 20000 + count):
                client.sendto(b"x", (target, port))
            pair.wait_quiet()
            account = self.report_when_quiet(live)
            seen += count
            self.assertEqual(account["seen"], seen)
            self.assertGreaterEqual(account["open_flows"], count)
        meter.wait_for("all flows are idle", lambda: "open" not in self.report(live))
        self.assertEqual(self.report_when_quiet(live)["in_rows"], seen)
        self.finish(live)

    def test_events(self):
        self.quiet("events")

    def test_kernel(self):
        self.quiet("kernel")

    def test_replay_of_a_pipe(self):
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        live = meter.Meter(self, "replay", "-f", fifo)
        frame = capture.ethernet(capture.udp(b"x", A4, B4, (1, 2)))
        with open(fifo, "wb") as pipe:
            sent = 0

            def send(count):
                nonlocal sent
                pipe.write(b"".join(capture.pcap_record(1 + (sent + i) / 1e3, frame) for i in range(count)))
                pipe.flush()
                sent += count

            pipe.write(capture.pcap_header())
            send(5000)
            for _ in range(2):
                before = len(totals(live.err()))
                live.process.send_signal(signal.SIGUSR1)
                end = time.monotonic() + 60
                while len(totals(live.err())) == before:
                    self.assertLess(time.monotonic(), end, "no account")
                    send(1000)
                    time.sleep(0.01)
                account = totals(live.err())[before]
                self.assert_balanced(account)
                self.assertLessEqual(account["seen"], sent)
                self.assertGreater(account["seen"], 0)
        done = live.wait(60)
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        self.assertEqual(totals(done.err)[-1]["metered"], sent)
        self.assertEqual(meter.packets_in(live.rows()), sent)


class OffloadAgainstTheWire(live_test.AgainstTcpdump):
    """a builds buffers of many segments, to send and from what it receives; tcpdump at b sees the frames."""

    def make_pair(self):
        pair = namespaces.Pair(self)
        # Without TSO the kernel cuts the buffers between the hooks and tcpdump, which is behind that.
        for side in (pair.a, pair.b):
            side.run("ethtool", "-K", "veth0", "gso", "on")
            side.ip("link", "set", "dev", "veth0", "gso_max_segs", "65535")
        pair.a.run("ethtool", "-K", "veth0", "gro", "on")
        pair.wait_quiet()
        return pair

    def captured(self, pair, side):
        return pair.b

    def agrees_with_link_counters(self, done, rows, packets, octets):
        # A veth with GRO counts the octets that it receives without their Ethernet headers.
        received = hooks(done.err)["veth0", "ingress"]["seen"]
        super().agrees_with_link_counters(done, rows, packets, octets + 14 * received)

    def transfer(self, datapath, *arguments):
        self.arguments = ("--datapath", datapath)
        # A window that no queue between the ends is too short for: what is lost on the wire only one end has seen.
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
            for octets in (30 * segment, 30 * segment + 1, segment, 2 * segment - 1, 1):
                client.send(bytes(octets))
                while octets > 0:  # the last is what is left
                    sizes[ours].append(len(server.recv(2000)))
                    octets -= sizes[ours][-1]
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


class Uncertain(Limits):
    """XDP meets buffers that were merged before as one frame: longer than the link carries, it says so."""

    def transfer(self, pair, *arguments):
        live = self.start(pair.b, *arguments).wait_attached()
        pair.b.start("iperf3", "-s", "-1", "-p", "5201", "-B", B4)
        pair.b.listening(5201)
        pair.a.run("iperf3", "-c", B4, "-p", "5201", "-n", "20M")
        pair.wait_quiet()
        done, _ = self.finish(live)
        uncertain = sum(counters["uncertain"] for counters in hooks(done.err).values())
        warnings = [line for line in done.warnings if "not sure" in line]
        return uncertain, warnings

    def test_merged_frames(self):
        pair = namespaces.Pair(self, offload=True)
        pair.wait_quiet()
        uncertain, warnings = self.transfer(pair, "--hook", "xdp-generic")
        self.assertGreater(uncertain, 100)
        self.assertEqual(len(warnings), 1)
        self.assertIn(f" {uncertain} packets", warnings[0])

    def test_frames_of_the_wire(self):
        self.assertEqual(self.transfer(self.pair(), "--hook", "xdp-generic"), (0, []))

    def test_the_default_hook_knows_segments(self):
        pair = namespaces.Pair(self, offload=True)
        pair.wait_quiet()
        self.assertEqual(self.transfer(pair), (0, []))


class TimeNamespace(Limits):
    """CLOCK_MONOTONIC of the daemon is not the kernel's, by which packets are stamped."""

    def rows_come(self, offset, datapath):
        pair = self.pair()
        live = self.start(pair.a, "--idle-timeout", "1", "--datapath", datapath,
                          prefix=("unshare", "-T", "--monotonic", offset))
        try:
            live.wait_attached()
        except AssertionError:
            if "unshare:" not in live.err():
                raise
            self.skipTest(live.err().strip())
        with open(f"/proc/{live.process.pid}/timens_offsets", encoding="ascii") as offsets:
            self.assertIn(offset, offsets.read())
        if os.readlink(f"/proc/{live.process.pid}/ns/time") == os.readlink("/proc/self/ns/time"):
            self.skipTest("unshare -T did not change the time namespace")
        client = self.udp(pair.a, A4, 41000, (self.silent_address(pair), 9))
        for _ in range(3):
            client.send(b"x")
        before = time.time()
        row, = meter.wait_for("the row", lambda: self.of_ports(live.rows(), 41000))
        self.assertGreater(time.time() - before, 0.8, "the row came before its flow's end")
        self.assertEqual(row["tot_fwd_pkts"], "3")
        self.assertLess(float(row["flow_duration"]), 0.8)
        start = datetime.datetime.fromisoformat(row["timestamp"]).timestamp()
        self.assertLess(abs(start - before), 1.0, "the wall clock has no namespace")
        self.finish(live)

    def test_ahead_events(self):
        self.rows_come("1000000", "events")

    def test_ahead_kernel(self):
        self.rows_come("1000000", "kernel")

    def test_behind(self):
        self.rows_come("-3600", "events")


if __name__ == "__main__":
    cases.main()
