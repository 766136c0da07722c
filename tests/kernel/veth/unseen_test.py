# SPDX-License-Identifier: BSD-3-Clause
"""Packets that cannot be metered, and interfaces that cannot be attached for a while: warnings say so, with their number.
Needs root."""
import os
import re
import socket
import subprocess
import time

import meter
import namespaces
import restart_test
from interface_cases import Interfaces, address, hooks, wait_quiet, wire

SOL_PACKET, PACKET_QDISC_BYPASS = 263, 20


class PastTheQueueingDiscipline(Interfaces):
    def setUp(self):
        super().setUp()
        self.host, self.peer = namespaces.Namespace(self, "h"), namespaces.Namespace(self, "p")
        wire(1, self.host, "veth1", self.peer, "peer1")
        wait_quiet((self.host, "veth1"))

    def send_past(self, count):
        with self.host.inside():
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with sender:
            sender.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
            sender.bind(("veth1", 0))
            for _ in range(count):
                sender.send(bytes.fromhex("020000000102" "020000000101" "88b5") + bytes(50))

    def warning(self, live):
        return [line for line in live.err().splitlines() if "PACKET_QDISC_BYPASS" in line]

    def test_beside_others(self):
        """The warning comes while it runs, and says how many."""
        live = self.start_on(self.host, ["veth1"]).wait_attached()
        self.send(self.host, address(1, 1), address(1, 2), 5, 43001)
        self.send_past(200)
        line, = meter.wait_for("the warning", lambda: self.warning(live))
        told = re.search(r"veth1 egress \(tcx\): the kernel has sent (\d+) packets that did not reach the program", line)
        self.assertTrue(16 <= int(told[1]) <= 200, line)
        done = self.stop_clean(live)
        self.assertEqual(len(done.warnings), 1, done.err)
        self.assertEqual(self.sent(live, 43001), (5, 0))
        egress = hooks(done)["veth1", "egress"]
        self.assertEqual(egress["link_packets"] - egress["buffers"], 200, done.err)

    def test_nothing_else(self):
        live = self.start_on(self.host, ["veth1"]).wait_attached()
        self.send_past(50)
        line, = meter.wait_for("the warning", lambda: self.warning(live))
        self.assertRegex(line, "none reaches the program|did not reach the program")  # a multicast report may have
        self.assertEqual(len(self.stop_clean(live).warnings), 1)

    def test_a_few_are_no_reason_to_warn(self):
        live = self.start_on(self.host, ["veth1"]).wait_attached()
        self.send(self.host, address(1, 1), address(1, 2), 5, 43001)
        self.send_past(10)
        wait_quiet((self.host, "veth1"))
        self.assertEqual(self.stop_clean(live).warnings, [])


