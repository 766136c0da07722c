# SPDX-License-Identifier: BSD-3-Clause
"""--attribute where it is hard: ends that send nothing or have no socket, shared networks, containers that come and go.
Needs root."""
import json
import os
import time

import cgroups
import meter
import namespaces
from attribution_cases import Attribution, Container, Peer


class Ends(Attribution):
    """Two containers, and what is known of them although no socket tells it."""

    def setUp(self):
        super().setUp()
        self.one, self.two = Container(self.node, 1, "kubelet"), Container(self.node, 2, "docker, systemd")
        self.client, self.server = (self.one.peer("client"), self.one), (self.two.peer("server"), self.two)

    def rows_of(self, live, protocol):
        return [row for row in self.finished(live) if row["protocol"] == str(protocol)]

    def test_a_server_that_never_answers(self):
        live = self.meter()
        self.udp(self.server, self.client, 1, port=7001)
        self.udp(self.client, self.server, 5, port=7002)
        row, = [row for row in self.rows_of(live, 17) if row["dst_port"] == "7002"]
        self.assert_end(row, self.one, "socket")
        self.assert_end(row, self.two, "interface")

    def test_a_server_that_has_never_sent(self):
        live = self.meter()
        self.udp(self.client, self.server, 5)
        row, = self.rows_of(live, 17)
        self.assert_end(row, self.one, "socket")
        self.assert_unknown(row, self.two.address)

    def test_the_kernel_answers(self):
        live = self.meter()
        self.udp(self.server, self.client, 1)
        with self.assertRaisesRegex(AssertionError, "ConnectionRefused"):
            self.client[0](f"socket.create_connection(({self.two.address!r}, 81), 20)")
        self.one.run("ping", "-q", "-c", "1", self.two.address)
        rows = [row for row in self.finished(live) if row["protocol"] in ("1", "6")]
        self.assertEqual(len(rows), 2)
        for row in rows:
            self.assertEqual((row["tot_fwd_pkts"], row["tot_bwd_pkts"]), ("1", "1"))
            self.assert_end(row, self.one, "socket")
            self.assert_end(row, self.two, "interface")

    def test_a_connection_of_which_the_meter_sees_only_the_end(self):
        """The last packets of the client come from a socket in TIME_WAIT, which has no cgroup."""
        client, server = self.client[0], self.server[0]
        server("l = socket.create_server(('', 80))")
        client(f"c = socket.create_connection(({self.two.address!r}, 80), 20)")
        server("a, _ = l.accept()")
        live = self.meter()
        client("c.shutdown(socket.SHUT_WR)")
        server("assert a.recv(1) == b''; a.close()")
        client("assert c.recv(1) == b''; c.close()")
        row, = self.rows_of(live, 6)
        self.assert_end(row, self.one, "socket")
        self.assert_end(row, self.two, "socket")

    def test_a_container_that_forwards(self):
        router = Container(self.node, 3, "podman")
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0",
                   "net.ipv4.conf.eth0.send_redirects=0")
        router_peer = router.peer("router"), router
        for container, to in ((self.one, self.two), (self.two, self.one)):
            container.namespace.ip("route", "add", to.address + "/32", "via", router.address)
        live = self.meter()
        self.udp(router_peer, self.client, 1, port=7001)
        self.udp(self.client, self.server, 5, 5, port=7002)
        row, = [row for row in self.rows_of(live, 17) if row["dst_port"] == "7002"]
        # Each packet comes to the node twice, from its sender and from the router.
        self.assertEqual((row["tot_fwd_pkts"], row["tot_bwd_pkts"]), ("10", "10"))
        self.assert_end(row, self.one, "socket")
        self.assert_end(row, self.two, "socket")

    def test_groups_belong_to_nobody(self):
        """A bridge sends them to every container."""
        other = Container(self.node, 3)
        live = self.meter()
        for sender in (self.server, (other.peer(), other)):
            self.udp(sender, self.client, 1)
        group, everybody = "239.1.1.1", "255.255.255.255"
        self.client[0]("c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
                       "c.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)",
                       f"for to in {group!r}, {everybody!r}: c.sendto(b'x', (to, 7001))")
        rows = {row["dst_ip"]: row for row in self.rows_of(live, 17)}
        for address in (group, everybody):
            self.assert_end(rows[address], self.one, "socket")
            self.assert_unknown(rows[address], address)

    def test_what_a_bridge_sends_to_all_is_the_receivers(self):
        """It has not learned where the receiver is."""
        other = Container(self.node, 3)
        live = self.meter()
        for sender in (self.server, (other.peer(), other)):
            self.udp(sender, self.client, 1)
        for container in (self.two, other):
            self.node.namespace.run("bridge", "link", "set", "dev", f"veth{container.number}", "learning", "off")
        self.node.namespace.ip("link", "set", "br0", "type", "bridge", "fdb_flush")
        self.udp(self.client, self.server, 3, port=7001)
        self.udp(self.client, (other.peer(), other), 3, port=7002)
        rows = {row["dst_port"]: row for row in self.rows_of(live, 17)}
        for port, container in (("7001", self.two), ("7002", other)):
            found = self.end(rows[port], container.address)
            self.assertIn(found["container_id"], ("", container.id), "another container got a copy")

    def test_the_kernels_sockets_are_not_the_engines(self):
        """IPv6 has a socket for neighbour discovery in each namespace, with the cgroup of who made that."""
        engine = cgroups.Cgroup(self, "system.slice/engine.service")
        with engine.inside():
            containers = [Container(self.node, number) for number in (11, 12)]
        for container in containers:
            container.namespace.ip("addr", "add", f"fd00::{container.number}/64", "dev", "eth0", "nodad")
        live = self.meter()
        containers[0].run("ping", "-q", "-c", "1", "fd00::12")
        rows = [row for row in self.rows_of(live, 58)]
        self.assertTrue(rows)
        for row in rows:
            self.assertNotIn(engine.path, (row["src_cgroup"], row["dst_cgroup"]), row)
        self.assertIn(containers[0].id, [row["src_container_id"] for row in rows], "who has asked for an echo")

    def test_the_network_of_the_host(self):
        """A process in the namespace of the bridge: what it sends is seen at egress."""
        host = Peer(cgroups.Cgroup(self, "system.slice/agent.service"), self.node.namespace)
        live = self.meter()
        server, _ = self.server
        server("u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('', 7000))")
        host("u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(20)",
             f"u.sendto(b'x', ({self.two.address!r}, 7000))")
        server("_, who = u.recvfrom(9); u.sendto(b'y', who)")
        host("u.recv(9)")
        row, = self.rows_of(live, 17)
        self.assert_end(row, self.two, "socket")
        found = self.end(row, self.node.address(254))
        self.assertEqual((found["attribution"], found["container_id"]), ("socket", ""))
        self.assertTrue(found["cgroup"].endswith("/system.slice/agent.service"), found)


