# SPDX-License-Identifier: BSD-3-Clause
"""--attribute: whose flows they are, as sockets and interfaces say. Containers are network namespaces and cgroups, and
what each of them sends is known. Needs root."""
import contextlib
import socket
import time

import cgroups
import namespaces
from attribution_cases import Attributing
from interface_cases import address, end_of_wire, wait_quiet, wire

ENDS = [f"{end}_{what}" for end in ("src", "dst") for what in ("attribution", "cgroup")]


class Containers(Attributing):
    """A client and a server, each with a cgroup of its own, on both sides of a node that forwards and is metered."""

    CLIENT, SERVER = address(1, 1), address(2, 2)

    def setUp(self):
        super().setUp()
        self.client, self.node, self.server = (namespaces.Namespace(self, who) for who in "cns")
        self.mine, self.theirs = cgroups.Cgroup(self, "client"), cgroups.Cgroup(self, "server")
        wire(1, self.client, "eth0", self.node, "veth1")
        wire(2, self.node, "veth2", self.server, "eth0")
        self.node.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.client.ip("route", "add", "default", "via", address(1, 2))
        self.server.ip("route", "add", "default", "via", address(2, 1))

    def meter(self, *arguments, namespace=None, **options):
        return self.start(namespace or self.node, "--extra", "interface", *arguments, **options).wait_attached()

    def udp_of(self, cgroup, namespace, where, port, target=None):
        with cgroup.inside():
            return self.udp(namespace, where, port, target)

    def ask(self, port, client=None, server=None, answer=True):
        """A datagram to the server, and one back."""
        client = client or self.udp_of(self.mine, self.client, self.CLIENT, port)
        server = server or self.udp_of(self.theirs, self.server, self.SERVER, port + 1)
        client.sendto(b"question", server.getsockname())
        _, who = server.recvfrom(100)
        if answer:
            server.sendto(b"answer", who)
            client.recv(100)
        return client, server

    def rows_of(self, live, protocol, port=None):
        self.quiet()
        live.stop_clean()
        rows = [row for row in live.rows() if row["protocol"] == str(protocol)]
        return self.of_ports(rows, port) if port else rows

    def quiet(self):
        wait_quiet((self.node, "veth1"), (self.node, "veth2"))

    def owners(self, row):
        return tuple(row[name] for name in ENDS)

    def owned(self, rows, source, destination):
        self.assertEqual([self.owners(row) for row in rows], [(*source, *destination)])


class Sockets(Containers):
    def test_both_ends_of_udp(self):
        live = self.meter()
        self.ask(5000)
        self.owned(self.rows_of(live, 17), ("socket", self.mine.path), ("socket", self.theirs.path))

    # The listener answers the SYN, and the client's last packet comes from a socket in TIME_WAIT, which has no cgroup.
    def test_both_ends_of_tcp(self):
        live = self.meter()
        with self.theirs.inside(), self.server.inside():
            listener = socket.create_server((self.SERVER, 80))
        with self.mine.inside(), self.client.inside():
            client = socket.create_connection((self.SERVER, 80), timeout=10)
        accepted, _ = listener.accept()
        accepted.settimeout(10)
        client.sendall(b"question")
        self.assertEqual(accepted.recv(100), b"question")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(accepted.recv(100), b"")
        for each in (accepted, client, listener):
            each.close()
        self.owned(self.rows_of(live, 6), ("socket", self.mine.path), ("listener", self.theirs.path))

    def test_icmp_of_a_process_and_of_the_kernel(self):
        live = self.meter()
        # First the cgroup: `ip netns exec` hides the mount.
        namespaces.run(*self.mine.enter(*self.client.enter, "ping", "-c", "2", "-i", "0.2", self.SERVER))
        self.owned(self.rows_of(live, 1), ("socket", self.mine.path), ("none", ""))

    def test_a_connection_older_than_the_meter(self):
        client, server = self.ask(5000)
        live = self.meter()
        self.ask(5000, client, server)
        self.owned(self.rows_of(live, 17), ("socket", self.mine.path), ("socket", self.theirs.path))

    # The flow is metered at one end alone, so the other one's sender is behind the router.
    def test_one_interface_of_two(self):
        live = self.meter(interface="veth1")
        self.ask(5000)
        self.owned(self.rows_of(live, 17), ("socket", self.mine.path), ("none", ""))

    def test_flows_of_interfaces(self):
        live = self.meter("--per-interface")
        self.ask(5000)
        found = {row["interface"]: self.owners(row) for row in self.rows_of(live, 17)}
        self.assertEqual(found, {"veth1": ("socket", self.mine.path, "none", ""),
                                 "veth2": ("none", "", "socket", self.theirs.path)})


class SocketsOfTheKernelsDatapath(Sockets):
    options = ("--datapath", "kernel")


