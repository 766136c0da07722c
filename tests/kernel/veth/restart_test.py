# SPDX-License-Identifier: BSD-3-Clause
"""--pin: metering outlives the program. A program that is started after another was killed or stopped continues with
the same flows. Packets sent in between count, and none counts twice. A meter that runs all the time without --pin is
the reference."""
import json
import os
import re
import shutil
import signal
import threading
import time

import meter
import namespaces
from namespaces import A4, B4, B6
from restart_cases import Pinned, Talkers


class Restart(Pinned):
    def continues(self, interrupt, *arguments, kept=True):
        """The rows are those of a program that was never interrupted. Only a program that is killed before it has kept
        the flows (kept=False) loses times, with datapath "events"; a warning says of how many packets."""
        arguments = (*arguments, "--fleet", "--meter-id", "both")
        reference = self.start(self.pair.a, "--fleet", "--meter-id", "both", name="reference").wait_attached()
        first = self.pinned("first", *arguments).wait_attached()
        self.pair.wait_quiet()
        talkers = Talkers(self)
        talkers.talk()
        self.pair.a.run("ping", "-q", "-c", "2", "-i", "0.1", B4)
        if kept:
            self.wait_kept(first)
        else:
            time.sleep(0.3)  # until all is drained
        interrupt(first)
        talkers.talk()
        self.pair.a.run("ping", "-q", "-c", "2", "-i", "0.1", B6)
        second = self.pinned("second", "--unpin", *arguments).wait_attached()
        self.assertIn("took over", second.err())
        talkers.talk()
        self.pair.wait_quiet()
        rows, done = self.end(first, second)
        self.assertEqual(first.rows(), [], "no flow had ended")
        self.assertEqual(talkers.sent(rows), talkers.packets)
        if kept:
            self.assertEqual(done.warnings, [])
            self.same_as_reference(rows, reference)
        else:
            for warning in done.warnings:
                flows, packets = re.search(r"times are missing: (\d+) flows .* lack (\d+) of", warning).groups()
                self.assertLessEqual(int(flows), 3, "those that the first program knew")
                self.assertLessEqual(int(packets), 164, done.err)
            self.same_as_reference(rows, reference, ("flow_duration",))
        self.has_ids_of_its_own(rows, reference.rows())

    def has_ids_of_its_own(self, rows, others):
        """Two meters of one name at the same time: their runs make the difference. Each row here is a flow."""
        for name in ("flow_id", "flow_key"):
            self.assertEqual(len({row[name] for row in (*rows, *others)}), len(rows) + len(others), name)
        found, expected = self.without_multicast(rows), self.without_multicast(others)
        self.assertEqual({key: row["community_id"] for key, row in found.items()},
                         {key: row["community_id"] for key, row in expected.items()})

    def test_killed(self):
        self.continues(self.kill)

    def test_killed_before_the_flows_are_kept(self):
        self.continues(self.kill, kept=False)

    def test_killed_datapath_kernel(self):
        self.continues(self.kill, "--datapath", "kernel")

    def test_stopped(self):
        self.continues(self.stop)

    def test_stopped_datapath_kernel(self):
        self.continues(self.stop, "--datapath", "kernel")

    def test_killed_xdp(self):
        self.continues(self.kill, "--hook", "xdp-generic")

    def under_load(self, *arguments):
        """Killed and started again, over and over, while packets are sent both ways."""
        stop, counts = threading.Event(), []

        def send(sender, target):
            count = 0
            while not stop.is_set():
                sender.sendto(b"x" * 20, target)
                count += 1
                time.sleep(0.0005)
            counts.append(count)

        a, b = self.udp(self.pair.a, A4, 42000), self.udp(self.pair.b, B4, 42001)
        live = self.pinned("run-0", *arguments).wait_attached()
        threads = [threading.Thread(target=send, args=each) for each in ((a, (B4, 42001)), (b, (A4, 42000)))]
        for thread in threads:
            thread.start()
        lives = [live]
        try:
            for number in range(1, 5):
                time.sleep(0.3)
                self.kill(lives[-1])
                time.sleep(0.3)
                last = ("--unpin",) if number == 4 else ()
                lives.append(self.pinned(f"run-{number}", *arguments, *last).wait_attached())
            time.sleep(0.3)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.pair.wait_quiet()
        rows, done = self.end(*lives, killed_under_load=True)
        row, = [row for row in rows if row["protocol"] == "17"]
        metered = sorted((int(row["tot_fwd_pkts"]), int(row["tot_bwd_pkts"])))
        missing = [sent - counted for sent, counted in zip(sorted(counts), metered)]
        self.assertTrue(all(0 <= each <= done.account["lost"] for each in missing), (counts, metered, done.err))

    def test_killed_under_load(self):
        self.under_load()

    def test_killed_under_load_datapath_kernel(self):
        self.under_load("--datapath", "kernel")

    def rows_of_both(self, *arguments):
        """Flows that ended before, that ended while no program ran, and new ones: each is in one of the two files."""
        first = self.pinned("first", "--idle-timeout", "0.5", *arguments).wait_attached()
        sent = {}

        def send(port, count):
            client = self.udp(self.pair.a, A4, port, (B4, 9))
            for _ in range(count):
                client.send(b"x")
            sent[str(port)] = str(count)

        send(42000, 10)
        meter.wait_for("its row", lambda: self.of_ports(first.rows(), 42000))
        send(42001, 11)
        self.kill(first)
        send(42002, 12)
        time.sleep(0.8)
        second = self.pinned("second", "--idle-timeout", "0.5", "--unpin", *arguments).wait_attached()
        send(42003, 13)
        for port in (42001, 42002, 42003):
            meter.wait_for("its row", lambda port=port: self.of_ports(first.rows() + second.rows(), port))
        rows, _ = self.end(first, second)
        found = [(row["src_port"], row["tot_fwd_pkts"]) for row in rows if row["protocol"] == "17"]
        self.assertEqual(sorted(found), sorted(sent.items()))

    def test_rows_of_both(self):
        self.rows_of_both()

    def test_rows_of_both_datapath_kernel(self):
        self.rows_of_both("--datapath", "kernel")

    def ended_meanwhile(self, *arguments):
        """A flow that the kernel ends by itself while no program runs: a packet comes after the active time-out. The rows
        of both programs continue one flow."""
        arguments = ("--active-timeout", "0.5", "--fleet", *arguments)
        first = self.pinned("first", *arguments).wait_attached()
        client = self.udp(self.pair.a, A4, 42000, (B4, 9))

        def send(count):
            for _ in range(count):
                client.send(b"x")

        send(10)
        time.sleep(0.6)
        send(11)
        meter.wait_for("its row", lambda: self.of_ports(first.rows(), 42000))
        self.wait_kept(first)
        self.kill(first)
        send(12)
        second = self.pinned("second", "--unpin", *arguments).wait_attached()
        time.sleep(0.6)
        send(13)
        self.pair.wait_quiet()
        rows, _ = self.end(first, second)
        rows = [row for row in self.of_ports(rows, 42000) if row["protocol"] == "17"]
        self.assertEqual(sorted(row["tot_fwd_pkts"] for row in rows), ["10", "11", "12", "13"])
        self.assertEqual(len({row["flow_id"] for row in rows}), 4)
        self.assertEqual(len({row["flow_key"] for row in rows}), 1, rows)

    def test_ended_meanwhile(self):
        self.ended_meanwhile()

    def test_ended_meanwhile_datapath_kernel(self):
        self.ended_meanwhile("--datapath", "kernel")

    def test_killed_after_active_timeouts(self):
        """Each kill comes right after an active time-out has ended a flow, which goes on: mostly before the flow that continues
        it was copied. All rows are of one flow."""
        arguments = ("--active-timeout", "0.4", "--fleet", "-c", self.path("all.csv"))
        client = self.udp(self.pair.a, A4, 42000, (B4, 9))
        stopping, sent = threading.Event(), 0

        def send():
            nonlocal sent
            while not stopping.wait(0.02):
                client.send(b"x")
                sent += 1

        def rows():
            with open(self.path("all.csv"), encoding="utf-8") as file:
                return [row for row in meter.rows_of(file.read()) if row["protocol"] == "17" and row["src_port"] == "42000"]

        sender = threading.Thread(target=send, daemon=True)
        run = self.pinned("run", *arguments).wait_attached()
        sender.start()
        try:
            self.wait_kept(run)
            for number in range(6):
                before = len(rows())
                meter.wait_for("a row", lambda: len(rows()) > before)
                self.kill(run)
                run = self.pinned(f"run-{number}", *arguments).wait_attached()
        finally:
            stopping.set()
            sender.join()
        self.kill(run)
        last = self.pinned("last", "--unpin", *arguments).wait_attached()
        self.pair.wait_quiet()
        self.assertEqual(last.stop().code, 0, last.err())
        self.assertEqual(meter.packets_in(rows()), sent)
        self.assertEqual(len({row["flow_id"] for row in rows()}), len(rows()))
        self.assertEqual(len({row["flow_key"] for row in rows()}), 1, rows())

    def test_more_than_the_streams_hold(self):
        """While nobody drains them the streams fill up: times are missing, counts are not, and a line says so."""
        first = self.pinned("first", "--event-memory", "1").wait_attached()
        talkers = Talkers(self)
        talkers.talk()
        self.kill(first)
        client = self.udp(self.pair.a, A4, 43000, (B4, 42999))
        for _ in range(80_000):
            client.send(b"")
        talkers.talk()
        second = self.pinned("second", "--event-memory", "1", "--unpin").wait_attached()
        talkers.talk()
        for _ in range(500):
            client.send(b"")
        self.pair.wait_quiet()
        rows, done = self.end(first, second)
        self.assertEqual(talkers.sent(rows), talkers.packets)
        row, = [row for row in self.of_ports(rows, 43000) if row["protocol"] == "17"]
        self.assertEqual(row["tot_fwd_pkts"], "80500")
        warning, = [line for line in done.warnings if "times are missing" in line]
        self.assertIn("found no room in the event streams (--event-memory", warning)

    def test_the_same_without_events(self):
        """The kernel keeps the times, so nothing is missing."""
        reference = self.start(self.pair.a, name="reference").wait_attached()
        first = self.pinned("first", "--event-memory", "1", "--datapath", "kernel").wait_attached()
        talkers = Talkers(self)
        talkers.talk()
        self.kill(first)
        client = self.udp(self.pair.a, A4, 43000, (B4, 42999))
        for _ in range(40_000):
            client.send(b"")
        talkers.talk()
        second = self.pinned("second", "--event-memory", "1", "--datapath", "kernel", "--unpin").wait_attached()
        talkers.talk()
        self.pair.wait_quiet()
        rows, done = self.end(first, second)
        self.assertEqual(done.warnings, [])
        self.same_as_reference(rows, reference)

    def test_stopped_and_the_flows_are_gone(self):
        """The counts are those of the kernel, and what is missing is told."""
        talkers = Talkers(self)
        first = self.pinned("first").wait_attached()
        talkers.talk()
        self.pair.wait_quiet()
        self.stop(first)
        for name in os.listdir(self.state):
            os.remove(os.path.join(self.state, name))
        second = self.pinned("second", "--unpin").wait_attached()
        talkers.talk()
        self.pair.wait_quiet()
        rows, done = self.end(first, second)
        self.assertEqual(talkers.sent(rows), talkers.packets)
        self.assertIn("does not have the flows as the earlier run has left them", done.warnings[0])

    def test_never_started_again(self):
        """Only pinned objects remain. Removing the directory ends them."""
        first = self.pinned("first").wait_attached()
        objects = first.bpf_objects()
        self.kill(first)
        links = {number for kind, number in objects if kind == "link"}
        self.assertEqual(len(links), 2)
        for link in links:
            self.assertTrue(meter.bpf_object_exists("link", link))
        shutil.rmtree(self.pins)
        meter.wait_for("all are gone", lambda: not [each for each in objects if meter.bpf_object_exists(*each)])
        self.pair.a.run("ping", "-q", "-c", "1", B4)

    def test_unpin(self):
        live = self.pinned("live", "--unpin").wait_attached()
        objects = live.bpf_objects()
        self.assertEqual({kind for kind, _ in objects}, {"link", "prog", "map"})
        self.assertEqual(len(self.pinned_links()), 2)
        Talkers(self).talk()
        self.end(live)
        meter.wait_for("all are gone", lambda: not [each for each in objects if meter.bpf_object_exists(*each)])

    def test_a_restart_is_no_end(self):
        """SIGUSR2 says that another run follows, so --unpin waits for that one."""
        first = self.pinned("first", "--unpin").wait_attached()
        talkers = Talkers(self)
        talkers.talk()
        done = self.stop(first, signal.SIGUSR2)
        self.assertTrue(done.err.endswith("to take over its flows\n"), done.err)
        self.assertEqual(first.rows(), [], "no flow has ended")
        talkers.talk()
        second = self.pinned("second", "--unpin").wait_attached()
        talkers.talk()
        self.pair.wait_quiet()
        rows, done = self.end(first, second)
        self.assertEqual(done.warnings, [])
        self.assertEqual(talkers.sent(rows), talkers.packets)