class Shortage(Interfaces):
    """The meter has few descriptors, while interfaces appear."""

    def setUp(self):
        super().setUp()
        self.host, self.peer = namespaces.Namespace(self, "h"), namespaces.Namespace(self, "p")

    def limit(self, live, descriptors):
        subprocess.run(["prlimit", "--pid", str(live.process.pid), f"--nofile={descriptors}:"], check=True)

    def start_with_room_for(self, interfaces, more=1):
        """An interface needs two descriptors; another is needed only for a moment."""
        live = self.start_on(self.host, ["veth*"]).wait_attached()
        looks = []
        for _ in range(5):  # it opens a socket for a moment each second
            looks.append({int(name) for name in os.listdir(f"/proc/{live.process.pid}/fd")})
            time.sleep(0.02)
        used = set.intersection(*looks)
        free = [fd for fd in range(1024) if fd not in used]
        self.limit(live, free[2 * interfaces + more])
        return live

    def short_of(self, interfaces):
        """Starts with room for two; then this many appear. The last ones get packets while they wait."""
        live = self.start_with_room_for(2)
        for number in range(1, interfaces + 1):
            wire(number, self.host, f"veth{number}", self.peer, f"peer{number}")
        meter.wait_for("the warning", lambda: "Too many open files" in live.err())
        for number in range(3, interfaces + 1):
            self.assertNotIn(f": metering veth{number}\n", live.err())
            self.send(self.host, address(number, 1), address(number, 2), 30, 42000 + number)
            wait_quiet((self.host, f"veth{number}"))
        return live

    def test_attached_when_there_is_room_again(self):
        numbers = range(1, 13)
        live = self.short_of(len(numbers))
        self.limit(live, 1024)
        for number in numbers:
            self.wait_metering(live, f"veth{number}")
            self.send(self.host, address(number, 1), address(number, 2), number, 43000 + number)
        wait_quiet(*((self.host, f"veth{number}") for number in numbers))
        meter.wait_for("the end of the shortage", lambda: "all interfaces are metered again" in live.err())
        done = self.stop_clean(live)
        self.assertEqual({number: self.sent(live, 43000 + number)[0] for number in numbers},
                         {number: number for number in numbers})
        first, last = done.warnings[-2:]
        self.assertIn("tried again each second", first)
        unmetered = int(re.search(r"; (\d+) packets passed unmetered", last)[1])
        of_hooks = sum(each["before_attach"] for each in hooks(done).values())
        self.assertGreaterEqual(unmetered, 10 * 30, done.err)
        self.assertGreaterEqual(of_hooks, 10 * 30, done.err)
        self.assertEqual(done.account["before_attach"], of_hooks, done.err)

    def test_to_the_end(self):
        live = self.short_of(4)
        done = self.stop_clean(live)
        self.assertRegex(done.warnings[-1], r"2 interfaces could not be attached to the end \(veth3, …\); \d+ packets passed")
        self.assertEqual(hooks(done)["veth3", "egress"]["seen"], 0, done.err)
        self.assertGreaterEqual(hooks(done)["veth3", "egress"]["before_attach"], 30, done.err)

    def room_for(self, descriptors):
        """However often it is tried, each packet counts once, but for those that pass while counters are read."""
        live = self.start_with_room_for(0, descriptors)
        wire(1, self.host, "veth1", self.peer, "peer1")
        for second in range(4):
            self.send(self.host, address(1, 1), address(1, 2), 30, 42000 + second)
            self.send(self.peer, address(1, 2), address(1, 1), 30, 42000 + second)
            time.sleep(1)
        wait_quiet((self.host, "veth1"))
        carried = dict(zip(("ingress", "egress"), self.counters("veth1")))
        done = live.stop()
        self.assertEqual(done.code, 0, done.err)
        for hook, packets in carried.items():
            each = hooks(done)["veth1", hook]
            self.assertGreaterEqual(each["buffers"] + each["before_attach"], packets, done.err)
            self.assertLessEqual(each["buffers"] + each["before_attach"], packets + 30, done.err)

    def test_no_room_for_a_program(self):
        self.room_for(1)

    def test_room_for_one_program(self):
        self.room_for(2)

    def test_room_for_both_but_not_for_a_look_at_counters(self):
        self.room_for(3)

    def counters(self, interface):
        with self.host.inside(), open("/proc/thread-self/net/dev", encoding="ascii") as file:
            line, = (line for line in file if f"{interface}:" in line)
        fields = line.split(":")[1].split()
        return int(fields[1]), int(fields[9])

    def test_gone_before_there_was_room(self):
        """What takes its place is metered."""
        live = self.short_of(3)
        self.host.ip("link", "del", "veth1")
        self.wait_metering(live, "veth3")
        self.send(self.host, address(3, 1), address(3, 2), 7, 43003)
        wait_quiet((self.host, "veth3"))
        self.stop_clean(live)
        self.assertEqual(self.sent(live, 43003), (7, 0))


class Start(restart_test.Pinned):
    def test_a_start_without_enough_descriptors_changes_nothing(self):
        """Whatever it lacks a descriptor for, the kernel continues for the next start."""
        first = self.pinned("first").wait_attached()
        self.pair.wait_quiet()
        talkers = restart_test.Talkers(self)
        talkers.talk()
        self.stop(first)
        links, refused = self.pinned_links(), 0
        for descriptors in range(8, 64):
            second = self.pinned(f"second{descriptors}", "--unpin", prefix=("prlimit", f"--nofile={descriptors}:"))
            meter.wait_for("its start", lambda: second.process.poll() is not None or ": metering " in second.err())
            if second.process.poll() is None:
                break
            self.one_error(second.wait())
            self.assertEqual(self.pinned_links(), links, second.err())
            refused += 1
            talkers.talk(2)
        self.assertGreater(refused, 10)
        talkers.talk()
        self.pair.wait_quiet()
        rows, _ = self.end(first, second)
        self.assertEqual(talkers.sent(rows), talkers.packets)
