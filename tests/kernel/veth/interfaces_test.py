# SPDX-License-Identifier: BSD-3-Clause
"""Live metering of several interfaces: patterns, interfaces that come, go, are renamed or moved, and other network
namespaces. Every case checks the account, and where nothing else was on the wire the kernel's own counters. Needs root."""
import os
import threading
import time
import unicodedata

import meter
import namespaces
from interface_cases import Interfaces, address, end_of_wire, hooks, wait_quiet, wire


class Selection(Interfaces):
    """Which interfaces are metered. `left` has three ends of wires: veth1, veth2 and port3."""

    def setUp(self):
        super().setUp()
        self.left, self.right = namespaces.Namespace(self, "l"), namespaces.Namespace(self, "r")
        self.names = {1: "veth1", 2: "veth2", 3: "port3"}
        for number, name in self.names.items():
            wire(number, self.left, name, self.right, f"peer{number}")
        wait_quiet(*((self.left, name) for name in self.names.values()))

    def metered(self, patterns, *arguments):
        """Returns the wires whose packets are counted, and checks that all of their packets are."""
        live = self.start_on(self.left, patterns, *arguments).wait_attached()
        for number in self.names:
            self.send(self.left, address(number, 1), address(number, 2), 10 + number, 43000 + number)
        loop = self.udp(self.left, "127.0.0.1", 43009, ("127.0.0.1", 43009))
        loop.send(b"x")
        wait_quiet(*((self.left, name) for name in self.names.values()))
        done = self.stop_clean(live)
        found, names = set(), {name for name, _ in hooks(done)}
        for number, name in self.names.items():
            count = self.sent(live, 43000 + number)
            self.assertIn(count, ((0, 0), (10 + number, 0)))
            self.assertEqual(count[0] > 0, name in names)
            if count[0]:
                found.add(number)
                for direction in ("ingress", "egress"):
                    hook = hooks(done)[name, direction]
                    self.assertEqual(hook["buffers"], hook["link_packets"], done.err)
                row, = [row for row in self.of_ports(live.rows(), 43000 + number) if row["protocol"] == "17"]
                self.assertEqual((row["interface"], row["direction"]), (name, "egress"))
        if "lo" in names:
            self.assertEqual(self.sent(live, 43009), (1, 0), "a packet on loopback counts once")
            found.add("lo")
        return found

    def test_several_names(self):
        self.assertEqual(self.metered(["veth1", "port3"]), {1, 3})

    def test_glob(self):
        self.assertEqual(self.metered(["veth*"]), {1, 2})

    def test_regular_expression(self):
        self.assertEqual(self.metered(["/^(veth2|port)/"]), {2, 3})

    def test_any(self):
        self.assertEqual(self.metered(["any"]), {1, 2, 3, "lo"})

    def test_an_interface_that_several_match_is_metered_once(self):
        self.assertEqual(self.metered(["veth1", "veth*", "/1$/"]), {1, 2})

    def test_several_names_per_interface(self):
        self.assertEqual(self.metered(["veth1", "port3"], "--per-interface"), {1, 3})

    def test_a_name_that_is_not_there_fails(self):
        self.one_error(self.start_on(self.left, ["veth1", "nosuch0"]).wait(), "nosuch0")
        self.assertFalse(os.path.exists(self.path("live.csv")))


