# SPDX-License-Identifier: BSD-3-Clause
"""Where the meter's programs are attached: every hook meters the same packets, does not touch the programs, filters and
qdiscs of other owners, and leaves nothing behind. Also the privileges of a running program."""
import contextlib
import ctypes
import os
import platform
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

import cases
import live_cases
import meter
import namespaces
from meter import FLOW
from namespaces import A4, A6, B4, B6

HOOKS = ("tcx", "tc", "xdp", "xdp-generic")

# ---- programs of other owners, by bpf(2) ----

BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
PROG_LOAD, OBJ_PIN, PROG_QUERY, LINK_CREATE = 5, 6, 16, 28
SCHED_CLS, XDP = 3, 6                                      # program types
XDP_ATTACH, TCX_INGRESS, TCX_EGRESS = 37, 46, 47           # attach types
LOAD_BYTES = {SCHED_CLS: 26, XDP: 189}                     # bpf_skb_load_bytes, bpf_xdp_load_bytes
DROP, PASS = {SCHED_CLS: 2, XDP: 1}, {SCHED_CLS: -1, XDP: 2}
SKB_MODE = 2


def bpf(command, attributes):
    """attributes: a bytearray, into which the kernel may write its answer."""
    buffer = ctypes.create_string_buffer(bytes(attributes), 128)
    result = namespaces.libc.syscall(BPF[platform.machine()], command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf command {command}")
    attributes[:] = buffer.raw[:len(attributes)]
    return result


def dropping(kind, port):
    """Instructions that drop IPv4 UDP datagrams to this port (0: every packet) and pass on all else."""
    code = []

    def add(operation, registers=0, offset=0, value=0):
        code.append(struct.pack("<BBhi", operation, registers, offset, value))

    add(0xBF, 0x16)                                        # r6 = context
    checks = () if port == 0 else ((23, 1, 0x71, 17), (36, 2, 0x69, socket.htons(port)))
    for number, (at, size, load, value) in enumerate(checks):
        behind = 4 + 10 * (len(checks) - 1 - number)       # instructions from the next one to "pass on"
        add(0xBF, 0x61)                                    # r1 = context
        add(0xB7, 0x02, 0, at)                             # r2 = offset in the frame
        add(0xBF, 0xA3)                                    # r3 = frame pointer
        add(0x07, 0x03, 0, -8)                             # r3 -= 8
        add(0xB7, 0x04, 0, size)                           # r4 = bytes
        add(0x85, 0, 0, LOAD_BYTES[kind])
        add(0x55, 0x00, behind + 1, 0)                     # if r0 != 0: pass on
        add(load, 0xA1, -8)                                # r1 = what was loaded
        add(0x55, 0x01, behind - 1, value)                 # if r1 != value: pass on
        add(0xB7, 0x00, 0, 0)
    for result in (DROP, PASS) if checks else (DROP,):
        add(0xB7, 0x00, 0, result[kind])
        add(0x95)
    return b"".join(code)


class Foreign(live_cases.Live):
    """A pair of namespaces, and programs of other owners on veth0 of a, which end with the case."""

    def setUp(self):
        super().setUp()
        if platform.machine() not in BPF:
            self.skipTest(f"the number of bpf(2) on {platform.machine()} is not known here")
        self.pair = namespaces.Pair(self)
        with self.pair.a.inside():
            self.index = socket.if_nametoindex("veth0")
        self.pair.wait_quiet()

    def load(self, kind, port, name):
        code, licence = dropping(kind, port), ctypes.create_string_buffer(b"GPL")
        instructions = ctypes.create_string_buffer(code, len(code))
        log = ctypes.create_string_buffer(16384)
        try:
            fd = bpf(PROG_LOAD, bytearray(struct.pack(
                "<IIQQIIQII16sII", kind, len(code) // 8, ctypes.addressof(instructions), ctypes.addressof(licence), 1,
                len(log), ctypes.addressof(log), 0, 0, name, 0, XDP_ATTACH if kind == XDP else 0)))
        except OSError as error:
            raise AssertionError(f"{error}: {log.value.decode()}") from error
        self.addCleanup(os.close, fd)
        return fd

    def link(self, program, attach_type, flags=0):
        with self.pair.a.inside():
            fd = bpf(LINK_CREATE, bytearray(struct.pack("<IIII", program, self.index, attach_type, flags)))
        self.addCleanup(os.close, fd)

    def foreign_tcx(self, port, attach_type=TCX_INGRESS):
        self.link(self.load(SCHED_CLS, port, b"foreign_tcx"), attach_type)

    def foreign_xdp(self, port):
        self.link(self.load(XDP, port, b"foreign_xdp"), XDP_ATTACH, SKB_MODE)

    def foreign_filter(self, port, priority="7"):
        """Adds a filter to a clsact qdisc of its owner. tc takes the program from a BPF file system."""
        directory = namespaces.bpf_file_system(self)
        path = ctypes.create_string_buffer(os.fsencode(directory + "/program"))
        program = self.load(SCHED_CLS, port, b"foreign_tc")
        bpf(OBJ_PIN, bytearray(struct.pack("<QII", ctypes.addressof(path), program, 0)))
        self.pair.a.run("tc", "qdisc", "add", "dev", "veth0", "clsact")
        self.pair.a.run("tc", "filter", "add", "dev", "veth0", "ingress", "prio", priority, "bpf", "da",
                        "object-pinned", directory + "/program")

    def tcx_programs(self, attach_type):
        """The ids of the programs, in order."""
        ids = (ctypes.c_uint32 * 64)()
        query = bytearray(struct.pack("<IIIIQII", self.index, attach_type, 0, 0, ctypes.addressof(ids), len(ids), 0))
        with self.pair.a.inside():
            bpf(PROG_QUERY, query)
        return list(ids[:struct.unpack("<IIIIQII", query)[5]])

    def everything_attached(self):
        """All programs, filters and qdiscs of the interface, as others see them."""
        shown = [f"tcx: {self.tcx_programs(TCX_INGRESS)} {self.tcx_programs(TCX_EGRESS)}"]
        for command in (("ip", "-o", "link", "show", "dev", "veth0"), ("tc", "qdisc", "show", "dev", "veth0"),
                        ("tc", "filter", "show", "dev", "veth0", "ingress"),
                        ("tc", "filter", "show", "dev", "veth0", "egress"), ("bpftool", "net", "show", "dev", "veth0")):
            shown.append(self.pair.a.run(*command))
        return "\n".join(shown)

    def arrives(self, *ports):
        """The UDP ports of a at which a datagram of b arrives."""
        sender = self.udp(self.pair.b, B4)
        receivers = {port: self.udp(self.pair.a, A4, port) for port in ports}
        for port in ports:
            sender.sendto(b"x", (A4, port))
        self.pair.wait_quiet(0.1)
        found = []
        for port, receiver in receivers.items():
            receiver.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                receiver.recv(10)
                found.append(port)
            receiver.close()
        return found

    def hook(self, hook, *arguments, **options):
        return self.start(self.pair.a, "--hook", hook, "--max-flows", "4096", "--event-memory", "4", *arguments,
                          name=options.pop("name", hook), **options)

    def own_links(self, live):
        return sorted((number for kind, number in live.bpf_objects() if kind == "link"), key=int)


class SameRows(Foreign):
    def traffic(self):
        """UDP, TCP and ICMP over both IP versions, sent and received."""
        for ours, theirs in ((A4, B4), (A6, B6)):
            server = self.udp(self.pair.b, theirs, 53)
            client = self.udp(self.pair.a, ours, 40000, (theirs, 53))
            for size in (0, 1, 18, 600, 1400):
                client.send(bytes(size))
                who = server.recvfrom(2000)[1]
                for _ in range(2):
                    server.sendto(bytes(2 * size % 1400), who)
                    client.recv(2000)
            family = socket.AF_INET6 if ":" in ours else socket.AF_INET
            with self.pair.b.inside():
                listener = socket.create_server((theirs, 80), family=family)
            with self.pair.a.inside():
                talker = socket.socket(family)
            talker.settimeout(10)
            talker.connect((theirs, 80))
            accepted, _ = listener.accept()
            accepted.settimeout(10)
            for one, other, size in ((talker, accepted, 100), (accepted, talker, 50_000), (talker, accepted, 20_000)):
                one.sendall(bytes(size))
                while size:
                    size -= len(other.recv(size))
            talker.close()
            self.assertEqual(accepted.recv(1), b"")
            accepted.close()
            listener.close()
            self.pair.a.run("ping", "-q", "-c", "3", "-i", "0.1", theirs)
            self.pair.b.run("ping", "-q", "-c", "2", "-i", "0.1", "-s", "3000", ours)
        self.pair.wait_quiet()

    def rows(self, live):
        done = live.stop_clean()
        for line in done.err.splitlines():  # equal, because nothing else was on the wire
            if match := re.search(r"info: veth0 \w+gress: .* buffers=(\d+) .*link_packets=(\d+)", line):
                self.assertEqual(match[1], match[2], line)
        return sorted([row[name] for name in FLOW + live_cases.UNTIMED] for row in live.rows()
                      if not row["dst_ip"].startswith("ff"))

    def same(self, *hooks):
        """Meters by all these hooks at the same time."""
        lives = [self.hook(hook).wait_attached() for hook in hooks]
        self.pair.wait_quiet()
        self.traffic()
        first, *others = [self.rows(live) for live in lives]
        self.assertEqual(len(first), 8, "a TCP and a UDP flow, an ICMP flow by each end, twice")
        both_ways = [row for row in first if row[len(FLOW)] != "0" and row[len(FLOW) + 1] != "0"]
        self.assertEqual(both_ways, first, "both directions are seen")
        for hook, rows in zip(hooks[1:], others):
            self.assertEqual(rows, first, f"{hook} and {hooks[0]}")

    def test_auto_tcx_tc_and_xdp(self):
        self.same("auto", "tcx", "tc", "xdp")

    def test_tcx_and_xdp_generic(self):
        self.same("tcx", "xdp-generic")

    def test_two_instances_by_tc(self):
        """The second continues when the first has ended, and removes the qdisc at its end."""
        before = self.everything_attached()
        first = self.hook("tc", name="first").wait_attached()
        second = self.hook("tc", name="second").wait_attached()
        client = self.udp(self.pair.a, A4, 42000, (B4, 9))
        for _ in range(20):
            client.send(b"x")
        self.pair.wait_quiet()
        first.stop_clean()
        for _ in range(30):
            client.send(b"x")
        self.pair.wait_quiet()
        second.stop_clean()
        counts = [[row["tot_fwd_pkts"] for row in self.of_ports(live.rows(), 42000) if row["protocol"] == "17"]
                  for live in (first, second)]
        self.assertEqual(counts, [["20"], ["50"]])
        meter.wait_for("nothing is left", lambda: self.everything_attached() == before)


class Neighbours(Foreign):
    """Programs of other owners stay attached and work all the time."""

    def beside(self, hook, ports):
        """ports: those whose datagrams the others drop. One run is stopped, and one is killed."""
        before = self.everything_attached()
        self.assertEqual(self.arrives(12, *ports), [12], "the others work")
        for end in (signal.SIGTERM, signal.SIGKILL):
            live = self.hook(hook, name=f"{hook}-{end}").wait_attached()
            self.assertEqual(self.arrives(12, *ports), [12], f"{hook} runs")
            if end == signal.SIGTERM:
                live.stop_clean(end)
                self.assertEqual(len([row for row in live.rows() if row["dst_port"] == "12"]), 1)
            else:
                live.process.kill()
                live.process.wait()
            meter.wait_for(f"all is as before {hook}", lambda: self.everything_attached() == before)
            self.assertEqual(self.arrives(12, *ports), [12], f"{hook} has ended")

    def test_tcx(self):
        self.foreign_tcx(9)
        self.foreign_filter(10)
        self.foreign_xdp(11)
        self.beside("tcx", (9, 10, 11))

    def test_tc(self):
        self.foreign_tcx(9)
        self.foreign_filter(10)
        self.foreign_xdp(11)
        self.beside("tc", (9, 10, 11))

    def test_tc_beside_the_first_priority(self):
        self.foreign_filter(10, priority="1")
        self.beside("tc", (10,))

    def test_xdp(self):
        self.foreign_tcx(9)
        self.foreign_filter(10)
        self.beside("xdp", (9, 10))

    def test_xdp_generic(self):
        self.foreign_tcx(9)
        self.foreign_filter(10)
        self.beside("xdp-generic", (9, 10))

    def test_xdp_is_taken(self):
        self.foreign_xdp(11)
        before = self.everything_attached()
        for hook in ("xdp", "xdp-generic"):
            done = self.hook(hook).wait()
            self.one_error(done, "veth0", hook, "foreign_xdp", f"(pid {os.getpid()})", "--hook tcx")
            self.assertEqual(self.everything_attached(), before)
        self.assertEqual(self.arrives(11, 12), [12])

    def order(self, hook, attach):
        """Checks which packets are metered before and after a program that drops those to port 9."""
        attach(9)
        lives = [self.hook(hook, "--attach-order", order, name=order).wait_attached() for order in ("first", "last")]
        sender = self.udp(self.pair.b, B4, 42000)
        for port, count in ((9, 25), (12, 35)):
            for _ in range(count):
                sender.sendto(b"x", (A4, port))
        time.sleep(3.5)  # long enough for a warning if nothing had reached one
        counted = []
        for live in lives:
            done = live.stop_clean()
            self.assertEqual(done.warnings, [])
            counted.append({row["dst_port"]: row["tot_fwd_pkts"] for row in live.rows() if row["protocol"] == "17"})
        self.assertEqual(counted, [{"9": "25", "12": "35"}, {"12": "35"}])

    def test_order_tcx(self):
        self.order("tcx", self.foreign_tcx)

    def test_order_tc(self):
        self.order("tc", self.foreign_filter)

    def test_nothing_reaches_the_last(self):
        self.foreign_tcx(0)
        lives = [self.hook("tcx", "--attach-order", order, name=order).wait_attached() for order in ("first", "last")]
        sender = self.udp(self.pair.b, B4, 42000)

        def warned():
            for _ in range(20):
                sender.sendto(b"x", (A4, 9))
            time.sleep(0.1)
            return meter.lines_of(lives[1].err(), "warning")

        meter.wait_for("the last one warns", warned)
        time.sleep(2)
        first, last = (live.stop_clean() for live in lives)
        self.assertEqual(first.warnings, [])
        self.assertEqual(len(last.warnings), 1, last.err)
        for word in ("veth0 ingress", "--attach-order", "doctor"):
            self.assertIn(word, last.warnings[0])


class Traces(Foreign):
    """Checks what is attached while it runs, and what is left afterwards."""

    def killed(self, hook):
        before = self.everything_attached()
        live = self.hook(hook).wait_attached()
        links = self.own_links(live)
        self.assertNotEqual(self.everything_attached(), before)
        live.process.kill()
        live.process.wait()
        meter.wait_for("no program, filter or qdisc is left", lambda: self.everything_attached() == before)
        for link in links:
            self.assertNotEqual(subprocess.run(["bpftool", "link", "show", "id", link], stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL).returncode, 0, f"link {link}")
        self.assertEqual(self.arrives(12), [12])

    def test_killed_tcx(self):
        self.killed("tcx")

    def test_killed_tc(self):
        self.killed("tc")

    def test_killed_xdp(self):
        self.killed("xdp")

    def test_killed_xdp_generic(self):
        self.killed("xdp-generic")

    def removed(self, hook, remove):
        """Somebody removes the ingress program: one line reports it once, and egress continues."""
        live = self.hook(hook).wait_attached()
        client = self.udp(self.pair.a, A4, 42000, (B4, 9))
        client.send(b"x")
        self.pair.wait_quiet()
        remove(live)
        meter.wait_for("a warning", lambda: meter.lines_of(live.err(), "warning"))
        client.send(b"x")
        time.sleep(2.5)
        done = live.stop_clean()
        warnings = [line for line in done.warnings if "removed" in line]
        self.assertEqual(len(warnings), 1, done.err)
        self.assertIn("veth0 ingress", warnings[0])
        row, = [row for row in self.of_ports(live.rows(), 42000) if row["protocol"] == "17"]
        self.assertEqual(row["tot_fwd_pkts"], "2")

    def detach_first_link(self, live):
        subprocess.run(["bpftool", "link", "detach", "id", self.own_links(live)[0]], check=True)

    def test_removed_tcx(self):
        self.removed("tcx", self.detach_first_link)

    def test_removed_xdp(self):
        self.removed("xdp-generic", self.detach_first_link)

    def test_removed_tc(self):
        self.removed("tc", lambda _: self.pair.a.run("tc", "filter", "del", "dev", "veth0", "ingress"))

    def test_foreign_qdisc_without_room(self):
        """With an ingress qdisc of someone else, tc is refused with a message, and tcx works."""
        self.pair.a.run("tc", "qdisc", "add", "dev", "veth0", "ingress")
        before = self.everything_attached()
        self.one_error(self.hook("tc").wait(), "veth0", "qdisc", "ingress", "--hook tcx")
        self.assertEqual(self.everything_attached(), before)
        self.hook("tcx").wait_attached().stop_clean()
        self.assertEqual(self.everything_attached(), before)


class Privileges(Foreign):
    """Privileges that are no longer needed are given up."""

    def capabilities(self, live):
        with open(f"/proc/{live.process.pid}/status", encoding="ascii") as status:
            text = status.read()
        return tuple(int(re.search(name + r":\s*(\w+)", text)[1], 16)
                     for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"))

    def works(self, live, interface_address=A4, target=B4):
        """Flows are closed and written while it runs."""
        client = self.udp(self.pair.a, interface_address, 42000, (target, 9))
        for _ in range(5):
            client.send(b"x")
        meter.wait_for("a row", lambda: self.of_ports(live.rows(), 42000))

    def none_left(self, *arguments, **options):
        live = self.hook("tcx", "--idle-timeout", "0.3", *arguments, **options).wait_attached()
        self.assertEqual(self.capabilities(live), (0, 0, 0, 0))
        self.works(live)
        live.stop_clean()

    def test_fixed_name(self):
        self.none_left()

    def test_fixed_name_datapath_kernel(self):
        self.none_left("--datapath", "kernel")

    def test_xdp(self):
        live = self.hook("xdp-generic", "--idle-timeout", "0.3").wait_attached()
        self.assertEqual(self.capabilities(live), (0, 0, 0, 0))
        self.works(live)
        live.stop_clean()

    def later_interface(self, *arguments, hook="tcx", **options):
        """With a pattern: an interface that comes later is metered, though only CAP_NET_ADMIN is left."""
        live = self.hook(hook, "--idle-timeout", "0.3", *arguments, interface="veth*", **options).wait_attached()
        net_admin = 1 << 12
        self.assertEqual(self.capabilities(live), (net_admin, net_admin, 0, 0))
        self.pair.a.ip("link", "add", "veth7", "type", "veth", "peer", "name", "other7")
        for interface in ("veth7", "other7"):
            self.pair.a.ip("link", "set", interface, "addrgenmode", "none", "up")
        self.pair.a.ip("addr", "add", "198.18.7.1/24", "dev", "veth7")
        self.pair.a.ip("neigh", "add", "198.18.7.2", "lladdr", "02:00:00:00:00:07", "dev", "veth7")
        meter.wait_for("it is metered", lambda: ": metering veth7\n" in live.err())
        self.works(live, "198.18.7.1", "198.18.7.2")
        done = live.stop_clean()
        self.assertEqual(done.warnings, [])

    def test_pattern(self):
        self.later_interface()

    def test_pattern_by_tc(self):
        before = self.everything_attached()
        self.later_interface(hook="tc")
        self.pair.a.ip("link", "del", "veth7")
        meter.wait_for("nothing is left", lambda: self.everything_attached() == before)

    def test_pattern_by_xdp(self):
        self.later_interface(hook="xdp-generic")

    def as_nobody(self):
        program = self.path("meter")  # the build directory may be closed to other users
        shutil.copy(cases.meter_path, program)
        os.chmod(program, 0o755)
        some = "-all,+bpf,+net_admin,+perfmon"
        return {"program": program, "prefix": (
            "setpriv", "--reuid", live_cases.NOBODY, "--regid", live_cases.NOBODY, "--clear-groups",
            "--inh-caps=" + some, "--ambient-caps=" + some, "--bounding-set=" + some)}

    def test_ordinary_user(self):
        self.none_left(**self.as_nobody())

    def test_ordinary_user_with_a_pattern(self):
        self.later_interface(**self.as_nobody())

    def test_ordinary_user_by_tc(self):
        before = self.everything_attached()
        live = self.hook("tc", "--idle-timeout", "0.3", **self.as_nobody()).wait_attached()
        self.works(live)
        live.stop_clean()
        meter.wait_for("nothing is left", lambda: self.everything_attached() == before)
