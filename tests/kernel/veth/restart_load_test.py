# SPDX-License-Identifier: BSD-3-Clause
"""--pin under load: restarts that nobody notices. Thousands of new flows come in each second while programs stop and
start, and the rows are those of a program that was never interrupted, in every column."""
import random
import threading
import time

import live_cases
from namespaces import A4, B4
from restart_cases import Pinned

RESTARTS = 20


class Load:
    """New flows at a rate, each of one to four packets, and some that go on all the time."""

    def __init__(self, case, rate):
        self.case, self.rate, self.stop, self.sent = case, rate, threading.Event(), {}
        self.sockets = [case.udp(case.pair.a, A4, 42000 + i) for i in range(16)]
        self.thread = threading.Thread(target=self._send)

    def _send(self):
        random_numbers, begun, flows = random.Random(7), time.monotonic(), 0
        recent = []
        while not self.stop.is_set():
            for _ in range(int((time.monotonic() - begun) * self.rate) - flows):
                key = (42000 + flows % 16, 1000 + flows // 16 % 40000)
                recent.append(key)
                for each in (key, random_numbers.choice(recent), (42000 + flows % 8, 50000)):
                    self.sockets[each[0] - 42000].sendto(b"x" * random_numbers.randrange(40), (B4, each[1]))
                    self.sent[each] = self.sent.get(each, 0) + 1
                recent = recent[-4096:]
                flows += 1
            time.sleep(0.002)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


class Unnoticed(Pinned):
    """The packets of a flow come close together, so the reference ends the same flows at the same time."""

    def restarts(self, rate, *arguments):
        sizes = ("--max-flows", "200000", "--event-memory", "64", "--idle-timeout", "3")
        reference = self.start(self.pair.a, *sizes, name="reference").wait_attached()
        lives = [self.pinned("run-0", *sizes, *arguments).wait_attached()]
        with Load(self, rate) as load:
            for number in range(1, RESTARTS + 1):
                time.sleep(0.3)
                self.stop(lives[-1])
                last = ("--unpin",) if number == RESTARTS else ()
                lives.append(self.pinned(f"run-{number}", *sizes, *arguments, *last).wait_attached())
        self.pair.wait_quiet()
        rows, done = self.end(*lives)
        self.assertEqual([line for line in done.warnings if "times are missing" in line], [])
        self.compare(rows, reference, load)

    def compare(self, rows, reference, load):
        reference.stop_clean()
        expected = self.by_flow(reference.rows())
        found = self.by_flow(rows)
        sent = {(str(source), str(target)): packets for (source, target), packets in load.sent.items()}
        counted = {(ports[0], ports[1]): sum(int(row["tot_fwd_pkts"]) for row in each)
                   for ports, each in found.items() if ports in sent}
        self.assertEqual(counted, sent, "every packet in exactly one row")
        self.assertEqual(found.keys(), expected.keys())
        for ports, each in found.items():
            self.assertEqual(len(each), len(expected[ports]), ports)
            for row, other in zip(each, expected[ports]):
                for column in live_cases.UNTIMED:
                    self.assertEqual(row[column], other[column], f"{column} of {ports}")
                for column in live_cases.TIMES:
                    self.assertAlmostEqual(float(row[column]), float(other[column]), delta=live_cases.CLOCK_SLACK_S,
                                           msg=f"{column} of {ports}")

    def by_flow(self, rows):
        """[ports]: its rows, by time."""
        flows = {}
        for row in rows:
            if row["protocol"] == "17" and row["dst_ip"] == B4:
                flows.setdefault((row["src_port"], row["dst_port"]), []).append(row)
        for each in flows.values():
            each.sort(key=lambda row: row["timestamp"])
        return flows

    def test_few_new_flows(self):
        self.restarts(500)

    def test_many_new_flows(self):
        self.restarts(3000)

    def test_many_new_flows_datapath_kernel(self):
        self.restarts(3000, "--datapath", "kernel")