class BehindInterfaces(Containers):
    def test_a_server_that_only_receives(self):
        live = self.meter()
        self.ask(5000)
        self.ask(6000, answer=False)
        self.owned(self.rows_of(live, 17, 6000), ("socket", self.mine.path), ("interface", self.theirs.path))

    def test_an_interface_of_which_nothing_is_known(self):
        live = self.meter()
        self.ask(6000, answer=False)
        self.owned(self.rows_of(live, 17), ("socket", self.mine.path), ("none", ""))

    def test_the_peer_leaves_while_it_is_metered(self):
        late = namespaces.Namespace(self, "l")
        live = self.meter()
        self.node.ip("link", "add", "veth3", "address", "02:00:00:00:03:01", "type", "veth", "peer", "name", "eth3",
                     "address", "02:00:00:00:03:02")
        self.node.ip("link", "set", "eth3", "netns", late.name)
        end_of_wire(self.node, "veth3", 3, 1)
        end_of_wire(late, "eth3", 3, 2)
        late.ip("route", "add", "default", "via", address(3, 1))
        server = self.udp_of(self.theirs, late, address(3, 2), 7001)
        self.ask(7000, server=server)
        self.ask(6000, server=self.udp_of(self.theirs, late, address(3, 2), 6001), answer=False)
        self.owned(self.rows_of(live, 17, 6000), ("socket", self.mine.path), ("interface", self.theirs.path))

    def test_xdp_knows_no_sockets(self):
        live = self.meter("--hook", "xdp-generic")
        self.ask(5000)
        self.owned(self.rows_of(live, 17), ("none", ""), ("none", ""))


class Host(Containers):
    """The meter is where the sockets are, as with the network of the host."""

    def test_the_sender_is_known_at_egress(self):
        live = self.meter(namespace=self.client, interface="eth0")
        self.ask(5000)
        self.owned(self.rows_of(live, 17), ("socket", self.mine.path), ("none", ""))

    # Whoever has sent through the interface first is not the owner of all the world behind it.
    def test_an_uplink_leads_to_many(self):
        live = self.meter(namespace=self.server, interface="eth0")
        self.ask(5000)
        self.ask(6000, answer=False)
        self.owned(self.rows_of(live, 17, 6000), ("none", ""), ("none", ""))

    def test_a_route_makes_it_an_uplink(self):
        """veth1 leads to the client alone, until the node reaches the rest of the world through it."""
        live = self.meter(interface="veth1")
        self.ask(5000)

        def send(port):
            self.ask(port, self.udp_of(self.theirs, self.server, self.SERVER, port),
                     self.udp_of(self.mine, self.client, self.CLIENT, port + 1), answer=False)
        send(6000)
        self.node.ip("route", "add", "default", "via", self.CLIENT)
        time.sleep(3)  # it looks once a second
        send(7000)
        rows = self.rows_of(live, 17)
        self.owned(self.of_ports(rows, 6000), ("none", ""), ("interface", self.mine.path))
        self.owned(self.of_ports(rows, 7000), ("none", ""), ("none", ""))

    def test_loopback(self):
        live = self.meter(namespace=self.client, interface="lo")
        server = self.udp_of(self.theirs, self.client, "127.0.0.1", 5001)
        client = self.udp_of(self.mine, self.client, "127.0.0.1", 5000)
        self.ask(5000, client, server)
        self.owned(self.rows_of(live, 17), ("socket", self.mine.path), ("socket", self.theirs.path))


class Tunnels(Containers):
    """A socket inside of a tunnel does not send the tunnel's own packets, though they still belong to it."""

    def through(self, kind, protocol, *arguments):
        ends = ((self.client, self.CLIENT, self.SERVER, "10.9.9.1"), (self.server, self.SERVER, self.CLIENT, "10.9.9.2"))
        for namespace, local, remote, inner in ends:
            try:
                namespace.ip("link", "add", "tunnel", "type", kind, *arguments, "local", local, "remote", remote)
            except AssertionError as error:
                self.skipTest(f"this kernel has no {kind}: {error}")
            namespace.ip("addr", "add", inner + "/24", "dev", "tunnel")
            namespace.ip("link", "set", "tunnel", "up")
        live = self.meter()
        client = self.udp_of(self.mine, self.client, "10.9.9.1", 4789)
        self.ask(4789, client, self.udp_of(self.theirs, self.server, "10.9.9.2", 5000))
        self.quiet()
        live.stop_clean()
        rows = [row for row in live.rows() if row["protocol"] == str(protocol)]
        self.assertTrue(rows, "the tunnel's packets were metered")
        return rows

    def test_vxlan(self):
        for row in self.through("vxlan", 17, "id", "7", "dstport", "4790"):
            self.assertEqual(self.owners(row), ("none", "", "none", ""))


class Resumed(Containers):
    def setUp(self):
        super().setUp()
        self.pin = ("--pin", namespaces.bpf_file_system(self) + "/meter", "--state-dir", self.path("state"))

    def pinned(self, name, *arguments):
        return self.meter(*self.pin, *arguments, name=name)

    # What was told to a daemon that was killed is in no state of it that counts; the kernel tells it again.
    def test_after_a_kill(self):
        for wait_s in (0, 1.5):
            first = self.pinned(f"first{wait_s}")
            ends = self.ask(5000 + int(wait_s))
            self.quiet()
            with contextlib.suppress(Exception):
                first.process.wait(wait_s)
            first.process.kill()
            first.process.wait()
            last = self.pinned(f"last{wait_s}", "--unpin")
            self.ask(0, *ends)
            self.owned(self.rows_of(last, 17), ("socket", self.mine.path), ("socket", self.theirs.path))

    def test_after_a_stop_and_without_a_further_packet(self):
        first = self.pinned("first")
        self.ask(5000)
        self.quiet()
        first.stop()
        last = self.pinned("last", "--unpin")
        self.owned(self.rows_of(last, 17), ("socket", self.mine.path), ("socket", self.theirs.path))
