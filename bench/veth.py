# SPDX-License-Identifier: BSD-3-Clause
"""Two namespaces and the meter in one of them, for the parts that measure live.

The pair of tests/support/namespaces.py is not used here, because it belongs to a unittest case, and its offloads are off
and its neighbours fixed so that a test knows every frame. Here the offloads must be on, as users have them.
"""
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import time

from .rounds import meter_of, output, run, tmpfs

ADDRESSES = ("192.0.2.1", "192.0.2.2")  # sender, metered


class Veth:
    """Two network namespaces with a veth between them. They are removed at the end, also after an error."""

    def __enter__(self):
        self.spaces = [f"fmbench{os.getpid()}{end}" for end in "ab"]
        try:
            for space in self.spaces:
                run("ip", "netns", "add", space)
                # Without IPv6 there are no router solicitations, which would be counted as well.
                run("ip", "netns", "exec", space, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
            run("ip", "link", "add", "sender", "netns", self.spaces[0], "type", "veth", "peer", "name", "metered",
                "netns", self.spaces[1])
            for space, link, address in zip(self.spaces, ("sender", "metered"), ADDRESSES):
                run("ip", "-n", space, "address", "add", f"{address}/30", "dev", link)
                run("ip", "-n", space, "link", "set", link, "up")
            # A veth takes live frames only if its peer receives by NAPI, which GRO turns on.
            run("ip", "netns", "exec", self.spaces[1], "ethtool", "-K", "metered", "gro", "on")
            time.sleep(0.5)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for space in self.spaces:
            run("ip", "netns", "delete", space, check=False, stderr=subprocess.DEVNULL)

    def command(self, end, cpu, *command):
        """cpu: None leaves the choice to the scheduler."""
        pinned = [] if cpu is None else ["taskset", "-c", str(cpu)]
        return ["ip", "netns", "exec", self.spaces[end], *pinned, *map(str, command)]


def wait_for(stream, text, seconds):
    """Reads an unbuffered pipe until the text arrives."""
    end, read = time.monotonic() + seconds, b""
    while text not in read:
        ready, _, _ = select.select([stream], [], [], max(0, end - time.monotonic()))
        chunk = os.read(stream.fileno(), 4096) if ready else b""
        if not chunk:
            sys.exit(f"bench: the meter did not start:\n{read.decode()}")
        read += chunk


class Meter:
    """The program of a build, metering one end of a veth. It is stopped at the end, also after an error."""

    def __init__(self, build, veth, cpu, datapath="events", arguments=()):
        self.memory = tmpfs()
        chosen = ["--datapath", datapath] if datapath != "events" else []
        self.process = subprocess.Popen(
            veth.command(1, cpu, meter_of(build), "-v", "-i", "metered", "-c", f"{self.memory.name}/rows.csv", *chosen,
                         *arguments),
            stderr=subprocess.PIPE, bufsize=0)

    def __enter__(self):
        try:
            wait_for(self.process.stderr, b"metering metered", 20)
            time.sleep(0.5)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        self.memory.cleanup()

    def cpu_seconds(self):
        return sum(int((task / "schedstat").read_text().split()[0])
                   for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()) / 1e9

    def stop(self):
        """Stops the meter and returns its account: a number for each name."""
        self.process.send_signal(signal.SIGINT)
        account = self.process.stderr.read().decode()
        if self.process.wait() != 0:
            sys.exit(f"bench: the meter failed:\n{account}")
        whole = "\n".join(line for line in account.splitlines() if not re.search(r" (in|e)gress: ", line))
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", whole)}


def bench_cpus():
    """One CPU for the sender (and the hooks that its packets reach) and one for the daemon."""
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[0], cpus[-1]


def send_live_frames(context, veth, cpu, *arguments):
    return json.loads(output(*veth.command(0, cpu, context.live_frames, *arguments, "sender")))


def account_cells(sent, counts):
    """Table cells: packets seen (of those sent, if known), packets in no row, events lost; sums over runs."""
    seen, in_rows, lost = (sum(c[name] for c in counts) for name in ("seen", "in_rows", "events_lost"))
    return [f"{seen:,}" if sent is None else f"{seen:,} of {sent:,}", f"{seen - in_rows:,}", f"{lost:,}"]