class Changes(Interfaces):
    """Interfaces that come and go. `host` is metered."""

    def setUp(self):
        super().setUp()
        self.host, self.peer = namespaces.Namespace(self, "h"), namespaces.Namespace(self, "p")

    def wire(self, number):
        """Adds veth<number> to the host."""
        wire(number, self.host, f"veth{number}", self.peer, f"peer{number}")

    def test_later_interfaces(self):
        """They are metered within a second, so packets after that are counted. A loaded machine may be late, but the
        best of four attempts must be in time."""
        live = self.start_on(self.host, ["veth*"]).wait_attached()
        self.assertIn("no interface matches yet", live.err())
        late = []
        for number in range(1, 5):
            begin = time.monotonic()
            self.wire(number)
            self.wait_metering(live, f"veth{number}")
            late.append(time.monotonic() - begin)
            wait_quiet((self.host, f"veth{number}"))
            self.send(self.host, address(number, 1), address(number, 2), 25, 43000 + number)
            self.send(self.peer, address(number, 2), address(number, 1), 15, 44000 + number)
        wait_quiet(*((self.host, f"veth{number}") for number in range(1, 5)))
        self.stop_clean(live)
        for number in range(1, 5):
            self.assertEqual(self.sent(live, 43000 + number), (25, 0))
            self.assertEqual(self.sent(live, 44000 + number), (15, 0))
        print("metered after", *(f"{seconds * 1e3:.0f}" for seconds in late), "ms")
        self.assertLess(min(late), 1.0)

    def test_thirty_at_once(self):
        live = self.start_on(self.host, ["veth*"]).wait_attached()
        script, other = [], []
        numbers = range(1, 31)
        for number in numbers:
            script.append(f"link add veth{number} address 02:00:00:00:{number:02x}:01 type veth "
                          f"peer name peer{number} address 02:00:00:00:{number:02x}:02 netns {self.peer.name}")
            script.append(f"addr add {address(number, 1)}/24 dev veth{number}")
            script.append(f"neigh add {address(number, 2)} lladdr 02:00:00:00:{number:02x}:02 dev veth{number}")
            script.append(f"link set veth{number} addrgenmode none")
            script.append(f"link set veth{number} up")
            other.append(f"link set peer{number} addrgenmode none")
            other.append(f"link set peer{number} up")
        for namespace, lines in ((self.host, script), (self.peer, other)):
            with open(self.path("batch"), "w", encoding="ascii") as batch:
                batch.write("\n".join(lines) + "\n")
            namespace.ip("-batch", self.path("batch"))
        for number in numbers:
            self.wait_metering(live, f"veth{number}")
        for number in numbers:
            self.send(self.host, address(number, 1), address(number, 2), number, 43000 + number)
        wait_quiet(*((self.host, f"veth{number}") for number in numbers))
        self.stop_clean(live)
        self.assertEqual({number: self.sent(live, 43000 + number) for number in numbers},
                         {number: (number, 0) for number in numbers})

    def test_one_goes_and_others_go_on(self):
        for number in (1, 2):
            self.wire(number)
        wait_quiet((self.host, "veth1"), (self.host, "veth2"))
        live = self.start_on(self.host, ["veth1", "veth2"]).wait_attached()
        for number in (1, 2):
            client = self.send(self.host, address(number, 1), address(number, 2), 20, 43000 + number)
        wait_quiet((self.host, "veth1"), (self.host, "veth2"))
        self.host.ip("link", "del", "veth1")
        meter.wait_for("it is released", lambda: "stopped metering veth1:" in live.err())
        for _ in range(30):
            client.send(b"x")
        wait_quiet((self.host, "veth2"))
        done = self.stop_clean(live, only=["veth2"])
        self.assertEqual((self.sent(live, 43001), self.sent(live, 43002)), ((20, 0), (50, 0)))
        self.assertEqual(hooks(done)["(gone)", "egress"]["metered"], 20, "what it has counted stays in the account")
        row, = self.of_ports(live.rows(), 43001)
        self.assertEqual(row["interface"], "veth1")

    def test_per_interface_the_flows_end_with_it(self):
        for number in (1, 2):
            self.wire(number)
        wait_quiet((self.host, "veth1"), (self.host, "veth2"))
        live = self.start_on(self.host, ["veth*"], "--per-interface").wait_attached()
        for number in (1, 2):
            self.send(self.host, address(number, 1), address(number, 2), 20, 43000 + number)
        self.host.ip("link", "del", "veth1")
        meter.wait_for("its row", lambda: self.of_ports(live.rows(), 43001))
        self.assertEqual(self.of_ports(live.rows(), 43002), [], "no flow of the other has ended")
        self.stop_clean(live)
        self.assertEqual((self.sent(live, 43001), self.sent(live, 43002)), ((20, 0), (20, 0)))

    def test_the_last_named_one_ends_the_run(self):
        for number in (1, 2):
            self.wire(number)
        live = self.start_on(self.host, ["veth1", "veth2"]).wait_attached()
        for number in (1, 2):
            self.send(self.host, address(number, 1), address(number, 2), 20, 43000 + number)
            time.sleep(0.2)
            self.assertIsNone(live.process.poll())
            self.host.ip("link", "del", f"veth{number}")
            time.sleep(0.5)
        done = live.wait()
        self.one_error(done, "veth2", "removed")
        meter.assert_balanced(self, done.account)
        self.assertEqual((done.account["lost"], done.account["in_rows"]), (0, done.account["metered"]), done.err)
        self.assertEqual((self.sent(live, 43001), self.sent(live, 43002)), ((20, 0), (20, 0)))

    def flood(self, number, change):
        """Datagrams through veth<number> both ways from two threads while change() runs; returns how many were taken
        by the sockets."""
        stop = threading.Event()
        counts = []

        def send(client):
            count = 0
            while not stop.is_set():
                try:
                    client.send(b"x" * 40)
                    count += 1
                except OSError:
                    time.sleep(0.001)  # the interface is gone
            counts.append(count)

        threads = [threading.Thread(target=send, args=(client,)) for client in (
            self.udp(self.host, address(number, 1), 43000 + number, (address(number, 2), 9)),
            self.udp(self.peer, address(number, 2), 44000 + number, (address(number, 1), 9)))]
        for thread in threads:
            thread.start()
        try:
            time.sleep(0.4)
            change()
            time.sleep(0.4)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        return sum(counts)

    def test_removal_under_load(self):
        live = self.start_on(self.host, ["veth*"]).wait_attached()
        sent = 0
        for number in (1, 2, 3, 4):
            self.wire(number)
            self.wait_metering(live, f"veth{number}")
            sent += self.flood(number, lambda number=number: self.host.ip("link", "del", f"veth{number}"))
            meter.wait_for("it is released", lambda number=number: f"stopped metering veth{number}:" in live.err())
        done = self.stop_clean(live)
        self.assertGreater(done.account["metered"], 400)
        counted = sum(sum(self.sent(live, base + number)) for base in (43000, 44000) for number in (1, 2, 3, 4))
        self.assertLessEqual(counted, sent)

    def test_renamed_under_load(self):
        self.wire(1)
        wait_quiet((self.host, "veth1"))
        live = self.start_on(self.host, ["veth*"]).wait_attached()
        sent = self.flood(1, lambda: self.host.ip("link", "set", "veth1", "name", "wan0"))
        wait_quiet((self.host, "wan0"), (self.peer, "peer1"))
        self.stop_clean(live, only=["wan0"])
        self.assertEqual(sum(self.sent(live, 43001)) + sum(self.sent(live, 44001)), sent)
        self.assertEqual({row["interface"] for row in live.rows()}, {"wan0"})

    def test_renamed_to_a_name_that_matches(self):
        wire(1, self.host, "other1", self.peer, "peer1")
        wait_quiet((self.host, "other1"))
        live = self.start_on(self.host, ["veth*"]).wait_attached()
        self.send(self.host, address(1, 1), address(1, 2), 5, 43001)
        self.host.ip("link", "set", "other1", "name", "veth1")
        self.wait_metering(live, "veth1")
        self.send(self.host, address(1, 1), address(1, 2), 7, 43002)
        wait_quiet((self.host, "veth1"))
        self.stop_clean(live)
        self.assertEqual((self.sent(live, 43001), self.sent(live, 43002)), ((0, 0), (7, 0)))

    def test_a_name_with_control_characters(self):
        """The kernel accepts almost any bytes. Neither rows nor messages command a terminal, or are no text."""
        self.wire(1)
        self.host.ip("link", "set", "veth1", "name", b"v\xc2\x9b[2J\x1b,\"\x9b\xc3\xa9")
        wait_quiet((self.peer, "peer1"))
        live = self.start_on(self.host, ["any"], "--json", self.path("live.json")).wait_attached()
        self.send(self.host, address(1, 1), address(1, 2), 3, 43001)
        wait_quiet((self.peer, "peer1"))
        live.stop_clean()
        with open(self.path("live.json"), encoding="utf-8") as file:
            text = live.text() + live.err() + file.read()
        self.assertEqual({c for c in text if unicodedata.category(c) == "Cc"}, {"\n"})
        self.assertEqual({row["interface"] for row in live.rows()}, {"v_[2J____\u00e9"})

    def test_moved_to_another_namespace_under_load(self):
        """Packets sent there are not metered. When the interface comes back, it is metered again."""
        for number in (1, 2):
            self.wire(number)
        away = namespaces.Namespace(self, "away")
        live = self.start_on(self.host, ["veth*"]).wait_attached()
        self.flood(1, lambda: self.host.ip("link", "set", "veth1", "netns", away.name))
        meter.wait_for("it is released", lambda: "stopped metering veth1:" in live.err())
        end_of_wire(away, "veth1", 1, 1)
        self.send(away, address(1, 1), address(1, 2), 11, 43011)
        self.send(self.host, address(2, 1), address(2, 2), 12, 43012)
        wait_quiet((away, "veth1"), (self.host, "veth2"))
        away.ip("link", "set", "veth1", "netns", self.host.name)
        self.wait_metering(live, "veth1")
        end_of_wire(self.host, "veth1", 1, 1)
        self.send(self.host, address(1, 1), address(1, 2), 13, 43013)
        wait_quiet((self.host, "veth1"))
        self.stop_clean(live)
        self.assertEqual([self.sent(live, port)[0] for port in (43011, 43012, 43013)], [0, 12, 13])


