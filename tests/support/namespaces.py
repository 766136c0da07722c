# SPDX-License-Identifier: BSD-3-Clause
"""Two network namespaces joined by a veth pair, for one test case; removed at its end whatever happens."""
import contextlib
import ctypes
import json
import os
import platform
import re
import secrets
import signal
import subprocess
import threading
import time

import meter

# RFC 5737 and 3849: documentation addresses, nobody's network.
A4, B4, A6, B6 = "198.51.100.1", "198.51.100.2", "2001:db8::1", "2001:db8::2"
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def missing_here():
    """Why these tests cannot run here, or ""."""
    if os.geteuid() != 0:
        return "needs root for network namespaces and BPF"
    with open("/proc/self/status", encoding="ascii") as status:
        effective = int(re.search(r"CapEff:\s*(\w+)", status.read())[1], 16)
    for name, bit in (("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21)):
        if not effective >> bit & 1:
            return f"needs {name}"
    release = tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2])
    if release < (6, 6):
        return f"kernel {platform.release()} has no TCX (Linux 6.6 and newer have it)"
    return ""


def run(*command, check=True, timeout=60):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=timeout, preexec_fn=meter.die_with_parent)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: status {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def bpf_file_system(case, mode="1777"):
    """A separate one of the case, so that what is pinned there ends with it."""
    path = case.path("bpf")
    os.mkdir(path)
    run("mount", "-t", "bpf", "-o", f"mode={mode}", "none", path)
    case.addCleanup(run, "umount", "-l", path, check=False)
    return path


class Namespace:
    def __init__(self, case, who):
        self.case = case
        self.name = f"fmtest-{os.getpid()}-{secrets.token_hex(3)}-{who}"
        self.enter = ("ip", "netns", "exec", self.name)
        case.addCleanup(run, "ip", "netns", "del", self.name, check=False)
        run("ip", "netns", "add", self.name)
        # IPv6 sends its few packets at once: no detection of duplicate addresses, multicast reports within 10 ms.
        self.run("sh", "-c", "cd /proc/sys/net/ipv6/conf; for i in all default; do echo 0 > $i/accept_dad;"
                             " echo 0 > $i/router_solicitations; echo 10 > $i/mldv2_unsolicited_report_interval; done")
        self.ip("link", "set", "lo", "up")

    def run(self, *command, **options):
        return run(*self.enter, *command, **options)

    def ip(self, *command):
        return run("ip", "-n", self.name, *command)

    def start(self, *command, **options):
        """A process in the namespace, killed at the end of the case."""
        process = subprocess.Popen([*self.enter, *command], preexec_fn=meter.die_with_parent,
                                   **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL,
                                      "stderr": subprocess.DEVNULL, **options})

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()

        self.case.addCleanup(end)
        return process

    @contextlib.contextmanager
    def inside(self):
        """Everything that this thread opens inside (sockets, /dev/net/tun) belongs to the namespace."""
        with open(f"/proc/self/task/{threading.get_native_id()}/ns/net", "rb") as home, \
                open(f"/run/netns/{self.name}", "rb") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                libc.setns(home.fileno(), CLONE_NEWNET)

    def listening(self, port):
        """Waits until something listens on this port, TCP or UDP."""
        meter.wait_for(f"listening on {port}", lambda: f":{port} " in self.run("ss", "-Htuln"))

    def link_counters(self, interface):
        """(packets, bytes) of both directions."""
        stats = json.loads(self.ip("-j", "-s", "link", "show", "dev", interface))[0]["stats64"]
        return tuple(stats["rx"][unit] + stats["tx"][unit] for unit in ("packets", "bytes"))


class Pair:
    """Namespaces a and b; veth0 in each. Without segmentation offload an skb is a frame on the wire."""

    def __init__(self, case, offload=False):
        self.a, self.b = Namespace(case, "a"), Namespace(case, "b")
        run("ip", "link", "add", "veth0", "netns", self.a.name, "type", "veth",
            "peer", "name", "veth0", "netns", self.b.name)
        macs = {}
        for side in (self.a, self.b):
            macs[side] = json.loads(side.ip("-j", "link", "show", "dev", "veth0"))[0]["address"]
        for side, v4, v6, peer, peer4, peer6 in ((self.a, A4, A6, self.b, B4, B6), (self.b, B4, B6, self.a, A4, A6)):
            if not offload:
                side.run("ethtool", "-K", "veth0", "tso", "off", "gso", "off", "gro", "off")
                side.ip("link", "set", "dev", "veth0", "gso_max_segs", "1")
            # No link-local address, no ARP, no neighbour discovery: the wire carries what the test sends, but for some
            # multicast reports.
            side.ip("link", "set", "dev", "veth0", "addrgenmode", "none")
            side.ip("link", "set", "dev", "veth0", "up")
            side.ip("addr", "add", v4 + "/24", "dev", "veth0")
            side.ip("addr", "add", v6 + "/64", "dev", "veth0", "nodad")
            for address in (peer4, peer6):
                side.ip("neigh", "replace", address, "lladdr", macs[peer], "dev", "veth0", "nud", "permanent")

    def wait_quiet(self, seconds=0.3, limit=60):
        """Waits until nothing has crossed the wire for a while."""
        end = time.monotonic() + limit
        before, since = None, 0
        while time.monotonic() < end:
            now = self.a.link_counters("veth0"), self.b.link_counters("veth0")
            if now != before:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > seconds:
                return
            time.sleep(0.05)
        raise AssertionError(f"the wire was not quiet for {seconds} s within {limit} s")


class Tcpdump:
    """A capture on an interface, which has started when the constructor returns."""

    def __init__(self, case, namespace, interface):
        self.case = case
        self.pcap, self.log = case.path("reference.pcap"), case.path("tcpdump.log")
        with open(self.log, "wb") as log:
            # -Z root, because the directory belongs to the test. A buffer of 64 MiB, with frames of little more than
            # the MTU. Immediate mode, because blocks are otherwise delivered up to a second late.
            self.process = namespace.start("tcpdump", "-i", interface, "-w", self.pcap, "--immediate-mode", "-U",
                                           "-s", "2048", "-B", "65536", "-Z", "root", "--time-stamp-precision=nano",
                                           stderr=log)
        meter.wait_for("tcpdump listens", lambda: "listening on" in self.text())

    def text(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read()

    def stop(self):
        time.sleep(0.2)  # it may still be writing
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)
        self.case.assertIn("\n0 packets dropped by kernel", self.text(), "tcpdump itself has lost packets")
        return self.pcap
