# SPDX-License-Identifier: BSD-3-Clause
"""Interfaces of containers that come and go fast: what they send is metered from the first packet, or counted as
before_attach. Needs root."""
import signal
import socket
import subprocess
import time

import meter
import namespaces
import packets
from interface_cases import Interfaces, hooks
from limit_cases import totals


def port_of(number):
    return 20000 + number


class Containers(Interfaces):
    """`host` is metered. Nothing is on the wires but what a test sends: there is no IPv6, and frames are sent as they are,
    to an address that nobody has."""

    def setUp(self):
        super().setUp()
        self.host, self.inside = namespaces.Namespace(self, "h"), namespaces.Namespace(self, "c")
        for namespace in (self.host, self.inside):
            namespace.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        with self.inside.inside():
            self.sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.addCleanup(self.sender.close)

    def batch(self, namespace, *lines):
        """All in one process, as a container engine makes one."""
        subprocess.run(["ip", "-n", namespace.name, "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True,
                       timeout=60)

    def make(self, number, moved=True):
        """A container's pair of interfaces. moved: both ends begin in the host's namespace, and the host's end goes up
        there, as Docker does it; else one is made inside."""
        host, peer = f"veth{number}", f"eth{number}"
        if moved:
            self.batch(self.host, f"link add {host} type veth peer name {host}p", f"link set {host} up",
                       f"link set {host}p netns {self.inside.name} name {peer}")
        else:
            self.batch(self.host, f"link add {host} type veth peer name {peer} netns {self.inside.name}",
                       f"link set {host} up")
        self.batch(self.inside, f"link set {peer} up")

    def talk(self, number, count, interface=None):
        """Returns how many frames the container has sent to the host, or through another interface."""
        frame = packets.ethernet(packets.ipv4(17, packets.udp(b"x" * 40, sport=port_of(number), dport=9)))
        for _ in range(count):
            self.sender.sendto(frame, (interface or f"eth{number}", 0))
        return count

    def wait_up(self, namespace, interface):
        """A link whose other end has gone up drops packets, and does not count them, until the kernel has noticed."""
        meter.wait_for("the link is up", lambda: "state UP" in namespace.ip("link", "show", interface))

    def remove(self, number):
        self.batch(self.host, f"link del veth{number}")

    def metered(self, live, number):
        return sum(self.sent(live, port_of(number)))

    def before_attach(self, done):
        """{(interface, hook): packets}"""
        return {hook: each["before_attach"] for hook, each in hooks(done).items()}

    def no_warnings(self, done):
        """But that nothing matched at the start."""
        self.assertEqual([line for line in done.warnings if "no interface matches yet" not in line], [], done.err)

    def check(self, live, sent):
        """No packet is missing in both rows and before_attach, and none is in rows twice. What is in both can only be what
        was sent while the program's counters and the interface's were read."""
        done = live.stop_clean()
        self.no_warnings(done)
        before = self.before_attach(done)
        rows = {number: self.metered(live, number) for number in sent}
        for number, count in sent.items():
            self.assertLessEqual(rows[number], count, number)
            alive = before.get((f"veth{number}", "ingress"))
            if alive is not None:
                self.assertGreaterEqual(rows[number] + alive, count, f"veth{number}: {done.err}")
                self.assertLessEqual(alive, count)
        total = sum(before.values())
        self.assertEqual(done.account.get("before_attach", 0), total, done.err)
        self.assertGreaterEqual(sum(rows.values()) + total, sum(sent.values()), done.err)
        self.assertLessEqual(total, sum(sent.values()), done.err)
        return rows, before, done


class Churn(Containers):
    def churn(self, moved):
        """50 a second, if the machine is fast enough. Each talks at once; every fourth stays, and the others live for 0.1 s."""
        live = self.start_on(self.host, ["veth*"]).wait_attached()
        sent, begin = {}, time.monotonic()
        for number in range(1, 151):
            time.sleep(max(0.0, begin + number / 50 - time.monotonic()))
            self.make(number, moved)
            sent[number] = self.talk(number, 10)
            if number > 5 and (number - 5) % 4:
                self.remove(number - 5)
        rate = len(sent) / (time.monotonic() - begin)
        rows, before, _ = self.check(live, sent)
        missed = sum(sent.values()) - sum(rows.values())
        print(f"{rate:.0f} interfaces/s, {missed} of {sum(sent.values())} packets were not metered, "
              f"before_attach={sum(before.values())}")
        # Not those of the milliseconds that attaching takes after the program is at work.
        self.assertLessEqual(sum(before.values()) - missed, sum(sent.values()) // 50)

    def test_ends_that_move(self):
        self.churn(moved=True)

    def test_made_inside(self):
        self.churn(moved=False)

    def test_the_end_that_moves_is_not_metered(self):
        live = self.start_on(self.host, ["veth*"]).wait_attached()
        self.batch(self.host, "link add veth1 type veth peer name veth1p")
        self.batch(self.host, f"link set veth1p netns {self.inside.name} name eth1", "link set veth1 up")
        self.wait_metering(live, "veth1")
        self.batch(self.inside, "link set eth1 up")
        sent = {1: self.talk(1, 20)}
        rows, before, done = self.check(live, sent)
        self.assertEqual((rows[1], sum(before.values())), (20, 0))
        self.assertNotIn("veth1p", done.err)

    def test_the_records_are_read_while_many_are_attached(self):
        """Each waits for the kernel. The account that is asked for meanwhile does not wait for all of them."""
        live = self.start_on(self.host, ["veth*"]).wait_attached()
        numbers = range(1, 61)
        with meter.stopped(live):
            self.batch(self.host, *(f"link add veth{number} type veth peer name eth{number} netns {self.inside.name}"
                                    for number in numbers))
            live.process.send_signal(signal.SIGUSR1)
        meter.wait_for("an account", lambda: totals(live.err()), 60)
        before, _, _ = live.err().partition("info: seen=")
        self.assertLess(before.count(": metering veth"), len(numbers) // 2, live.err())
        for number in numbers:
            self.wait_metering(live, f"veth{number}")
        self.batch(self.inside, "link set eth60 up")
        self.batch(self.host, "link set veth60 up")
        self.talk(60, 20)
        done = live.stop()
        self.no_warnings(done)
        self.assertEqual(self.metered(live, 60), 20)

    def test_up_and_down(self):
        """It is attached once, and stays."""
        self.make(1, moved=False)
        live = self.start_on(self.host, ["veth*"]).wait_attached()
        sent = 0
        for _ in range(50):
            self.batch(self.host, "link set veth1 down", "link set veth1 up")
            self.wait_up(self.inside, "eth1")
            sent += self.talk(1, 2)
        rows, before, done = self.check(live, {1: sent})
        self.assertEqual((rows[1], sum(before.values())), (100, 0))
        self.assertEqual(done.err.count("metering veth1"), 1, done.err)

    def test_a_pair_in_one_namespace(self):
        """Both ends are metered once they are up. A packet counts once."""
        live = self.start_on(self.host, ["veth*", "eth*"]).wait_attached()
        self.batch(self.host, "link add veth1 type veth peer name eth1", "link set veth1 up", "link set eth1 up")
        self.wait_metering(live, "veth1")
        self.wait_metering(live, "eth1")
        with self.host.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as self.sender:
            sent = {1: self.talk(1, 20)}
        rows, _, _ = self.check(live, sent)
        self.assertEqual(rows[1], 20)


class BeforeAttach(Containers):
    """The daemon is stopped while a container appears."""

    def test_counted_once_over_a_restart(self):
        arguments = ("--pin", namespaces.bpf_file_system(self) + "/meter", "--state-dir", self.path("state"))
        live = self.start_on(self.host, ["veth*"], *arguments).wait_attached()
        with meter.stopped(live):
            self.make(1)
            self.talk(1, 30)
        self.wait_metering(live, "veth1")
        self.talk(1, 5)
        done = live.stop()
        self.assertEqual(done.account["before_attach"], 30, done.err)
        again = self.start_on(self.host, ["veth*"], *arguments, "--unpin", name="again").wait_attached()
        self.talk(1, 5)
        done = again.stop()
        self.assertEqual(done.account["before_attach"], 30, done.err)
        self.assertEqual(hooks(done)["veth1", "ingress"]["before_attach"], 30, done.err)
        self.assertEqual(hooks(done)["veth1", "ingress"]["seen"], 10, done.err)

    def test_gone_before_it_was_attached(self):
        """What a veth has received is known as long as its other end is there, so it is what the host has sent."""
        live = self.start_on(self.host, ["veth*"]).wait_attached()
        with self.host.inside():
            self.sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.addCleanup(self.sender.close)
        with meter.stopped(live):
            self.make(1)
            self.wait_up(self.host, "veth1")
            self.talk(1, 30, "veth1")
            self.remove(1)
        self.make(2)
        self.wait_metering(live, "veth2")
        done = live.stop_clean()
        self.no_warnings(done)
        self.assertEqual(done.account["before_attach"], 30, done.err)
        self.assertEqual(self.before_attach(done)["(gone)", "egress"], 30, done.err)

    def test_what_the_host_sends_while_programs_are_attached(self):
        """First those at ingress, of all; some containers vanish before they have one at egress, or the run ends before."""
        live = self.start_on(self.host, ["veth*"]).wait_attached()
        with self.host.inside():
            self.sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.addCleanup(self.sender.close)
        numbers = range(1, 25)
        with meter.stopped(live):
            for number in numbers:
                self.make(number)
            for number in numbers:
                self.wait_up(self.host, f"veth{number}")
        for _ in range(10):
            for number in numbers:
                self.talk(number, 1, f"veth{number}")
        for number in numbers[::4]:
            self.remove(number)
        done = live.stop_clean()
        self.no_warnings(done)
        before = self.before_attach(done)
        rows = {number: self.metered(live, number) for number in numbers}
        self.assertLessEqual(max(rows.values()), 10)
        missing = {number: 10 - rows[number] - before.get((f"veth{number}", "egress"), 0) for number in numbers}
        self.assertLessEqual(sum(max(0, count) for count in missing.values()), before.get(("(gone)", "egress"), 0), done.err)

    def test_not_attached_when_the_run_ends(self):
        """The daemon is told to end before it can attach to two containers that have talked, and a pair that never was up."""
        live = self.start_on(self.host, ["veth*"]).wait_attached()
        with meter.stopped(live):
            for number in (1, 2):
                self.make(number)
                self.wait_up(self.host, f"veth{number}")
                self.talk(number, 10 * number)
            self.batch(self.host, "link add veth3 type veth peer name veth3p")
            live.process.send_signal(signal.SIGTERM)
        done = live.wait()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        self.no_warnings(done)
        before = sum(self.before_attach(done).values())
        self.assertEqual(before + self.metered(live, 1) + self.metered(live, 2), 30, done.err)
        self.assertEqual(done.account["before_attach"], before, done.err)

    def test_what_was_there_at_the_start_is_not_counted(self):
        self.make(1)
        self.talk(1, 30)
        live = self.start_on(self.host, ["veth*"]).wait_attached()
        self.talk(1, 5)
        done = live.stop_clean()
        self.assertNotIn("before_attach", done.account)
        self.assertEqual(self.before_attach(done)["veth1", "ingress"], 0, done.err)
        self.assertEqual(self.metered(live, 1), 5)

    def test_only_what_passed_after_it_matched(self):
        self.batch(self.host, f"link add other1 type veth peer name eth1 netns {self.inside.name}", "link set other1 up")
        self.batch(self.inside, "link set eth1 up")
        self.talk(1, 30)
        live = self.start_on(self.host, ["veth*"]).wait_attached()
        with meter.stopped(live):
            self.batch(self.host, "link set other1 name veth1")
            self.talk(1, 7)
        self.wait_metering(live, "veth1")
        self.talk(1, 5)
        rows, before, _ = self.check(live, {1: 12})
        self.assertEqual((rows[1], before["veth1", "ingress"]), (5, 7))
