# SPDX-License-Identifier: BSD-3-Clause
"""Traffic whose every packet is in a ledger. Frames are sent through packet sockets, from both ends of a wire, to addresses
that nobody has: each is seen once and answered by nobody."""
import collections
import errno
import itertools
import random
import socket
import struct
import threading
import time

UDP_SEGMENT = 103  # not in Python's socket module
UDP, TCP = 17, 6
ETHERNET = 14
UDP_HEADERS = ETHERNET + 20 + 8
FIN, SYN, PSH_ACK, ACK = 0x01, 0x02, 0x18, 0x10
TICK_S = 0.01
SEGMENT = 400
REQUEST = b"GET /chaos HTTP/1.1\r\nHost: example.net\r\nUser-Agent: chaos\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
# The queue was full, or the interface is gone.
REFUSED = (errno.ENOBUFS, errno.ENODEV, errno.ENXIO, errno.ENETDOWN, errno.EBADF, errno.ENETUNREACH)


class Ledger:
    """What was sent, by direction of a 5-tuple: (source, target, source port, target port, protocol)."""

    def __init__(self):
        self.packets, self.bytes = collections.Counter(), collections.Counter()
        # Packets that a meter may or may not have seen: the interface was about to go, or had just come.
        self.doubtful = collections.Counter()
        self.buffers = collections.Counter()  # by wire: what the kernel's own counters of a link count

    def add(self, wire, key, packets, size, taken=True):
        """packets: in one buffer; size: of all together, in bytes."""
        if wire.doubtful or not taken:
            self.doubtful[key] += packets
            return
        self.packets[key] += packets
        self.bytes[key] += size
        self.buffers[wire] += 1


def ipv4(source, target, protocol, payload):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(target))
    total = sum(struct.unpack("!10H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack("!H", total ^ 0xFFFF) + head[12:] + payload


class Flow:
    """A 5-tuple of a wire. Its client is at the left end, its server at the right one."""

    def __init__(self, traffic, wire, number, protocol=UDP):
        self.traffic, self.wire, self.protocol = traffic, wire, protocol
        client, server = f"10.{wire.number % 200}.{number >> 14 & 255}.1", f"10.{wire.number % 200}.{number >> 14 & 255}.2"
        self.ends = (client, 10000 + (number & 0x3FFF)), (server, 443)

    def send(self, by_server, payload_bytes, flags=ACK):
        (source, source_port), (target, target_port) = self.ends[::-1] if by_server else self.ends
        ports = struct.pack("!HH", source_port, target_port)
        if self.protocol == UDP:
            transport = ports + struct.pack("!HH", 8 + payload_bytes, 0)
        else:
            transport = ports + struct.pack("!IIBBHHH", 1, 1, 0x50, flags, 1000, 0, 0)
        payload = (RESPONSE if by_server else REQUEST)[:payload_bytes].ljust(payload_bytes, b"x")
        packet = ipv4(source, target, self.protocol, transport + payload)
        self.traffic.send(self.wire, by_server, (source, target, source_port, target_port, self.protocol), packet)

    def datagrams(self, count):
        for each in range(count):
            self.send(bool(each & 1), self.traffic.random.randrange(18, 400))

    def conversation(self):
        """A TCP connection from its first to its last packet."""
        for by_server, size, flags in ((0, 0, SYN), (1, 0, SYN | ACK), (0, 0, ACK), (0, 200, PSH_ACK), (1, 300, PSH_ACK),
                                       (0, 0, FIN | ACK), (1, 0, FIN | ACK), (0, 0, ACK)):
            self.send(bool(by_server), size, flags)


class Traffic(threading.Thread):
    """New flows at a steady rate; flows that last until the end; flows that pause, so that they end and come back; and
    datagrams of which one buffer holds many."""

    def __init__(self, world, flows_per_s=1000, lasting=20, pausing=100, longest_pause_s=3.0):
        super().__init__(name="traffic")
        self.world, self.ledger, self.flows_per_s = world, world.ledger, flows_per_s
        self.random = random.Random(world.random.random())
        self.numbers = itertools.count()
        self.lasting, self.pausing, self.longest_pause_s = lasting, pausing, longest_pause_s
        self.stopping, self.pace = threading.Event(), 1.0
        self.failed = None

    def run(self):
        try:
            self.send_all()
        except Exception as error:  # the case reports it
            self.failed = error

    def send_all(self):
        lasting = [self.flow(protocol) for protocol in (UDP, TCP) for _ in range(self.lasting // 2)]
        pausing = [[0.0, self.flow()] for _ in range(self.pausing)]
        due, before = 0.0, time.monotonic()
        while not self.stopping.wait(TICK_S):
            now = time.monotonic()
            # After the machine has stood still, nothing is made up for.
            due += min(now - before, 5 * TICK_S) * self.flows_per_s * self.pace
            before = now
            while due >= 1:
                due -= 1
                self.short()
            for flow in self.random.sample(lasting, min(5, len(lasting))):
                flow.send(self.random.random() < 0.4, self.random.randrange(0, 400))
            for pause in pausing:
                if now >= pause[0]:
                    pause[1].datagrams(self.random.randrange(1, 4))
                    pause[0] = now + self.random.uniform(0.05, self.longest_pause_s)
            self.buffers()

    def flow(self, protocol=UDP):
        return Flow(self, self.random.choice(self.world.wires), next(self.numbers), protocol)

    def short(self):
        if self.random.random() < 0.2:
            self.flow(TCP).conversation()
        else:
            self.flow().datagrams(self.random.choice((1, 1, 1, 2, 3, 5)))

    def send(self, wire, by_server, key, packet):
        taken = attempt(wire.ends[by_server].send, packet)
        self.ledger.add(wire, key, 1, ETHERNET + len(packet), taken)

    def buffers(self):
        """One buffer with several datagrams (UDP_SEGMENT)."""
        wire, by_server = self.random.choice(self.world.wires), self.random.random() < 0.5
        if wire.segmented:
            sender, key = wire.segmented[by_server]
            count = self.random.randrange(2, 20)
            taken = attempt(sender.sendto, bytes(count * SEGMENT), (key[1], key[3]))
            self.ledger.add(wire, key, count, count * (UDP_HEADERS + SEGMENT), taken)

    def end(self):
        self.stopping.set()
        self.join()
        if self.failed:
            raise self.failed


def attempt(send, *arguments):
    """Whether the kernel took it. If not, it may nevertheless have passed the meter's hook."""
    try:
        send(*arguments)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        return False
    return True


class PacketSender:
    """Sends IPv4 packets at one end of a wire."""

    def __init__(self, interface, ours, theirs):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.bind((interface, 0))
        self.ethernet = bytes.fromhex((theirs + ours).replace(":", "")) + b"\x08\x00"

    def send(self, packet):
        self.socket.send(self.ethernet + packet)


def segment_sender(address, port):
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setsockopt(socket.SOL_UDP, UDP_SEGMENT, SEGMENT)
    sender.bind((address, port))
    return sender
