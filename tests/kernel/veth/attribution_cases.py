# SPDX-License-Identifier: BSD-3-Clause
"""Shared by the tests of --attribute: a node with containers on a bridge, and the truth about what they send.

A container is a network namespace and a cgroup whose path is what an engine would give it. Each has a process that does
what the test tells it, so the sender of every packet is known."""
import json
import secrets
import subprocess
import sys

import cgroups
import live_cases
import meter
import namespaces
from interface_cases import wait_quiet

# {id}: of the container; {uid}: of the pod; {slice}: the uid as systemd's names have it.
PATHS = {
    "docker": "docker/{id}",
    "docker, systemd": "system.slice/docker-{id}.scope",
    "containerd": "default/{id}",
    "containerd, systemd": "system.slice/nerdctl-{id}.scope",
    "podman": "libpod_parent/libpod-{id}",
    "podman, systemd": "machine.slice/libpod-{id}.scope/container",
    "kubelet": "kubepods/burstable/pod{uid}/{id}",
    "kubelet, guaranteed": "kubepods/pod{uid}/{id}",
    "kubelet, systemd": "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{slice}.slice/"
                        "cri-containerd-{id}.scope",
    "kubelet, cri-o": "kubepods.slice/kubepods-pod{slice}.slice/crio-{id}.scope",
}

# Executes statements, each a line of JSON, and answers with what they assign to `value`.
PEER = """
import json, os, socket, sys
for line in sys.stdin:
    value = None
    try:
        exec(json.loads(line), globals())
        answer = {"value": value}
    except BaseException as error:
        answer = {"error": repr(error)}
    print(json.dumps(answer), flush=True)
"""


