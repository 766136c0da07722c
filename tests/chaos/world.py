# SPDX-License-Identifier: BSD-3-Clause
"""What one scenario runs in: a metered namespace, a peer, wires between them, a BPF file system, a small disk, a clock of its
own, a group with little memory. All of it is removed at the end of the case."""
import mmap
import os
import random
import shutil
import struct
import tempfile
import time

import meter
import namespaces
from ledger import UDP, Ledger, PacketSender, segment_sender

MAC = "02:00:00:{:02x}:{:02x}:0{}"


class Wire:
    """veth<number> of the metered side, joined with peer<number> in the namespace `far`. Its ends have no IPv6 and no ARP, so that it carries only
    what is in the ledger."""

    def __init__(self, world, number, far, segmented=True):
        self.world, self.number, self.name, self.peer = world, number, f"veth{number}", f"peer{number}"
        self.doubtful = False  # see Ledger
        macs = [MAC.format(number >> 8, number & 255, end) for end in (1, 2)]
        namespaces.run("ip", "link", "add", self.name, "netns", world.host.name, "address", macs[0], "type", "veth",
                       "peer", "name", self.peer, "netns", far.name, "address", macs[1])
        self.devices = (world.host, self.name), (far, self.peer)
        for namespace, name in self.devices:
            namespace.run("ethtool", "-K", name, "tso", "off", "gso", "off", "gro", "off")
            namespace.ip("link", "set", "dev", name, "up")
        self.ends = []
        for namespace, name, (ours, theirs) in ((*self.devices[0], macs), (*self.devices[1], macs[::-1])):
            with namespace.inside():
                self.ends.append(PacketSender(name, ours, theirs))
            world.case.addCleanup(self.ends[-1].socket.close)
        self.segmented = self._segmented(macs) if segmented else None

    def _segmented(self, macs):
        """(socket, its 5-tuple) at each end, to an address whose neighbour is known and which nobody has."""
        ends = []
        for end, (namespace, name) in enumerate(self.devices):
            ours, theirs = f"198.18.{self.number}.{1 + end}", f"198.18.{self.number}.{77 + end}"
            namespace.ip("addr", "add", ours + "/24", "dev", name)
            namespace.ip("neigh", "replace", theirs, "lladdr", macs[1 - end], "dev", name, "nud", "permanent")
            with namespace.inside():
                ends.append((segment_sender(ours, 40000), (ours, theirs, 40000, 7000, UDP)))
            self.world.case.addCleanup(ends[-1][0].close)
        return ends

    def buffers_seen(self):
        """By the kernel's own counters of the metered end (ip -s link)."""
        return self.world.host.link_counters(self.name)[0]

    def settle(self):
        """Waits until what was sent so far has arrived. Packets from now on are doubtful."""
        self.doubtful = True
        sent = self.world.ledger.buffers[self]
        meter.wait_for(f"{self.name} has what was sent", lambda: self.buffers_seen() >= sent)

    def close_far(self):
        """Its sockets there would keep the namespace."""
        self.ends[1].socket.close()
        if self.segmented:
            self.segmented[1][0].close()


class World:
    def __init__(self, case, seed, wires=1):
        self.case, self.random, self.ledger = case, random.Random(seed), Ledger()
        self.host, self.far = self.namespace("h"), self.namespace("f")
        self.wires = [Wire(self, number, self.far) for number in range(1, 1 + wires)]
        self.newest = wires
        self.pins, self.state = self.mount("bpf", "bpf") + "/meter", self.private()
        self.out = case.path("out")
        os.mkdir(self.out, 0o777)

    def private(self):
        """A directory that no other user can change, as that of the case can be."""
        directory = tempfile.TemporaryDirectory(prefix="fmtest-")
        self.case.addCleanup(directory.cleanup)
        return directory.name

    def namespace(self, who):
        namespace = namespaces.Namespace(self.case, who)
        namespace.run("sh", "-c", "for i in all default; do echo 1 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; done")
        return namespace

    def add_wire(self, far=None):
        """Its packets are doubtful until it is metered."""
        self.newest += 1
        wire = Wire(self, self.newest, far or self.far)
        wire.doubtful = True
        self.wires = [*self.wires, wire]
        return wire

    def mount(self, kind, name, *options):
        path = self.case.path(name)
        os.mkdir(path)
        namespaces.run("mount", "-t", kind, *options, "none", path)
        self.case.addCleanup(namespaces.run, "umount", "-l", path, check=False)
        return path

    def batch(self, *lines):
        """Commands of ip, all at once, in the metered namespace."""
        with open(self.case.path("batch"), "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        self.host.ip("-batch", file.name)

    def pause(self, least=0.1, most=1.0):
        """The moments of events are random, so this is no wait for a condition."""
        time.sleep(self.random.uniform(least, most))

    def wait_arrived(self):
        """Waits until the metered end of each wire has seen what was sent."""
        for wire in self.wires:
            meter.wait_for(f"{wire.name} has what was sent",
                           lambda wire=wire: wire.buffers_seen() >= self.ledger.buffers[wire])


class Clock:
    """The wall clock of a meter, which other processes do not see (step_clock.c)."""

    def __init__(self, case):
        if not shutil.which("cc"):
            case.skipTest("needs a C compiler")
        library, path = case.path("step_clock.so"), case.path("clock")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "step_clock.c")
        namespaces.run("cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", library, source)
        with open(path, "wb") as file:
            file.write(bytes(8))
        # A sanitizer's library need not be the first one.
        asan = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
        self.environment = {"LD_PRELOAD": library, "STEP_CLOCK": path, "ASAN_OPTIONS": asan}
        with open(path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 8)
        case.addCleanup(self.page.close)

    def step(self, ahead_s):
        self.page[:] = struct.pack("q", ahead_s)


class LittleMemory:
    """A memory cgroup, of version 1 or 2."""

    LIMITS = {"/sys/fs/cgroup/memory": "memory.limit_in_bytes", "/sys/fs/cgroup": "memory.max"}

    def __init__(self, case, limit):
        for root, file in self.LIMITS.items():
            self.path = f"{root}/{os.path.basename(case.directory)}"
            try:
                os.mkdir(self.path)
            except OSError:
                continue
            case.addCleanup(self.remove)
            if os.path.exists(f"{self.path}/{file}"):
                self.write(file, limit)
                return
        case.skipTest("needs a memory cgroup")

    def write(self, file, value):
        with open(f"{self.path}/{file}", "w", encoding="ascii") as out:
            out.write(str(value))

    def remove(self):
        def gone():
            try:
                os.rmdir(self.path)
            except OSError:
                return not os.path.exists(self.path)
            return True

        meter.wait_for(f"{self.path} is empty", gone)