class Refused(Pinned):
    def refused(self, *words, arguments=(), name="refused"):
        done = self.pinned(name, *arguments).wait()
        self.one_error(done, "--pin", *words)

    def test_while_another_runs(self):
        first = self.pinned("first", "--unpin").wait_attached()
        talkers = Talkers(self)
        talkers.talk()
        self.refused("another flowmeter-ebpf", self.pins)
        talkers.talk()
        rows, _ = self.end(first)
        self.assertEqual(talkers.sent(rows), talkers.packets, "the one that runs was not disturbed")

    def test_other_options(self):
        """The reason is reported and nothing is lost: with the same options it continues."""
        first = self.pinned("first").wait_attached()
        talkers = Talkers(self)
        talkers.talk()
        self.kill(first)
        for arguments, word in ((("--max-flows", "8192"), "--max-flows"), (("--datapath", "kernel"), "--datapath"),
                                (("--event-memory", "8"), "--event-memory"), (("--max-fragments", "100"), "--max-fragments"),
                                (("-i", "lo"), "interfaces")):
            with self.subTest(word):
                self.refused(word, self.pins, arguments=arguments)
        second = self.pinned("second", "--unpin").wait_attached()
        talkers.talk()
        self.pair.wait_quiet()
        rows, _ = self.end(first, second)
        self.assertEqual(talkers.sent(rows), talkers.packets)

    def test_another_version(self):
        """It cannot be read, because nothing describes its layouts. (upgrade_test.py has versions that can be read.)"""
        self.kill(self.pinned("first").wait_attached())
        journal = self.pins + "/journal"
        zero = ("key", "hex", "00", "00", "00", "00")
        found = json.loads(namespaces.run("bpftool", "-j", "map", "lookup", "pinned", journal, *zero))
        stored = found["value"] if isinstance(found["value"], list) else found["formatted"]["value"]
        value = [f"{int(byte, 16):02x}" for byte in stored]

        def flip_schema():
            value[0] = f"{int(value[0], 16) ^ 1:02x}"
            namespaces.run("bpftool", "map", "update", "pinned", journal, *zero, "value", "hex", *value)

        flip_schema()
        os.rename(self.pins + "/layouts", self.pins + "/kept")
        self.refused("incompatible version", "layouts", self.pins)
        os.rename(self.pins + "/kept", self.pins + "/layouts")
        flip_schema()
        self.end(self.pinned("second", "--unpin").wait_attached())

    def test_another_map(self):
        """Each of the pinned maps in turn is replaced by one that looks like it in all but one way."""
        self.kill(self.pinned("first").wait_attached())
        for name in ("flows", "fragments", "interfaces", "streams", "stream_units", "cpu_counters"):
            pin = f"{self.pins}/{name}"
            found = json.loads(namespaces.run("bpftool", "-j", "map", "show", "pinned", pin))
            wrong = dict(found, max_entries=found["max_entries"] + 1)
            with self.subTest(name):
                os.rename(pin, self.pins + "/kept")
                namespaces.run("bpftool", "map", "create", pin, "type", wrong["type"], "key", str(wrong["bytes_key"]),
                               "value", str(wrong["bytes_value"]), "entries", str(wrong["max_entries"]), "name", name,
                               "flags", str(wrong["flags"]))
                self.refused("is not the map", self.pins, arguments=())
                os.remove(pin)
                os.rename(self.pins + "/kept", pin)
        self.end(self.pinned("second", "--unpin").wait_attached())

    def test_not_a_bpf_file_system(self):
        for existed in (False, True):
            directory = self.path(f"directory-{existed}")
            if existed:
                os.mkdir(directory)
            done = self.start(self.pair.a, "--pin", directory).wait()
            self.one_error(done, "--pin", directory, "BPF file system")
            self.assertEqual(os.path.exists(directory), existed, "it is as it was before")

    def test_no_such_directory(self):
        done = self.start(self.pair.a, "--pin", self.path("nosuch/directory")).wait()
        self.one_error(done, "--pin", "nosuch/directory")

    def test_a_first_start_that_fails_leaves_nothing(self):
        """One interface can be metered, the other cannot, as a bridge has no native XDP."""
        try:
            self.pair.a.ip("link", "add", "br0", "type", "bridge")
        except AssertionError as error:
            self.skipTest(f"this kernel has no bridge: {error}")
        self.one_error(self.pinned("live", "-i", "br0", "--hook", "xdp").wait(), "br0", "native XDP")
        self.assertFalse(os.path.exists(self.pins))
        shown = self.pair.a.run("ip", "-d", "link", "show", "dev", "veth0")
        self.assertNotIn("xdp", shown)

    def test_usage(self):
        for arguments in (("--unpin",), ("--pin", ""), ("--pin", self.pins, "--hook", "tc")):
            with self.subTest(arguments):
                self.assertEqual(self.start(self.pair.a, *arguments).wait().code, 2)


