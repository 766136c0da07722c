# SPDX-License-Identifier: BSD-3-Clause
"""--extra service: connections whose destination the kernel has changed. Needs root and nft."""
import os
import shutil
import socket

import namespaces
from interface_cases import Interfaces, wait_quiet

SERVICE, CLIENT, SERVER = "198.18.9.9", "198.18.1.1", "198.18.2.1"
SERVICE6, CLIENT6, SERVER6 = "2001:db8:9::9", "2001:db8:1::1", "2001:db8:2::1"
RULES = f"""
table inet services {{
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    ip daddr {SERVICE} tcp dport 80 dnat ip to {SERVER}:8080
    ip daddr {SERVICE} udp dport 53 dnat ip to {SERVER}:5353
    ip6 daddr {SERVICE6} udp dport 53 dnat ip6 to [{SERVER6}]:5353
  }}
}}
"""


class Service(Interfaces):
    """client - router - server; the router is metered, and changes destinations."""

    def setUp(self):
        super().setUp()
        if not shutil.which("nft") or not os.path.exists("/proc/sys/net/netfilter/nf_conntrack_max"):
            self.skipTest("needs nft and the kernel's connection tracking")
        self.router = namespaces.Namespace(self, "r")
        self.client, self.server = namespaces.Namespace(self, "c"), namespaces.Namespace(self, "s")
        self.router.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for name, end, v4, v6 in (("veth1", self.client, CLIENT, CLIENT6), ("veth2", self.server, SERVER, SERVER6)):
            router4, router6 = v4[:-1] + "254", v6 + "ff"
            namespaces.run("ip", "link", "add", name, "netns", self.router.name, "type", "veth", "peer", "name", "eth0",
                           "netns", end.name)
            for namespace, interface, addresses in ((self.router, name, (router4 + "/24", router6 + "/64")),
                                                    (end, "eth0", (v4 + "/24", v6 + "/64"))):
                namespace.ip("link", "set", interface, "up")
                for address in addresses:
                    namespace.ip("addr", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))
            end.ip("route", "add", "default", "via", router4)
            end.ip("-6", "route", "add", "default", "via", router6)
        self.rules(RULES)

    def rules(self, text):
        with open(self.path("rules"), "w", encoding="ascii") as file:
            file.write(text)
        self.router.run("nft", "-f", self.path("rules"))

    def serve(self, kind, address, port):
        with self.server.inside():
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        self.addCleanup(s.close)
        s.settimeout(20)
        s.bind((address, port))
        if kind == socket.SOCK_STREAM:
            s.listen()
        return s

    def ask_tcp(self, listener, target, port, bind_port):
        with self.client.inside():
            s = socket.socket()
        with s:
            s.settimeout(20)
            s.bind((CLIENT, bind_port))
            s.connect((target, port))
            accepted, _ = listener.accept()
            with accepted:
                s.sendall(b"x")
                accepted.recv(1)

    def ask_udp(self, server, target, port, bind_port):
        client = self.udp(self.client, CLIENT6 if ":" in target else CLIENT, bind_port, (target, port))
        client.send(b"x")
        data, back = server.recvfrom(10)
        server.sendto(data, back)
        client.recv(10)
        return client

    def services(self, live, port):
        """{destination: service} of the rows of a client's port."""
        return {row["dst_ip"] + " " + row["dst_port"]: row["service"] for row in self.of_ports(live.rows(), port)}

    def meter(self, *arguments):
        return self.start(self.router, "--extra", "service", *arguments, interface="veth*")

    def test_both_rows_have_it(self):
        web, dns = self.serve(socket.SOCK_STREAM, SERVER, 8080), self.serve(socket.SOCK_DGRAM, SERVER, 5353)
        dns6 = self.serve(socket.SOCK_DGRAM, SERVER6, 5353)
        older = self.ask_udp(dns, SERVICE, 53, 41000)  # it is tracked before the meter starts
        live = self.meter().wait_attached()
        older.send(b"y")
        dns.recv(10)
        self.ask_tcp(web, SERVICE, 80, 41001)
        self.ask_udp(dns, SERVICE, 53, 41002)
        self.ask_udp(dns6, SERVICE6, 53, 41003)
        self.ask_tcp(web, SERVER, 8080, 41004)
        self.ask_udp(dns, SERVER, 5353, 41005)
        wait_quiet((self.router, "veth1"), (self.router, "veth2"))
        live.stop_clean()
        tcp, udp, udp6 = f"{SERVICE}:80", f"{SERVICE}:53", f"[{SERVICE6}]:53"
        for port, expected in ((41000, {f"{SERVICE} 53": udp, f"{SERVER} 5353": udp}),
                               (41001, {f"{SERVICE} 80": tcp, f"{SERVER} 8080": tcp}),
                               (41002, {f"{SERVICE} 53": udp, f"{SERVER} 5353": udp}),
                               (41003, {f"{SERVICE6} 53": udp6, f"{SERVER6} 5353": udp6}),
                               (41004, {f"{SERVER} 8080": ""}), (41005, {f"{SERVER} 5353": ""})):
            self.assertEqual(self.services(live, port), expected)
        # As docs/containers.md has it: each connection once, at its server.
        rows = [row for row in live.rows() if row["service"] != f"{row['dst_ip']}:{row['dst_port']}"
                and row["service"] != f"[{row['dst_ip']}]:{row['dst_port']}"]
        for port in range(41000, 41006):
            self.assertEqual(len(self.of_ports(rows, port)), 1, port)

    def test_a_source_that_is_changed_is_no_service(self):
        self.rules(f"""
            table ip sources {{
              chain postrouting {{
                type nat hook postrouting priority srcnat;
                ip saddr {CLIENT} snat ip to 198.18.2.254
              }}
            }}
        """)
        dns = self.serve(socket.SOCK_DGRAM, SERVER, 5353)
        live = self.meter().wait_attached()
        self.ask_udp(dns, SERVER, 5353, 41001)
        self.ask_udp(dns, SERVICE, 53, 41002)
        wait_quiet((self.router, "veth1"), (self.router, "veth2"))
        live.stop_clean()
        self.assertEqual(self.services(live, 41001), {f"{SERVER} 5353": ""})
        self.assertEqual(self.services(live, 41002), {f"{SERVICE} 53": f"{SERVICE}:53", f"{SERVER} 5353": f"{SERVICE}:53"})

    def test_off(self):
        """Who does not select the column follows no connections."""
        live = self.start_on(self.router, ["veth*"]).wait_attached()
        with open(f"/proc/{live.process.pid}/net/netlink", encoding="ascii") as sockets:
            netfilter = [line.split()[2] for line in sockets if line.split()[1] == "12"]
        self.assertEqual(netfilter, ["0"], "only the kernel's own")
        live.stop_clean()
