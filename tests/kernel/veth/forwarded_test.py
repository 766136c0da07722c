# SPDX-License-Identifier: BSD-3-Clause
"""Live metering of packets that pass more than one metered interface, on a router and on a bridge. Needs root."""
import socket
import threading
import time

import meter
import namespaces
from interface_cases import Interfaces, POINT_SILENCE_S, address, end_of_wire, hooks, wait_quiet, wire


class Forwarded(Interfaces):
    """A packet that passes two metered interfaces: `client` - `router` - `server`. The router is metered."""

    CLIENT, SERVER = address(1, 1), address(2, 2)

    def setUp(self):
        super().setUp()
        self.client, self.router, self.server = (namespaces.Namespace(self, who) for who in "crs")
        wire(1, self.client, "eth0", self.router, "veth1")
        wire(2, self.router, "veth2", self.server, "eth0")
        self.ends = [(self.router, "veth1"), (self.router, "veth2")]
        self.router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.client.ip("route", "add", "198.18.2.0/24", "via", address(1, 2))
        self.server.ip("route", "add", "198.18.1.0/24", "via", address(2, 1))

    def second_way(self):
        """Another wire between client and router: veth3 of the router, eth1 of the client."""
        wire(3, self.client, "eth1", self.router, "veth3")
        self.ends.append((self.router, "veth3"))
        for namespace in (self.client, self.router, self.server):
            namespace.run("sh", "-ec", 'for i in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > "$i"; done')

    def talk_udp(self, there=30, back=20, port=43000):
        server = self.udp(self.server, self.SERVER, port + 1)
        client = self.udp(self.client, self.CLIENT, port, (self.SERVER, port + 1))
        for i in range(max(there, back)):
            if i < there:
                client.send(bytes(100 + i))
                who = server.recvfrom(2000)[1]
            if i < back:
                server.sendto(bytes(300 + i), who)
                client.recv(2000)

    def talk_tcp(self):
        """Returns how many segments the client has sent and received, by its own counters."""
        before = self.segments()
        with self.server.inside():
            listener = socket.create_server((self.SERVER, 80))
        with self.client.inside():
            client = socket.socket()
        client.settimeout(10)
        client.connect((self.SERVER, 80))
        accepted, _ = listener.accept()
        accepted.settimeout(10)
        for size in (1, 1000, 20000):
            for one, other in ((client, accepted), (accepted, client)):
                one.sendall(bytes(size))
                left = size
                while left:
                    left -= len(other.recv(left))
        client.close()
        self.assertEqual(accepted.recv(1), b"")
        accepted.close()
        listener.close()
        self.quiet()
        return tuple(after - earlier for after, earlier in zip(self.segments(), before))

    def segments(self):
        counters = self.tcp_counters(self.client)
        return counters["OutSegs"] + counters["RetransSegs"], counters["InSegs"]

    def quiet(self):
        wait_quiet(*self.ends)

    def flow(self, live, protocol):
        return [row for row in live.rows() if row["protocol"] == str(protocol)]

    def both_once(self, arguments=(), patterns=("veth*",), ways=("veth1", "veth2")):
        """UDP and TCP both ways: each packet is met twice and counted once."""
        self.quiet()
        live = self.start_on(self.router, patterns, *arguments).wait_attached()
        self.talk_udp()
        out, back = self.talk_tcp()
        done = self.stop_clean(live, only=ways)
        udp, = self.flow(live, 17)
        self.assertEqual((udp["src_ip"], udp["tot_fwd_pkts"], udp["tot_bwd_pkts"]), (self.CLIENT, "30", "20"))
        self.assertEqual((udp["totlen_fwd_pkts"], udp["totlen_bwd_pkts"]), (
            str(sum(142 + i for i in range(30))), str(sum(342 + i for i in range(20)))))
        tcp, = self.flow(live, 6)
        self.assertEqual((tcp["tot_fwd_pkts"], tcp["tot_bwd_pkts"]), (str(out), str(back)))
        self.assertEqual((tcp["interface"], tcp["direction"]), (ways[0], "ingress"))
        self.assertEqual(done.account["seen_before"], 50 + out + back, "as many as are counted")
        return done

    def test_counts_once(self):
        done = self.both_once()
        for hook, packets in hooks(done).items():
            other = "metered" if hook in (("veth1", "ingress"), ("veth2", "ingress")) else "seen_before"
            self.assertEqual(packets[other], packets["seen"], hook)

    def test_counts_once_datapath_kernel(self):
        self.both_once(("--datapath", "kernel"))

    def test_counts_once_by_clsact(self):
        self.both_once(("--hook", "tc"))

    def test_counts_once_by_xdp(self):
        self.both_once(("--hook", "xdp-generic"))

    def test_per_interface(self):
        self.quiet()
        live = self.start_on(self.router, ["veth*"], "--per-interface").wait_attached()
        self.talk_udp()
        out, back = self.talk_tcp()
        done = self.stop_clean(live, only=["veth1", "veth2"])
        for protocol, counts in ((17, ("30", "20")), (6, (str(out), str(back)))):
            rows = self.flow(live, protocol)
            self.assertEqual(sorted((row["interface"], row["direction"]) for row in rows),
                             [("veth1", "ingress"), ("veth2", "egress")])
            for row in rows:
                self.assertEqual((row["src_ip"], row["tot_fwd_pkts"], row["tot_bwd_pkts"]), (self.CLIENT, *counts))
        self.assertEqual(done.account["seen_before"], 0)

    def test_back_by_another_way(self):
        self.second_way()
        self.router.ip("route", "add", self.CLIENT + "/32", "via", address(3, 1))
        done = self.both_once(ways=("veth1", "veth2", "veth3"))
        self.assertEqual(hooks(done)["veth1", "egress"]["seen"], 0, "nothing goes back this way")
        self.assertGreater(hooks(done)["veth3", "egress"]["seen"], 20)
        self.assertEqual(hooks(done)["veth3", "ingress"]["seen"], 0)

    def test_back_by_another_way_at_the_end(self):
        """If each packet is met only once, none counts as seen before."""
        self.second_way()
        self.router.ip("route", "add", self.CLIENT + "/32", "via", address(3, 1))
        self.quiet()
        live = self.start_on(self.client, ["eth*"]).wait_attached()
        self.talk_udp()
        out, back = self.talk_tcp()
        done = self.stop_clean(live, only=["eth0", "eth1"])
        self.assertEqual(done.account["seen_before"], 0)
        udp, = self.flow(live, 17)
        self.assertEqual((udp["tot_fwd_pkts"], udp["tot_bwd_pkts"]), ("30", "20"))
        tcp, = self.flow(live, 6)
        self.assertEqual((tcp["tot_fwd_pkts"], tcp["tot_bwd_pkts"]), (str(out), str(back)))

    def change_way(self):
        self.client.ip("route", "replace", "198.18.2.0/24", "via", address(3, 2))

    def test_the_way_changes_after_a_silence(self):
        self.second_way()
        self.quiet()
        live = self.start_on(self.router, ["veth*"]).wait_attached()
        client = self.udp(self.client, self.CLIENT, 43000, (self.SERVER, 9))
        for _ in range(30):
            client.send(b"x")
        self.change_way()
        time.sleep(POINT_SILENCE_S)
        for _ in range(40):
            client.send(b"x")
        self.quiet()
        done = self.stop_clean(live, only=["veth1", "veth2", "veth3"])
        self.assertEqual(self.sent(live, 43000), (70, 0))
        self.assertEqual(hooks(done)["veth3", "ingress"]["metered"], 40)

    def test_the_way_changes_at_once(self):
        """Both ways come in by interfaces of one rank: every packet counts exactly once."""
        self.second_way()
        self.quiet()
        live = self.start_on(self.router, ["veth*"]).wait_attached()
        client = self.udp(self.client, self.CLIENT, 43000, (self.SERVER, 9))
        changed, changed_at, times = threading.Event(), 0.0, []
        changer = threading.Thread(target=lambda: (time.sleep(0.3), self.change_way(), changed.set()))
        changer.start()
        while not times or not changed.is_set() or len(times) < 60 or times[-1] < changed_at + 0.5:
            if not changed.is_set():
                changed_at = time.monotonic()
            client.send(b"x")
            times.append(time.monotonic())
            time.sleep(0.005)
        changer.join()
        self.quiet()
        done = self.stop_clean(live, only=["veth1", "veth2", "veth3"])
        counted, _ = self.sent(live, 43000)
        old_way = hooks(done)["veth1", "ingress"]["seen"]
        self.assertLess(old_way, len(times), "the way changed while packets were sent")
        self.assertEqual(counted, len(times))

    def test_packets_take_turns(self):
        self.second_way()
        self.quiet()
        live = self.start_on(self.router, ["veth*"]).wait_attached()
        client = self.udp(self.client, self.CLIENT, 43000, (self.SERVER, 9))
        for turn in range(20):
            self.client.ip("route", "replace", "198.18.2.0/24", "via", address(3 if turn % 2 else 1, 2))
            for _ in range(5):
                client.send(b"x")
        self.quiet()
        done = self.stop_clean(live, only=["veth1", "veth2", "veth3"])
        self.assertEqual(self.sent(live, 43000), (100, 0))
        for way in ("veth1", "veth3"):
            self.assertGreaterEqual(hooks(done)[way, "ingress"]["metered"], 50)


