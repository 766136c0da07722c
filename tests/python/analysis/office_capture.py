#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes a capture of an invented quarter of an hour in an office, with conversations of each of the analyser's classes:

    tests/python/analysis/office_capture.py OUT.pcap

DNS look-ups, pages and downloads over TLS, remote shells, beacons of a sensor, log messages, and a port scan. The capture is
the same each time."""
import os
import random
import sys

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path[:0] = [os.path.join(TESTS, "support"), os.path.join(TESTS, "..", "python")]
sys.dont_write_bytecode = True
from flowmeter import interpreter  # noqa: E402

interpreter.require()
from capture import ethernet, pcap, tcp, udp  # noqa: E402
from packets import ACK, FIN, PSH, RST, SYN  # noqa: E402

START, LENGTH = 1_700_000_000, 900  # s


class Conversation:
    """Adds packets of one 5-tuple, one after the other."""

    def __init__(self, packets, start, client, server, ports):
        self._packets, self.now = packets, start
        self._ends = {True: {"source": client, "target": server, "ports": ports},
                      False: {"source": server, "target": client, "ports": ports[::-1]}}

    def tcp(self, gap, forward, flags, size=0):
        self.now += gap
        self._packets.append((self.now, ethernet(tcp(flags, bytes(size), **self._ends[forward]))))

    def udp(self, gap, forward, size):
        self.now += gap
        self._packets.append((self.now, ethernet(udp(bytes(size), **self._ends[forward]))))


def conversations():
    """(packets, {kind: number of conversations})"""
    r = random.Random(7)
    packets, made = [], {"look-up": 120, "page": 60, "download": 8, "shell": 14, "beacon": 30, "log": 10, "scan": 40}
    client = lambda: f"192.0.2.{r.randint(10, 40)}"
    port = iter(r.sample(range(20000, 60000), sum(made.values())))

    def begin(server, service):
        return Conversation(packets, START + r.uniform(0, LENGTH), client(), server, (next(port), service))

    for _ in range(made["look-up"]):
        c = begin("198.51.100.53", 53)
        c.udp(0, True, r.randint(28, 60))
        c.udp(r.uniform(.001, .04), False, r.randint(60, 200))
    for kind, answers in (("page", (3, 25)), ("download", (150, 400))):
        for _ in range(made[kind]):
            c = begin(f"203.0.113.{r.randint(1, 60)}", 443)
            delay = r.uniform(.01, .06)
            c.tcp(0, True, SYN)
            c.tcp(delay, False, SYN | ACK)
            c.tcp(.0001, True, ACK)
            c.tcp(.001, True, ACK | PSH, 517)
            c.tcp(delay, False, ACK | PSH, r.randint(2500, 3000) // 2)
            for i in range(r.randint(*answers)):
                c.tcp(r.expovariate(1 / .004), False, ACK, 1400)
                if i % 2:
                    c.tcp(.00005, True, ACK)
            c.tcp(r.uniform(.1, 4), True, FIN | ACK)
            c.tcp(delay, False, FIN | ACK)
            c.tcp(.0001, True, ACK)
    for _ in range(made["shell"]):  # few keystrokes, so that fewer than 2000 bytes come back
        c = begin("198.51.100.22", 22)
        for _ in range(r.randint(2, 4)):
            c.tcp(r.uniform(.3, 3), True, ACK | PSH, r.randint(180, 260))
            c.tcp(r.uniform(.01, .03), False, ACK | PSH, r.randint(200, 300))
    for _ in range(made["beacon"]):
        c = begin("198.51.100.83", 8883)
        for _ in range(r.randint(4, 7)):
            c.udp(.2 + r.uniform(-.002, .002), True, 48)
            c.udp(.2 + r.uniform(-.002, .002), False, 20)
    for _ in range(made["log"]):
        c = begin("198.51.100.14", 514)
        for _ in range(r.randint(20, 60)):
            c.udp(r.expovariate(1 / .8), True, r.randint(450, 900))
    scanner, at = "192.0.2.66", START + 600.0
    for service in r.sample([n for n in range(1, 1024) if n not in (22, 53, 443, 514)], made["scan"]):
        c = Conversation(packets, at, scanner, "198.51.100.22", (next(port), service))
        c.tcp(0, True, SYN)
        c.tcp(.0004, False, RST | ACK)
        at += .05
    return sorted(packets), made


def write(path):
    packets, made = conversations()
    with open(path, "wb") as file:
        file.write(pcap(packets))
    return made


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(sys.argv[1])