class Peer:
    """A process that does what it is told."""

    def __init__(self, cgroup, namespace, comm="peer"):
        command = cgroup.enter(*namespace.enter, sys.executable, "-IS", "-Wignore", "-c", PEER)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=meter.die_with_parent)
        namespace.case.addCleanup(self.end)
        self.pid = self.process.pid
        self("open('/proc/self/comm', 'w').write(%r)" % comm)

    def __call__(self, *statements):
        self.process.stdin.write(json.dumps("\n".join(statements)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"{statements}: the process has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise AssertionError(f"{statements}: {answer['error']}")
        return answer["value"]

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Container:
    """number: the last byte of its address. inside: another container whose network it shares, as in a pod."""

    def __init__(self, node, number, kind="docker", uid=None, inside=None, path=None):
        self.id, self.uid = secrets.token_hex(32), uid or ""
        if not uid and "uid" in PATHS.get(kind, "") + PATHS.get(kind, "").replace("slice}", "uid}"):
            self.uid = "-".join(secrets.token_hex(n) for n in (4, 2, 2, 2, 6))
        path = path or PATHS[kind].format(id=self.id, uid=self.uid, slice=self.uid.replace("-", "_"))
        self.cgroup = cgroups.Cgroup(node.case, path)
        self.number = number
        self.namespace = inside.namespace if inside else node.wired(number)
        self.address = node.address(number)

    def peer(self, comm="peer"):
        return Peer(self.cgroup, self.namespace, comm)

    def run(self, *command):
        return namespaces.run(*self.cgroup.enter(*self.namespace.enter, *command))


class Node:
    """A namespace with the bridge br0 and an interface vethN for each network of containers, which are metered."""

    def __init__(self, case):
        self.case = case
        self.namespace = namespaces.Namespace(case, "node")
        self.namespace.ip("link", "add", "br0", "type", "bridge")
        self.namespace.run("sh", "-ec", f"""
            ip link set br0 addrgenmode none
            ip link set br0 up
            ip addr add {self.address(254)}/24 dev br0
        """)
        self.interfaces = []

    @staticmethod
    def address(number):
        return f"198.18.7.{number}"

    def wired(self, number):
        """A new namespace on the bridge."""
        inner = namespaces.Namespace(self.case, f"c{number}")
        outside = f"veth{number}"
        namespaces.run("ip", "link", "add", "eth0", "netns", inner.name, "type", "veth",
                       "peer", "name", outside, "netns", self.namespace.name)
        # Without segmentation offload, an skb is a frame on the wire. The only IPv6 is what a test sends.
        for namespace, interface in ((inner, "eth0"), (self.namespace, outside)):
            namespace.run("sh", "-ec", f"""
                ethtool -K {interface} tso off gso off gro off
                ip link set {interface} gso_max_segs 1 addrgenmode none
            """)
        self.namespace.ip("link", "set", outside, "master", "br0", "up")
        inner.run("sh", "-ec", f"""
            ip link set eth0 up
            ip addr add {self.address(number)}/24 dev eth0
            ip route add default via {self.address(254)}
        """)
        self.interfaces.append(outside)
        return inner

    def quiet(self):
        wait_quiet(*((self.namespace, each) for each in self.interfaces))


class Attributing(live_cases.Live):
    mode = "container"
    options = ()

    def setUp(self):
        super().setUp()
        if missing := cgroups.missing_here():
            self.skipTest(missing)

    def start(self, namespace, *arguments, name="live", interface="veth*", without_netns=False, **options):
        """Not by `ip netns exec`, in which no cgroup file system is mounted."""
        where = () if without_netns else ("--netns", namespace.name)
        return meter.Meter(self, name, "-i", interface, *where, "--attribute", self.mode, "--max-flows", "4096",
                           *self.options, *arguments, **options)


class Attribution(Attributing):
    def setUp(self):
        super().setUp()
        self.node = Node(self)

    def meter(self, *arguments, **options):
        return self.start(self.node.namespace, *arguments, **options).wait_attached()

    def finished(self, live):
        """The rows of a run that ends in order."""
        self.node.quiet()
        live.stop_clean()
        return [row for row in live.rows() if not row["dst_ip"].startswith("ff")]

    @staticmethod
    def end(row, address):
        """What a row says about the end with this address, without its src_ or dst_."""
        side = "src_" if row["src_ip"] == address else "dst_"
        return {name[4:]: value for name, value in row.items() if name.startswith(side)}

    def assert_end(self, row, container, *how, peer=None):
        """The row says that the container has its address, and how that is known."""
        found = self.end(row, container.address)
        self.assertIn(found["attribution"], how or ("socket", "listener", "interface"), found)
        path = container.cgroup.path  # an interface leads to the container, not to a cgroup in it
        if found["attribution"] == "interface":
            path = path.removesuffix("/container")
        self.assertEqual((found["container_id"], found["pod_uid"], found["cgroup"]), (container.id, container.uid, path))
        if peer:
            self.assertEqual(found["pid"], str(peer.pid), found)

    def assert_unknown(self, row, address):
        found = self.end(row, address)
        self.assertEqual({name for name, value in found.items() if value} - {"ip", "port"}, {"attribution"}, found)
        self.assertEqual(found["attribution"], "none", found)

    # ---- traffic ----

    @staticmethod
    def udp(client, server, there, back=0, port=7000, target=None):
        """client, server: (peer, container). Sends datagrams and answers."""
        (one, _), (other, at) = client, server
        address = target or at.address
        other(f"u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(20); u.bind(('', {port}))")
        one("c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); c.settimeout(20)",
            f"for _ in range({there}): c.sendto(bytes(100), ({address!r}, {port}))")
        other(f"for _ in range({there}): _, who = u.recvfrom(999)", f"for _ in range({back}): u.sendto(bytes(50), who)",
              "u.close()")
        one(f"for _ in range({back}): c.recv(999)", "c.close()")

    @staticmethod
    def tcp(client, server, size=5000, port=8000):
        """The client closes first, so its last packet comes from a socket in TIME_WAIT."""
        (one, _), (other, at) = client, server
        other(f"l = socket.create_server(('', {port}))")
        one(f"c = socket.create_connection(({at.address!r}, {port}), 20)")
        other("a, _ = l.accept(); a.settimeout(20)")
        one(f"c.sendall(bytes({size})); c.shutdown(socket.SHUT_WR)")
        other(f"while a.recv(9999): pass\na.sendall(bytes({size})); a.close(); l.close()")
        one("while c.recv(9999): pass\nc.close()")