class Bridged(Interfaces):
    """Two hosts at the ports of a bridge; ports and bridge are metered."""

    def setUp(self):
        super().setUp()
        self.one, self.bridge, self.other = (namespaces.Namespace(self, who) for who in "obx")
        try:
            self.bridge.ip("link", "add", "br0", "address", "02:00:00:00:00:ff", "type", "bridge",
                           "mcast_snooping", "0")
        except AssertionError as error:
            self.skipTest(f"this kernel has no bridge: {error}")
        self.bridge.ip("link", "set", "br0", "addrgenmode", "none", "up")
        self.bridge.ip("addr", "add", address(1, 3) + "/24", "dev", "br0")
        for side, host in ((1, self.one), (2, self.other)):
            namespaces.run("ip", "link", "add", "eth0", "netns", host.name, "address", f"02:00:00:00:01:{side:02x}",
                           "type", "veth", "peer", "name", f"port{side}", "netns", self.bridge.name)
            end_of_wire(host, "eth0", 1, side)
            host.ip("neigh", "add", address(1, 3), "lladdr", "02:00:00:00:00:ff", "dev", "eth0")
            self.bridge.run("sh", "-ec", f"""
                ethtool -K port{side} tso off gso off gro off
                ip link set dev port{side} addrgenmode none master br0 up
                ip neigh add {address(1, side)} lladdr 02:00:00:00:01:{side:02x} dev br0""")
        # Waits until the ports forward and the bridge knows where each host is.
        for host, target in ((self.one, address(1, 2)), (self.other, address(1, 1)), (self.one, address(1, 3))):
            meter.wait_for("the bridge forwards", lambda host=host, target=target: "1 received" in host.run(
                "ping", "-c", "1", "-W", "1", target, check=False), 40)
        self.ends = [(self.bridge, name) for name in ("port1", "port2", "br0")]
        wait_quiet(*self.ends)

    def exchange(self, one, one_address, other, other_address, port):
        server = self.udp(other, other_address, port + 1)
        client = self.udp(one, one_address, port, (other_address, port + 1))
        for _ in range(25):
            client.send(b"x" * 50)
            who = server.recvfrom(2000)[1]
            server.sendto(b"y" * 70, who)
            client.recv(2000)

    def talk(self):
        self.exchange(self.one, address(1, 1), self.other, address(1, 2), 43000)
        self.exchange(self.one, address(1, 1), self.bridge, address(1, 3), 43100)
        wait_quiet(*self.ends)

    def test_counts_once(self):
        live = self.start_on(self.bridge, ["port*", "br0"]).wait_attached()
        self.talk()
        done = self.stop_clean(live, only=["port1", "port2", "br0"])
        for port in (43000, 43100):
            row, = [row for row in self.of_ports(live.rows(), port) if row["protocol"] == "17"]
            self.assertEqual((row["tot_fwd_pkts"], row["tot_bwd_pkts"], row["interface"], row["direction"]),
                             ("25", "25", "port1", "ingress"))
        self.assertEqual(done.account["seen_before"], 100)

    def test_per_interface(self):
        live = self.start_on(self.bridge, ["port*", "br0"], "--per-interface").wait_attached()
        self.talk()
        done = self.stop_clean(live, only=["port1", "port2", "br0"])
        for port, where in ((43000, {("port1", "ingress"), ("port2", "egress")}),
                            (43100, {("port1", "ingress"), ("br0", "ingress")})):
            rows = [row for row in self.of_ports(live.rows(), port) if row["protocol"] == "17"]
            self.assertEqual({(row["interface"], row["direction"]) for row in rows}, where)
            self.assertEqual([(row["tot_fwd_pkts"], row["tot_bwd_pkts"]) for row in rows], [("25", "25")] * 2)
        self.assertEqual(done.account["seen_before"], 0)
