# SPDX-License-Identifier: BSD-3-Clause
"""Live metering at its limits: lost events, a full map, the account on request, clocks. Needs root."""
import collections
import datetime
import os
import signal
import time

import capture
import meter
import namespaces
from limit_cases import HEADERS, Limits, hooks, rare, totals
from meter import stopped
from namespaces import A4, B4


class LostEvents(Limits):
    """A stream of 1 MiB, and a daemon that is stopped while more packets come than the stream holds."""

    BUSY, HIDDEN, LATE = range(20000, 20060), range(30000, 30020), range(30010, 30020)
    UNITS = 1 << 20 >> 5  # of both CPUs' streams together

    def overloaded(self, datapath):
        """Returns (meter, packets sent by port, their sizes by port)."""
        pair = self.pair()
        target = self.silent_address(pair)
        live = self.start(pair.a, "--event-memory", "1", "--datapath", datapath, "--quality").wait_attached()
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
            send(self.BUSY, self.UNITS // len(self.BUSY) + 100)  # more than one stream with all the room holds
            send(self.HIDDEN, 5)
        time.sleep(0.3)
        send(self.BUSY, 3)
        send(self.LATE, 2)
        return pair, live, sent

    def backlog(self, live):
        return self.report(live)["kernel_only"]

    def check(self, datapath):
        _, live, sent = self.overloaded(datapath)
        time.sleep(2)  # each second it looks for flows that it does not know
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
        self.assertNotIn("earlier daemon", done.err)
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
        """Only first packets are sent as records, so little can be lost."""
        _, _, lost, warnings = self.check("kernel")
        self.assertEqual((lost, warnings), (0, []))


class FullMap(Limits):
    """More flows than --max-flows, in two rounds; each flow has another number of packets."""

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
        """Flows that are silent while the daemon is stopped and thousands of others come, and then continue."""
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
        self.assertTrue([line for line in done.warnings if "returned and were continued" in line], done.err)

    def test_without_room_in_the_kernels_map_a_flow_is_one_row(self):
        for datapath in ("events", "kernel"):
            with self.subTest(datapath):
                rare_events, evictions, _ = self.came_back("--datapath", datapath)
                self.assertGreater(rare_events["uncounted"], 1000, "the map had room: the test proves nothing")
                self.assertEqual(sum(evictions), 0, "what the kernel knows is not thrown away")


class Report(Limits):
    """SIGUSR1: the account of a run that continues."""

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


class Uncertain(Limits):
    """XDP meets merged buffers as one frame. If that is longer than the link carries, a warning says so."""

    def transfer(self, pair, *arguments):
        live = self.start(pair.b, *arguments).wait_attached()
        pair.b.start("iperf3", "-s", "-1", "-p", "5201", "-B", B4)
        pair.b.listening(5201)
        pair.a.run("iperf3", "-c", B4, "-p", "5201", "-n", "20M")
        pair.wait_quiet()
        done, _ = self.finish(live)
        uncertain = sum(counters["uncertain"] for counters in hooks(done.err).values())
        warnings = [line for line in done.warnings if "are uncertain" in line]
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
    """The daemon's CLOCK_MONOTONIC is not the kernel's, by which packets are stamped."""

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
        # The clock must stay above zero, also shortly after the machine has booted.
        self.rows_come(str(-int(time.monotonic() / 2)), "events")