class Gone(Pinned):
    """The interface was removed while no program ran."""

    def send(self, address, target, port, count):
        client = self.udp(self.pair.a, address, port, (target, 9))
        for _ in range(count):
            client.send(b"x")

    def second_interface(self):
        self.pair.a.ip("link", "add", "veth7", "type", "veth", "peer", "name", "other7")
        for interface in ("veth7", "other7"):
            self.pair.a.ip("link", "set", interface, "addrgenmode", "none", "up")
        self.pair.a.ip("addr", "add", "198.18.7.1/24", "dev", "veth7")
        self.pair.a.ip("neigh", "add", "198.18.7.2", "lladdr", "02:00:00:00:00:07", "dev", "veth7")

    def one_of_two(self, *arguments):
        self.second_interface()
        first = self.pinned("first", *arguments, interface="veth*").wait_attached()
        self.send(A4, B4, 42000, 10)
        self.send("198.18.7.1", "198.18.7.2", 42001, 11)
        self.kill(first)
        self.send("198.18.7.1", "198.18.7.2", 42002, 12)
        self.pair.a.ip("link", "del", "veth7")
        self.send(A4, B4, 42003, 13)
        second = self.pinned("second", "--unpin", *arguments, interface="veth*").wait_attached()
        self.assertEqual(len(self.pinned_links()), 2)
        self.send(A4, B4, 42004, 14)
        self.pair.wait_quiet()
        rows, _ = self.end(first, second)
        self.assertEqual({row["src_port"]: row["tot_fwd_pkts"] for row in rows if row["protocol"] == "17"},
                         {str(port): str(port - 41990) for port in range(42000, 42005)})

    def test_one_of_two(self):
        self.one_of_two()

    def test_one_of_two_datapath_kernel(self):
        self.one_of_two("--datapath", "kernel")

    def test_one_of_two_per_interface(self):
        self.one_of_two("--per-interface")

    def test_the_only_one(self):
        """Its flows are not lost: a start on another interface writes them."""
        first = self.pinned("first").wait_attached()
        self.send(A4, B4, 42000, 10)
        self.kill(first)
        self.pair.a.ip("link", "del", "veth0")
        self.one_error(self.pinned("second").wait(), "veth0")
        rows, _ = self.end(first, self.pinned("third", "--unpin", interface="lo").wait_attached())
        self.assertEqual([row["tot_fwd_pkts"] for row in self.of_ports(rows, 42000) if row["protocol"] == "17"], ["10"])

    def test_made_again_under_the_same_name(self):
        first = self.pinned("first", interface="veth*").wait_attached()
        self.send(A4, B4, 42000, 10)
        self.kill(first)
        self.pair.a.ip("link", "del", "veth0")
        self.second_interface()
        self.pair.a.ip("link", "set", "veth7", "down")
        self.pair.a.ip("link", "set", "veth7", "name", "veth0")
        self.pair.a.ip("link", "set", "veth0", "up")
        self.pair.a.ip("neigh", "replace", "198.18.7.2", "lladdr", "02:00:00:00:00:07", "dev", "veth0")
        second = self.pinned("second", "--unpin", interface="veth*").wait_attached()
        self.send("198.18.7.1", "198.18.7.2", 42001, 11)
        time.sleep(0.3)
        rows, _ = self.end(first, second)
        self.assertEqual({row["src_port"]: row["tot_fwd_pkts"] for row in rows if row["protocol"] == "17"},
                         {"42000": "10", "42001": "11"})