class EndsInTheKernelsDatapath(Ends):
    options = ("--datapath", "kernel")


class OnePod(Attribution):
    """Two containers have one network, and only a socket tells them apart."""

    def test_two_containers_of_a_pod(self):
        uid = "0a1b2c3d-0000-4000-8000-00000000000f"
        first = Container(self.node, 1, "kubelet, systemd", uid)
        second = Container(self.node, 1, "kubelet, systemd", uid, inside=first)
        other = Container(self.node, 2)
        peers = {each: (each.peer(), each) for each in (first, second, other)}
        live = self.meter()
        for port, each in ((7001, first), (7002, second)):
            self.udp(peers[each], peers[other], 2, 1, port=port)
        self.udp(peers[other], peers[first], 2, port=7003)
        rows = {row["dst_port"]: row for row in self.finished(live)}
        self.assert_end(rows["7001"], first, "socket")
        self.assert_end(rows["7002"], second, "socket")
        found = self.end(rows["7003"], first.address)
        self.assertEqual((found["attribution"], found["pod_uid"], found["container_id"]), ("interface", uid, ""))


class ComeAndGo(Attribution):
    def short(self, network, to):
        """A container that sends one datagram and is gone, in the network of another one."""
        container = Container(self.node, network.number, inside=network)
        peer = container.peer()
        peer(f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ({to.address!r}, 7000))")
        peer.end()
        os.rmdir(container.cgroup.directory)
        return container

    def test_containers_that_die_before_the_daemon_looks(self):
        other, networks = Container(self.node, 200), [Container(self.node, number) for number in range(1, 4)]
        live = self.meter()
        with meter.stopped(live):
            gone = {network.address: self.short(network, other) for network in networks}
        rows = [row for row in self.finished(live) if row["protocol"] == "17"]
        self.assertEqual(len(rows), len(gone))
        for row in rows:
            self.assert_end(row, gone[row["src_ip"]], "socket")

    def many(self, count):
        """Cgroups of containers that do nothing."""
        top = cgroups.Cgroup(self, "docker")
        made = [os.path.join(top.directory, f"{i:064x}") for i in range(count)]
        self.addCleanup(lambda: [os.rmdir(path) for path in made if os.path.exists(path)])
        for path in made:
            os.mkdir(path)
        return made

    def resident_kib(self, live):
        with open(f"/proc/{live.process.pid}/status", encoding="ascii") as status:
            return int(next(line for line in status if line.startswith("VmRSS:")).split()[1])

    def test_ten_thousand_containers(self):
        one, two = Container(self.node, 1), Container(self.node, 2)
        ends = (one.peer(), one), (two.peer(), two)
        network = Container(self.node, 3)
        older = self.many(5000)
        live = self.meter()
        before = self.resident_kib(live)
        with meter.stopped(live):
            self.many(5000)
            late = Container(self.node, 3, inside=network)
            self.udp((late.peer(), late), ends[0], 3, port=7001)
        self.wait_for_the_next_search()
        self.udp(*ends, 3, 3, port=7002)
        for path in older:
            os.rmdir(path)
        rows = {row["dst_port"]: row for row in self.finished_within(live, before)}
        self.assert_end(rows["7001"], late, "socket")
        self.assert_end(rows["7002"], one, "socket")
        self.assert_end(rows["7002"], two, "socket")

    @staticmethod
    def wait_for_the_next_search():
        """After events were lost, the tree is searched at most once a second and for a tenth of the time. Python's search takes
        several times as long as the meter's, also on a busy machine."""
        begin = time.monotonic()
        for _ in os.walk(cgroups.mount()):
            pass
        time.sleep(1.1 + 3 * (time.monotonic() - begin))

    def finished_within(self, live, before):
        self.node.quiet()
        self.assertLess(self.resident_kib(live) - before, 20_000, "KiB of memory for 5000 cgroups")
        return self.finished(live)


