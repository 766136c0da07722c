# SPDX-License-Identifier: BSD-3-Clause
"""How fast a new interface is metered: from when it exists to when both programs are attached."""
import ctypes
import os
import pathlib
import platform
import socket
import statistics
import struct
import subprocess
import time

from .rounds import Part, note, run, table, tmpfs
from .veth import wait_for

PER_SECOND = 50
BPF_SYSCALL = {"x86_64": 321, "aarch64": 280}.get(platform.machine())
BPF_PROG_QUERY, TCX_INGRESS, TCX_EGRESS = 16, 46, 47
libc = ctypes.CDLL(None, use_errno=True)


def attached(index):
    """Whether a program is attached at both hooks."""
    for hook in (TCX_INGRESS, TCX_EGRESS):
        query = ctypes.create_string_buffer(struct.pack("=IIIIQI", index, hook, 0, 0, 0, 0), 64)
        if libc.syscall(BPF_SYSCALL, BPF_PROG_QUERY, query, len(query)) != 0 or struct.unpack_from("=I", query, 24)[0] == 0:
            return False
    return True


def index_of(name):
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


class Engine:
    """Makes interfaces as container engines do, in the namespace of this thread; `ip` stays, so that none is started each
    time."""

    def __init__(self, inside):
        self.inside = inside
        self.ip = subprocess.Popen(["ip", "-batch", "-"], stdin=subprocess.PIPE, text=True)

    def say(self, *lines):
        self.ip.stdin.write("\n".join(lines) + "\n")
        self.ip.stdin.flush()

    def make(self, name, moved):
        if moved:  # Docker
            self.say(f"link add {name} type veth peer name {name}p", f"link set {name} up",
                     f"link set {name}p netns {self.inside} name {name}p")
        else:  # CNI plugins
            self.say(f"link add {name} type veth peer name {name}p netns {self.inside}", f"link set {name} up")

    def close(self):
        self.ip.stdin.close()
        self.ip.wait()


def wait_until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            return None
        time.sleep(0.00005)
    return value


def latencies(meter, others, moved, count, arguments):
    """In ms, of new interfaces beside others that exist; and the meter's idle CPU in ms per second before that."""
    outside, inside = (f"fmbench{os.getpid()}{end}" for end in "oi")
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    memory, found = tmpfs(), []
    process = engine = None
    try:
        for space in (outside, inside):
            run("ip", "netns", "add", space)
            run("ip", "netns", "exec", space, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        there = os.open(f"/run/netns/{outside}", os.O_RDONLY)
        libc.setns(there, 0)
        os.close(there)
        engine = Engine(inside)
        for number in range(others):
            engine.say(f"link add old{number} type veth peer name old{number}p netns {inside}")
        if others:
            wait_until(lambda: index_of(f"old{others - 1}"), 120)
        process = subprocess.Popen([meter, "-v", "-i", "veth*", "-c", f"{memory.name}/rows.csv", *arguments],
                                   stderr=subprocess.PIPE, bufsize=0)
        wait_for(process.stderr, b": metering ", 20)
        time.sleep(0.5)
        schedstat = pathlib.Path(f"/proc/{process.pid}/schedstat")
        used, begin = int(schedstat.read_text().split()[0]), time.monotonic()
        time.sleep(5)
        idle = (int(schedstat.read_text().split()[0]) - used) / 1e6 / (time.monotonic() - begin)
        begin = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, begin + number / PER_SECOND - time.monotonic()))
            name = f"veth{number}"
            engine.make(name, moved)
            index = wait_until(lambda: index_of(name))
            made = time.monotonic()
            if index and wait_until(lambda: attached(index)):
                found.append(1e3 * (time.monotonic() - made))
    finally:
        if process:
            process.kill()
            process.wait()
            process.stderr.close()
        if engine:
            engine.close()
        libc.setns(home, 0)
        os.close(home)
        for space in (outside, inside):
            run("ip", "netns", "delete", space, check=False, stderr=subprocess.DEVNULL)
        memory.cleanup()
    return found, idle


def bench(context):
    count = 100 if context.quick else 500
    lines = []
    for build in context.compared_builds:
        for moved, how in ((False, "made in the container"), (True, "moved into it")):
            for others in (0,) if context.quick else (0, 1000):
                found, idle = latencies(build / "flowmeter-ebpf", others, moved, count, ())
                note(f"interfaces: {how}, beside {others}")
                last = sorted(found)[max(0, len(found) * 99 // 100 - 1)] if found else 0.0
                median = statistics.median(found) if found else 0.0
                lines.append(["baseline" if build is context.baseline else "this commit", how, f"{others:,}",
                              f"{len(found)} of {count}", f"{median:.1f}", f"{last:.1f}", f"{idle:.2f}"])
    return [f"New veth pairs, {PER_SECOND} per second, under `-i 'veth*'`; from when the host's end exists to when the programs "
            "at both of its hooks are attached. Before that, the meter's CPU time while nothing happens.\n\n" +
            table(["", "the other end is", "beside interfaces", "attached", "median ms", "99 % ms", "idle ms CPU/s"], lines)]


PART = Part("interfaces", "how fast new interfaces are metered", ("New interfaces",), bench, needs_root=True)
