# SPDX-License-Identifier: BSD-3-Clause
"""The hosts of a fleet: network namespaces that reach each other through a router, and the traffic among them. By another
link, which is not metered, each reaches a namespace with the fleet's services."""
import json
import signal
import subprocess
import sys

import namespaces

LINK = "eth0"
SERVICES = "10.99.0.1"
# The traffic of one host, in a process of its own: a server, and clients of all other hosts. Each connection of a client is
# counted when it is over. At SIGTERM it ends what it has begun, and prints its counts.
TRAFFIC = r"""
import itertools, json, random, signal, socket, sys, threading
own, per_second, peers = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
done = {"tcp": 0, "udp": 0, "lasting": 0}
ports = itertools.count(10000)  # each once, so that no two connections can be taken for one

def serve(connection):
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data[:2000])

def accept():
    with socket.create_server((own, 7001), backlog=200) as server:
        while True:
            threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

def echo():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((own, 7))
        while True:
            server.sendto(*server.recvfrom(2048))

def connected(peer):
    return socket.create_connection((peer, 7001), timeout=20, source_address=(own, next(ports)))

def short_tcp(peer):
    with connected(peer) as client:
        for _ in range(random.randrange(1, 4)):
            client.sendall(bytes(random.randrange(1, 3000)))
            client.recv(2000)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536): pass
    done["tcp"] += 1

def short_udp(peer):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((own, next(ports)))
        client.connect((peer, 7))
        client.settimeout(20)
        for _ in range(random.randrange(1, 5)):
            client.send(bytes(random.randrange(1, 1200)))
            client.recv(2048)
    done["udp"] += 1

def paced():
    while not stop.wait(random.expovariate(per_second)):
        (short_tcp if random.random() < 0.3 else short_udp)(random.choice(peers))

def lasting(peer):
    with connected(peer) as client:
        done["lasting"] += 1
        while not stop.wait(0.1):
            client.sendall(bytes(random.randrange(1, 200)))
            client.recv(2000)

for work in (accept, echo):
    threading.Thread(target=work, daemon=True).start()
print("ready", flush=True)
sys.stdin.readline()
clients = [threading.Thread(target=paced)] + [threading.Thread(target=lasting, args=(peer,)) for peer in peers]
for client in clients: client.start()
for client in clients: client.join()
print(json.dumps(done), flush=True)
sys.stdin.readline()
"""


class Network:
    """Hosts 1 to `hosts`, each with one link to a router in between."""

    def __init__(self, case, hosts):
        self.router = namespaces.Namespace(case, "router")
        self.router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.services = namespaces.Namespace(case, "services")
        self.services.ip("address", "add", SERVICES + "/32", "dev", "lo")
        self.hosts = [Host(case, self.router, self.services, number) for number in range(1, hosts + 1)]


class Host:
    def __init__(self, case, router, services, number):
        self.case, self.number, self.address = case, number, f"10.88.{number}.2"
        self.namespace = namespaces.Namespace(case, f"host{number}")
        for space in (router, services, self.namespace):
            space.run("sh", "-c", "for i in all default; do echo 1 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; done")
        self.join(router, LINK, f"10.88.{number}", "default")
        self.join(services, "mgmt0", f"10.99.{number}", SERVICES)

    def join(self, far, link, network, target):
        """The target is reached over this link."""
        peer = f"host{self.number}"
        namespaces.run("ip", "link", "add", link, "netns", self.namespace.name, "type", "veth", "peer", "name", peer, "netns",
                       far.name)
        for space, name, end in ((self.namespace, link, 2), (far, peer, 1)):
            space.ip("address", "add", f"{network}.{end}/24", "dev", name)
            space.ip("link", "set", name, "up")
        self.namespace.ip("route", "add", target, "via", f"{network}.1")


class Traffic:
    """Between every two of the hosts."""

    def __init__(self, hosts, per_second):
        self.processes = []
        for host in hosts:
            peers = [other.address for other in hosts if other is not host]
            process = host.namespace.start(sys.executable, "-c", TRAFFIC, host.address, str(per_second), *peers,
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None, text=True)
            for pipe in (process.stdin, process.stdout):
                host.case.addCleanup(pipe.close)
            self.processes.append(process)
        for process in self.processes:  # all servers before the first client
            if process.stdout.readline() != "ready\n":
                raise AssertionError("the traffic has not started")
        for process in self.processes:
            self.go_on(process)

    @staticmethod
    def go_on(process):
        process.stdin.write("\n")
        process.stdin.flush()

    def end(self):
        """The number of connections of all clients, by kind. The servers end after the last client."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        counts = [json.loads(process.stdout.readline()) for process in self.processes]
        for process in self.processes:
            self.go_on(process)
            process.wait(timeout=60)
        return {kind: sum(each[kind] for each in counts) for kind in counts[0]}