class Names(Attribution):
    mode = "process"
    HOSTILE = ("=1+1,\"'", "@SUM(A1)", "\x1b[31mred\x07", "a\tb;c|d`e`$(f)", "\u202egpj", "\\\"},{", "x" * 255)

    def setUp(self):
        super().setUp()
        self.two = Container(self.node, 2)
        self.server = self.two.peer(), self.two

    def test_names_break_no_row(self):
        live = self.meter("--json", self.path("rows.ndjson"))
        for number, name in enumerate(self.HOSTILE, 10):
            evil = Container(self.node, number, path=name)
            self.udp((evil.peer(name[:14] + "\n"), evil), self.server, 2, 1)
        rows = [row for row in self.finished(live) if row["protocol"] == "17"]
        with open(self.path("rows.ndjson"), "rb") as file:
            text = file.read()
        self.assertEqual(len(rows), len(self.HOSTILE))
        for row in rows:
            self.assertNotIn(None, row, "a row of another number of cells")
            self.assert_end(row, self.two, "socket", peer=self.server[0])
            for column in ("src_cgroup", "src_comm"):
                self.assertRegex(row[column], r"\A(?![=+@-])[\w.:/@+%~-]*\Z")
                self.assertTrue(row[column].isascii())
            self.assertTrue(row["src_comm"].endswith("%0A"), row["src_comm"])
            self.assertEqual(row["src_attribution"], "socket")
        for raw in (b"\x1b", "\u202e".encode()):
            self.assertNotIn(raw, text + live.text().encode())
        of_json = [json.loads(line) for line in text.splitlines()]
        self.assertEqual(sorted(row["src_cgroup"] for row in of_json if row["protocol"] == 17),
                         sorted(row["src_cgroup"] for row in rows))


