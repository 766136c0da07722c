# SPDX-License-Identifier: BSD-3-Clause
"""How fast a new interface is metered: from the first packet that its container sends to the first that is metered."""
import csv
import ctypes
import fcntl
import os
import pathlib
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

from .rounds import Part, meter_of, note, run, table, tmpfs
from .veth import wait_for

SECONDS = 8
FRAME_EVERY_S = 0.001
FRAMES = 60  # per container
FIRST_PORT = 1024
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
libc = ctypes.CDLL(None, use_errno=True)


def frame(port):
    """Of UDP, to an address that nobody has."""
    udp = struct.pack("!HHHH", port, 9, 48, 0) + bytes(40)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)))
    return b"\x02\0\0\0\0\2\x02\0\0\0\0\1\x08\0" + ip + udp


class Engine:
    """Makes interfaces as container engines do; `ip` stays, so that none is started each time."""

    def __init__(self, outside, inside):
        self.inside = inside
        self.ip = subprocess.Popen(["ip", "-n", outside, "-batch", "-"], stdin=subprocess.PIPE, text=True)

    def say(self, *lines):
        self.ip.stdin.write("\n".join(lines) + "\n")
        self.ip.stdin.flush()

    def make(self, number, moved):
        host, peer = f"veth{number}", f"eth{number}"
        if moved:  # Docker
            self.say(f"link add {host} type veth peer name {host}p", f"link set {host} up",
                     f"link set {host}p netns {self.inside} name {peer}")
        else:  # CNI plugins
            self.say(f"link add {host} type veth peer name {peer} netns {self.inside}", f"link set {host} up")

    def close(self):
        self.ip.stdin.close()
        self.ip.wait()


class Containers:
    """Of the namespace that this thread is in: each sends as soon as its interface is there."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.begun = {}  # number: time of its first frame, in us since 1970
        self.left = {}   # number: frames

    def add(self, number):
        self.left[number] = FRAMES

    def send(self):
        """One frame of each."""
        for number, left in list(self.left.items()):
            name = f"eth{number}"
            try:
                if number not in self.begun:
                    fcntl.ioctl(self.socket, SIOCSIFFLAGS, struct.pack("16sH14x", name.encode(), IFF_UP))
                now = time.time_ns() // 1000
                self.socket.sendto(frame(FIRST_PORT + number), (name, 0))
            except OSError:
                continue  # it is not there yet
            self.begun.setdefault(number, now)
            self.left[number] = left - 1
            if left == 1:
                del self.left[number]


def make_containers(engine, moved, per_second):
    """Makes them, and lets them send. Returns {number: time of the first frame}."""
    count = SECONDS * per_second
    containers = Containers()
    with containers.socket:
        begin = time.monotonic()
        made = step = 0
        while made < count or (containers.left and step * FRAME_EVERY_S < SECONDS + 10):
            time.sleep(max(0.0, begin + step * FRAME_EVERY_S - time.monotonic()))
            step += 1
            if made < count and made / per_second <= time.monotonic() - begin:
                engine.make(made, moved)
                containers.add(made)
                made += 1
            containers.send()
    return containers.begun


def idle_cpu(process):
    """In ms per second."""
    schedstat = pathlib.Path(f"/proc/{process.pid}/schedstat")
    used, begin = int(schedstat.read_text().split()[0]), time.monotonic()
    time.sleep(5)
    return (int(schedstat.read_text().split()[0]) - used) / 1e6 / (time.monotonic() - begin)


def enter(file):
    if libc.setns(file, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def latencies(build, others, moved, per_second):
    """[ms until the first metered packet], packets that were not metered, and the meter's idle CPU beside the other
    interfaces."""
    outside, inside = (f"fmbench{os.getpid()}{end}" for end in "oi")
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    memory = tmpfs()
    process = engine = None
    try:
        for space in (outside, inside):
            run("ip", "netns", "add", space)
            run("ip", "netns", "exec", space, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        engine = Engine(outside, inside)
        engine.say(*(f"link add old{number} type veth peer name old{number}p netns {inside}" for number in range(others)))
        deadline = time.monotonic() + 120
        while pathlib.Path(f"/proc/{engine.ip.pid}/net/dev").read_text().count("old") < others:
            if time.monotonic() > deadline:
                sys.exit("bench: the other interfaces could not be made")
            time.sleep(0.1)
        process = subprocess.Popen(["ip", "netns", "exec", outside, meter_of(build), "-v", "-i", "veth*", "-c",
                                    f"{memory.name}/rows.csv", "--time-format", "epoch-us", "--fields",
                                    "src_port,timestamp,tot_fwd_pkts"], stderr=subprocess.PIPE, bufsize=0)
        wait_for(process.stderr, b": metering ", 20)
        time.sleep(0.5)
        idle = idle_cpu(process)
        with open(f"/run/netns/{inside}", encoding="ascii") as there:
            enter(there.fileno())
        begun = make_containers(engine, moved, per_second)
        enter(home)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        with open(f"{memory.name}/rows.csv", encoding="ascii") as file:
            first = {int(row["src_port"]) - FIRST_PORT: row for row in csv.DictReader(file)}
    finally:
        if process and process.poll() is None:
            process.kill()
            process.communicate()
        if engine:
            engine.close()
        enter(home)
        os.close(home)
        for space in (outside, inside):
            run("ip", "netns", "delete", space, check=False, stderr=subprocess.DEVNULL)
        memory.cleanup()
    found = [max(0.0, int(first[number]["timestamp"]) - sent) / 1e3 for number, sent in begun.items() if number in first]
    metered = sum(int(first[number]["tot_fwd_pkts"]) for number in begun if number in first)
    return found, len(begun) * FRAMES - metered, idle


def bench(context):
    lines = []
    for build in context.compared_builds:
        for moved, how in ((False, "made in the container"), (True, "moved into it")):
            for others, per_second in ((0, 10), (0, 50)) if context.quick else ((0, 10), (1000, 10), (0, 20), (0, 50)):
                found, missed, idle = latencies(build, others, moved, per_second)
                note(f"interfaces: {how}, {per_second}/s beside {others}")
                found.sort()
                count = SECONDS * per_second
                lines.append(["baseline" if build is context.baseline else "this commit", how, f"{others:,}", per_second,
                              f"{len(found)} of {count}", f"{statistics.median(found):.1f}" if found else "-",
                              f"{found[len(found) * 9 // 10]:.1f}" if found else "-", f"{missed:,} of {count * FRAMES:,}", f"{idle:.2f}"])
    return ["New veth pairs under `-i 'veth*'`. Each container sends a packet per millisecond, "
            f"{FRAMES} in all, as soon as its end is there; from its first packet to the first that is metered. Target: 10 ms. "
            "The kernel attaches a program in a grace period of RCU, and meanwhile changes no other interface; those at "
            "egress are attached last. Idle is the meter's CPU time before that, while nothing happens.\n\n" +
            table(["", "the other end is", "beside interfaces", "per second", "metered", "median ms", "90 % ms",
                   "packets not metered", "idle ms CPU/s"], lines)]


PART = Part("interfaces", "how fast new interfaces are metered", ("New interfaces",), bench, needs_root=True)
