# SPDX-License-Identifier: BSD-3-Clause
"""Shared by the tests of --pin: meters that one after the other go on with the same flows, and traffic."""
import datetime
import os
import re
import signal
import time

import live_cases
import meter
import namespaces
from meter import FLOW
from namespaces import A4, A6, B4, B6

CLOCK_SLACK_S = live_cases.CLOCK_SLACK_S


class Pinned(live_cases.Live):
    """A pair of namespaces, and a separate BPF file system for the pins, which end with the case."""

    def setUp(self):
        super().setUp()
        self.pins, self.state = namespaces.bpf_file_system(self) + "/meter", self.path("state")
        self.pair = namespaces.Pair(self)
        self.pair.wait_quiet()

    def pinned(self, name, *arguments, **options):
        sizes = {"--max-flows": "4096", "--event-memory": "4"}
        small = [word for size in sizes.items() if size[0] not in arguments for word in size]
        return self.start(self.pair.a, "--pin", self.pins, "--state-dir", self.state, *small, *arguments, name=name, **options)

    def pinned_links(self):
        return [name for name in os.listdir(self.pins) if name.startswith("link-")]

    def wait_kept(self, live):
        """Until all that has happened is kept for a program that starts after a kill, which is done each second."""
        time.sleep(1.5)
        meter.wait_for("it is quiet", lambda: live.process.poll() is None)

    def kill(self, live):
        live.process.kill()
        live.process.wait()

    def stop(self, live, signal_number=signal.SIGTERM):
        """A stop without --unpin, or for a restart: metering continues."""
        done = live.stop(signal_number)
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        meter.assert_balanced(self, done.account)
        self.assertIn("the kernel continues metering", done.err)
        self.assertTrue(os.path.exists(self.pins + "/journal"))
        return done

    def end(self, *lives, killed_under_load=False):
        """Stops the last meter, which was started with --unpin. Its account covers all meters, so their rows are added
        up. Uncounted packets (their entry stayed locked) are known to the daemon alone, so a killed daemon loses
        them."""
        last = lives[-1]
        done = last.stop()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        meter.assert_balanced(self, done.account)
        uncounted = int(re.search(r" uncounted=(\d+)", done.err)[1]) if killed_under_load else 0
        self.assertLessEqual(done.account["lost"], uncounted, done.err)
        self.assertEqual(done.account["in_rows"] + done.account["lost"], done.account["metered"], done.err)
        rows = [row for live in lives for row in live.rows()]
        self.assertEqual(meter.packets_in(rows), done.account["in_rows"], done.err)
        self.assertEqual(len(last.rows()), done.account["flows"], done.err)
        for line in done.err.splitlines():  # link_packets counts since the last start only
            if match := re.search(r"info: veth0 \w+gress: .* buffers=(\d+) .*link_packets=(\d+)", line):
                self.assertGreaterEqual(int(match[1]), int(match[2]), line)
        self.assertFalse(os.path.exists(self.pins), "the pins must be gone")
        self.assertEqual(os.listdir(self.state), [], "the flows' state must be gone")
        return rows, done

    def without_multicast(self, rows):
        return {tuple(row[name] for name in FLOW): row for row in rows if not row["dst_ip"].startswith("ff")}

    def same_as_reference(self, rows, reference, times=live_cases.TIMES):
        reference.stop_clean()
        expected, found = self.without_multicast(reference.rows()), self.without_multicast(rows)
        self.assertEqual(found.keys(), expected.keys())
        self.assertEqual(len([row for row in rows if not row["dst_ip"].startswith("ff")]), len(found), "a row per flow")
        for key, row in found.items():
            for column in live_cases.UNTIMED:
                self.assertEqual(row[column], expected[key][column], f"{column} of {key}")
            for column in times:
                self.assertAlmostEqual(float(row[column]), float(expected[key][column]), delta=CLOCK_SLACK_S,
                                       msg=f"{column} of {key}")
            starts = [datetime.datetime.fromisoformat(each["timestamp"]) for each in (row, expected[key])]
            self.assertLess(abs(starts[0] - starts[1]).total_seconds(), CLOCK_SLACK_S, f"timestamp of {key}")


class Talkers:
    """UDP and TCP flows over both IP versions that continue until they are told to stop."""

    def __init__(self, case):
        self.case, self.packets, self.udp, self.tcp = case, 0, [], []
        pair = case.pair
        for number, (ours, theirs) in enumerate(((A4, B4), (A6, B6))):
            client, server = case.udp(pair.a, ours, 42000 + number), case.udp(pair.b, theirs, 53)
            self.udp.append((client, (ours, 42000 + number), server, (theirs, 53)))

    def talk(self, rounds=20):
        for i in range(rounds):
            for client, ours, server, theirs in self.udp:
                client.sendto(bytes(i), theirs)
                server.recv(100)
                server.sendto(bytes(2 * i), ours)
                client.recv(100)
        self.packets += 4 * rounds

    def sent(self, rows):
        return sum(int(row["tot_fwd_pkts"]) + int(row["tot_bwd_pkts"]) for row in rows if row["protocol"] == "17"
                   and row["src_port"] in ("42000", "42001"))