class WithoutTheTree(Attribution):
    def setUp(self):
        super().setUp()
        self.one, self.two = Container(self.node, 1), Container(self.node, 2)
        self.ends = (self.one.peer(), self.one), (self.two.peer(), self.two)

    def about_owners(self, live):
        return [line for line in meter.lines_of(live.err(), "warning") if "attribut" in line or "cgroup" in line]

    def test_no_cgroup2(self):
        for self.mode in ("container", "process"):
            with self.subTest(self.mode):
                live = self.meter(name=self.mode, prefix=self.node.namespace.enter)
                self.udp(*self.ends, 3, 3)
                self.node.quiet()
                live.stop_clean()
                self.assertEqual(len(self.about_owners(live)), 1, live.err())
                self.assertIn("cgroup v2 is not mounted", live.err())
                for row in live.rows():
                    self.assertEqual((row["src_container_id"], row["dst_container_id"]), ("", ""))

    def test_a_tree_that_the_user_cannot_read(self):
        """As in a container that has the capabilities, but is not root. What is made later is told by the kernel."""
        self.hide(self.one)
        caps = "+cap_39,+net_admin,+cap_38"  # CAP_BPF, CAP_PERFMON
        log = self.path("rows.csv")
        os.close(os.open(log, os.O_CREAT, 0o666))
        os.chmod(log, 0o666)
        live = self.meter("-c", log, without_netns=True, prefix=(
            "nsenter", "--net=/run/netns/" + self.node.namespace.name, "setpriv", "--reuid", "65534", "--regid", "65534",
            "--clear-groups", "--inh-caps", caps, "--ambient-caps", caps))
        live.csv = log
        late = Container(self.node, 3)
        self.hide(late)
        self.udp(*self.ends, 3, 3, port=7001)
        self.udp((late.peer(), late), self.ends[1], 3, 3, port=7002)
        rows = {row["dst_port"]: row for row in self.finished(live)}
        self.assertEqual(self.end(rows["7001"], self.one.address)["container_id"], "")
        self.assert_end(rows["7001"], self.two, "socket")
        self.assert_end(rows["7002"], late, "socket")

    @staticmethod
    def hide(container):
        os.chmod(os.path.dirname(os.path.dirname(container.cgroup.directory)), 0o700)


class Restarted(Attribution):
    mode = "process"

    def test_owners_stay_known_after_a_kill(self):
        pin = ("--pin", namespaces.bpf_file_system(self) + "/meter", "--state-dir", self.path("state"))
        one, two = Container(self.node, 1), Container(self.node, 2)
        client, server = (one.peer("client"), one), (two.peer("server"), two)
        first = self.meter(*pin, name="first")
        server[0]("u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(20); u.bind(('', 7000))")
        client[0](f"c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); c.sendto(b'x', ({two.address!r}, 7000))")
        server[0]("_, who = u.recvfrom(9); u.sendto(b'y', who)")
        self.node.quiet()
        first.process.kill()
        first.process.wait()
        # While no daemon runs, the kernel meters another flow.
        self.udp(server, client, 2, 2, port=7001)
        last = self.meter(*pin, "--unpin", name="last")
        client[0](f"c.sendto(b'x', ({two.address!r}, 7000))")
        server[0]("_, who = u.recvfrom(9); u.sendto(b'y', who)")
        rows = {row["dst_port"]: row for row in self.finished(last)}
        for port, ends in (("7000", (client, server)), ("7001", (client, server))):
            for peer, container in ends:
                self.assert_end(rows[port], container, "socket")
        for peer, container in (client, server):
            self.assertEqual(self.end(rows["7000"], container.address)["pid"], str(peer.pid))