class OtherNamespace(Interfaces):
    """--netns, from outside."""

    def setUp(self):
        super().setUp()
        self.pair = namespaces.Pair(self)
        self.pair.wait_quiet()

    def outside(self, netns, **options):
        return meter.Meter(self, "live", "-i", "veth0", "--netns", netns, **options)

    def meters_it(self, netns):
        live = self.outside(netns).wait_attached()
        self.send(self.pair.a, namespaces.A4, namespaces.B4, 20, 43000)
        self.send(self.pair.b, namespaces.B4, namespaces.A4, 10, 43001)
        self.pair.wait_quiet()
        self.stop_clean(live, only=["veth0"])
        self.assertEqual((self.sent(live, 43000), self.sent(live, 43001)), ((20, 0), (10, 0)))

    def test_name(self):
        self.meters_it(self.pair.a.name)

    def test_path(self):
        self.meters_it("/run/netns/" + self.pair.a.name)

    def test_pid(self):
        process = self.pair.a.start("sleep", "300")
        meter.wait_for("it is in the namespace", lambda: os.readlink(f"/proc/{process.pid}/ns/net") != os.readlink(
            "/proc/self/ns/net"))
        self.meters_it(str(process.pid))

    def test_by_clsact(self):
        live = meter.Meter(self, "live", "-i", "veth*", "--netns", self.pair.a.name, "--hook", "tc").wait_attached()
        self.send(self.pair.a, namespaces.A4, namespaces.B4, 20, 43000)
        self.pair.wait_quiet()
        self.stop_clean(live, only=["veth0"])
        self.assertEqual(self.sent(live, 43000), (20, 0))
        meter.wait_for("its qdisc is gone", lambda: "clsact" not in self.pair.a.run("tc", "qdisc", "show"))

    def test_errors(self):
        ended = self.pair.a.start("true")
        ended.wait()
        with open(self.path("file"), "w", encoding="ascii"):
            pass
        for netns, *words in (("nosuch", self.pair.a.name), ("/nosuch/ns", "No such file"), (str(ended.pid),),
                              (self.path("file"), "not a network")):
            with self.subTest(netns):
                self.one_error(self.outside(netns).wait(), netns, *words)
        self.assertEqual(self.outside("").wait().code, 2)
        done = meter.Meter(self, "live", "-i", "nosuch0", "--netns", self.pair.a.name).wait()
        self.one_error(done, "nosuch0")
