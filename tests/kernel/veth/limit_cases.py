# SPDX-License-Identifier: BSD-3-Clause
"""Shared by the live tests at the limits. In each of them the conservation law holds: seen = metered + named classes,
and metered = packets in rows + lost."""
import collections
import json
import os
import re
import signal

import live_cases
import meter

NOBODY4 = "198.51.100.77"  # frames to it reach the peer, which drops them without an answer
UDP_SEGMENT = 103  # not in Python's socket module
HEADERS = 14 + 20 + 8  # Ethernet, IPv4, UDP


def numbers(line):
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line)}


def totals(text):
    """The account lines of the whole run (not of one hook), oldest first. A line that is being written is left out."""
    lines = text[:text.rfind("\n") + 1].splitlines()
    return [numbers(line) for line in lines if line.startswith("flowmeter-ebpf: info: seen=")]


def hooks(text):
    """{(interface, hook): counters} from the lines that -v adds at the end."""
    found = re.findall(r"info: (\S+) (ingress|egress): (seen=.*)", text)
    return {(interface, hook): numbers(line) for interface, hook, line in found}


def rare(text):
    """events_lost, uncounted, evicted and so on, which -v adds at the end."""
    return numbers(next(line for line in text.splitlines() if " events_lost=" in line))


class Limits(live_cases.Live):
    PATIENCE = 1

    def assert_balanced(self, account):
        classes = {name: number for name, number in account.items()
                   if name not in ("seen", "flows", "in_rows", "open", "open_flows", "lost", "kernel_only")}
        self.assertIn("metered", classes)
        self.assertEqual(account["seen"], sum(classes.values()), account)

    def finish(self, live, signal_number=signal.SIGTERM, seconds=60):
        """Ends the run. All losses are reported, and everything else is in rows. Returns (Finished, rows)."""
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
        """Asks for the account by SIGUSR1."""
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
        """Returns an address to which b never answers."""
        mac = json.loads(pair.b.ip("-j", "link", "show", "dev", "veth0"))[0]["address"]
        pair.a.ip("neigh", "replace", NOBODY4, "lladdr", mac, "dev", "veth0", "nud", "permanent")
        return NOBODY4

    def on_one_cpu(self):
        """From now on, packets that this thread sends go into one event stream."""
        cpus = os.sched_getaffinity(0)
        self.addCleanup(os.sched_setaffinity, 0, cpus)
        os.sched_setaffinity(0, {min(cpus)})

    @staticmethod
    def packets_by_port(rows):
        ports = collections.Counter()
        for row in rows:
            ports[int(row["dst_port"])] += int(row["tot_fwd_pkts"])
        return ports
