# SPDX-License-Identifier: BSD-3-Clause
"""packaging/systemd: checks the unit by systemd-analyze, and runs it with its whole sandbox under a separate systemd,
booted in namespaces over a temporary copy of the file system. The latter needs root."""
import os
import re
import shutil
import subprocess

import cases
import meter
import namespaces

SYSTEMD = "/lib/systemd/systemd"
# A name that systemd escapes.
INTERFACE = "fm-0"
UNIT = "flowmeter-ebpf@fm\\x2d0.service"
TEMPLATE, NODE = "flowmeter-ebpf@.service", "flowmeter-ebpf-node.service"
STATE = f"/var/lib/private/flowmeter-ebpf/{INTERFACE}"
NEEDED = 1 << 12 | 1 << 38 | 1 << 39  # CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF
# systemd-analyze security: 10 means no sandbox, 2 is what a service with the host's network can reach.
EXPOSURE = 2.0
CLOCK_SLACK_S = 0.25  # a loaded machine may stop between the sender's clock and the hook

# Becomes the init of new namespaces. $1 is an empty directory, $2 has the units and the program.
BOOT = r"""
set -eu
dir=$1 given=$2
mount --make-rprivate /
mount -t tmpfs tmpfs "$dir"
mkdir "$dir/upper" "$dir/work" "$dir/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
root=$dir/root
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t bpf -o mode=700 bpf "$root/sys/fs/bpf"  # as systemd does outside of containers
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
node() { mknod -m 666 "$root/dev/$1" c "$2" "$3"; }
node null 1 3; node zero 1 5; node full 1 7; node random 1 8; node urandom 1 9; node tty 5 0
touch "$root/dev/kmsg"  # so that it does not write to the host's log
mkdir "$root/run/units"
cp "$given"/units/* "$root/run/units/"
rm -rf "$root/var/lib/flowmeter-ebpf" "$root/var/lib/private/flowmeter-ebpf"
rm -f "$root"/etc/default/flowmeter-ebpf*
install -m 755 "$given/flowmeter-ebpf" "$root/usr/bin/flowmeter-ebpf"
ip link set lo up
ip link add fm-0 type veth peer name peer0
ip link set fm-0 addrgenmode none
ip link set peer0 addrgenmode none
ip addr add 192.0.2.1/24 dev fm-0
ip link set fm-0 up
ip link set peer0 up
ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev fm-0 nud permanent
cd "$root"
mkdir "$root/run/old"
pivot_root . run/old
umount -l /run/old
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/run/units SYSTEMD_LOG_TARGET=kmsg \
  /lib/systemd/systemd --system --unit=basic.target
"""

# Sends one steady flow and many short ones until its standard input ends. Tells how many packets that were, the port of the
# steady flow, and its duration.
SEND = r"""
import itertools, select, socket, sys, time
ports = itertools.count(10000)
def flow():
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    connection.bind(("192.0.2.1", next(ports)))
    connection.connect(("192.0.2.2", 4242))
    return connection
sent = 0
begin = time.monotonic()
with flow() as steady:
    while not select.select([sys.stdin], [], [], 0)[0]:
        with flow() as short:
            for _ in range(20):
                steady.send(b"steady")
                short.send(b"short")
                sent += 2
                last = time.monotonic()
                time.sleep(0.001)
    print(sent, steady.getsockname()[1], last - begin)
"""


def configured_unit(directory, name=TEMPLATE, program="/usr/bin"):
    """The unit as it is installed."""
    source = os.path.join(cases.ROOT, "packaging", "systemd", name + ".in")
    with open(source, encoding="utf-8") as file:
        text = file.read()
    text = text.replace("@CMAKE_INSTALL_FULL_BINDIR@", program)
    with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
        file.write(text)
    return os.path.join(directory, name)


class Traffic:
    def __init__(self, booted):
        self.process = subprocess.Popen(booted.enter("python3", "-c", SEND), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, preexec_fn=meter.die_with_parent)
        booted.addCleanup(self.process.communicate)

    def end(self):
        packets, port, duration = self.process.communicate(timeout=60)[0].split()
        return int(packets), port, float(duration)


class Unit(cases.Case):
    def setUp(self):
        super().setUp()
        if shutil.which("systemd-analyze") is None:
            self.skipTest("needs systemd-analyze (package systemd)")

    def analyze(self, *arguments):
        return subprocess.run(["systemd-analyze", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)

    def test_has_no_mistakes(self):
        shutil.copy(cases.meter_path, self.path("flowmeter-ebpf"))
        for name, instance in ((TEMPLATE, UNIT), (NODE, NODE)):
            with self.subTest(name):
                configured_unit(self.directory, name, program=self.directory)
                done = self.analyze("verify", "--man=no", self.path(instance))
                self.assertEqual((done.returncode, done.stdout), (0, ""))
                # A mistake would be found.
                with open(self.path(name), "a", encoding="utf-8") as file:
                    file.write("[Service]\nProtectSystems=strict\n")
                self.assertIn("ProtectSystems", self.analyze("verify", "--man=no", self.path(instance)).stdout)

    def test_exposes_little(self):
        for name in (TEMPLATE, NODE):
            with self.subTest(name):
                unit = configured_unit(self.directory, name)
                done = self.analyze("security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE * 10:.0f}", unit)
                self.assertEqual(done.returncode, 0, done.stdout)
                self.assertIn("Overall exposure level", done.stdout)

    def test_both_have_the_same_sandbox(self):
        def sandbox(name):
            with open(configured_unit(self.directory, name), encoding="utf-8") as file:
                lines = [line for line in file if not line.startswith("#") and "=" in line]
            return [line for line in lines if line.startswith((
                "Protect", "Private", "Restrict", "SystemCall", "Capability", "Ambient", "NoNew", "Lock", "Memory", "Remove", "Keyring",
                "DynamicUser", "UMask", "ProcSubset")) and not line.startswith("RestartPrevent")]

        self.assertGreater(len(sandbox(TEMPLATE)), 25)
        self.assertEqual(sandbox(TEMPLATE), sandbox(NODE))


class BootedCase(cases.Case):
    """The unit under a separate systemd, which ends with its namespaces."""

    template, unit, state = TEMPLATE, UNIT, STATE
    changes = (("BindsTo=sys-subsystem-net-devices-%i.device\n", ""), ("After=sys-subsystem-net-devices-%i.device\n", ""))

    def setUp(self):
        super().setUp()
        missing = namespaces.missing_here()
        if missing:
            self.skipTest(missing)
        for tool in (SYSTEMD, "systemctl", "nsenter", "unshare", "pivot_root"):
            if shutil.which(tool) is None:
                self.skipTest(f"needs {tool}")
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            cgroups = [line.split()[1] for line in mounts if line.split()[2] == "cgroup2"]
        if not cgroups:
            self.skipTest("needs a cgroup2 file system")
        self.boot(cgroups[0])

    def adapt(self, unit):
        """There is no udev that reports interfaces, and no journal. Otherwise the unit is unchanged."""
        with open(unit, encoding="utf-8") as file:
            text = file.read()
        for line, instead in self.changes:
            self.assertIn(line, text)
            text = text.replace(line, instead)
        # A sanitizer's leak check would trace the process at its end, which the sandbox forbids.
        text = text.replace("[Service]\n", "[Service]\nStandardError=append:/run/meter.log\n"
                                           "Environment=ASAN_OPTIONS=detect_leaks=0\n")
        with open(unit, "w", encoding="utf-8") as file:
            file.write(text)

    def boot(self, cgroups):
        units = self.path("given/units")
        os.makedirs(units)
        shutil.copy(cases.meter_path, self.path("given/flowmeter-ebpf"))
        self.adapt(configured_unit(units, self.template))
        for name in ("sysinit", "basic", "shutdown"):
            with open(os.path.join(units, name + ".target"), "w", encoding="utf-8") as file:
                file.write("[Unit]\nDefaultDependencies=no\n")
        os.mkdir(self.path("system"))
        group = os.path.join(cgroups, "fmtest-" + str(os.getpid()))
        os.mkdir(group)
        self.addCleanup(self.remove_group, group)

        def enter_group():
            meter.die_with_parent()
            with open(os.path.join(group, "cgroup.procs"), "w", encoding="ascii") as file:
                file.write("0")

        with open(self.path("boot.log"), "wb") as log:
            self.outer = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net", "--cgroup",
                 "sh", "-c", BOOT, "boot", self.path("system"), self.path("given")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=enter_group)
        self.addCleanup(self.shut_down)

        def running():
            if self.outer.poll() is not None:
                with open(self.path("boot.log"), encoding="utf-8") as log:
                    self.skipTest("systemd does not boot in namespaces here: " + log.read()[-300:])
            with open(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children", encoding="ascii") as children:
                pids = children.read().split()
            if not pids or os.path.basename(os.readlink(f"/proc/{pids[0]}/exe")) != "systemd":
                return None
            self.init = pids[0]
            return self.inside("systemctl", "is-system-running", check=False).strip() == "running"

        meter.wait_for("systemd boots", running)

    def shut_down(self):
        if self.outer.poll() is None:
            self.outer.kill()  # this ends the first process of the namespaces, and so all others
        self.outer.wait()

    def remove_group(self, group):
        def remove():
            for directory, _, _ in os.walk(group, topdown=False):
                try:
                    os.rmdir(directory)
                except OSError:
                    return False  # a process is still ending
            return True

        meter.wait_for("the end of all processes", remove)

    def enter(self, *command):
        return ["nsenter", "--target", self.init, "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", *command]

    def inside(self, *command, **options):
        return namespaces.run(*self.enter(*command), **options)

    def systemctl(self, *arguments, **options):
        return self.inside("systemctl", *arguments, timeout=100, **options)

    def shown(self, *names):
        return [self.systemctl("show", "--property", name, "--value", self.unit).strip() for name in names]

    def log(self):
        return self.inside("cat", "/run/meter.log", check=False)

    def send(self, packets):
        for _ in range(packets):
            self.inside("bash", "-c", "echo something > /dev/udp/192.0.2.2/4242")

    def rows(self, name="flows.csv"):
        return meter.rows_of(self.inside("cat", f"{self.state}/{name}"))

    def files(self):
        return sorted(self.inside("ls", self.state).split())

    def set_options(self, *options, pinned=True):
        lines = [f"METER_OPTIONS={' '.join(options)}", *(() if pinned else ("METER_PIN=",))]
        self.inside("sh", "-c", 'printf "%s\\n" "$@" > /etc/default/flowmeter-ebpf', "sh", *lines)


class Booted(BootedCase):
    def test_is_started_when_it_meters_and_stopped_when_all_is_written(self):
        self.set_options("-v")
        self.systemctl("start", UNIT)
        # Type=notify: the start has returned, so no packet is missed from here on.
        self.send(5)
        state, status, pid = self.shown("ActiveState", "StatusText", "MainPID")
        self.assertEqual((state, status), ("active", "metering " + INTERFACE), self.log())
        said = self.inside("cat", f"/proc/{pid}/status")
        uid = int(re.search(r"Uid:\s+(\d+)", said)[1])
        self.assertGreaterEqual(uid, 61184, "not a dynamic user")
        self.assertRegex(said, r"CapEff:\s+0+\n")
        self.assertEqual(int(re.search(r"CapBnd:\s+(\w+)", said)[1], 16) & ~NEEDED, 0)
        self.assertRegex(said, r"NoNewPrivs:\s+1\n")
        self.assertRegex(said, r"Seccomp:\s+2\n")
        if not meter.missing_sandbox():
            self.assertRegex(self.log(), r"info: sandbox: landlock abi \d+, seccomp \(\d+ calls\)\n")
        self.systemctl("stop", UNIT)
        self.assertEqual(self.shown("Result", "ExecMainStatus"), ["success", "0"], self.log())
        account = meter.account_of(self.log())
        meter.assert_balanced(self, account)
        rows = self.rows()
        self.assertEqual([row["tot_fwd_pkts"] for row in rows if row["dst_port"] == "4242"], ["1"] * 5)
        self.assertEqual(self.inside("stat", "-c", "%a", f"{STATE}/flows.csv").strip(), "640")
        # A new start keeps the old rows.
        self.systemctl("start", UNIT)
        self.assertEqual(self.rows(), [])
        names = self.files()
        self.assertEqual(len(names), 2, names)
        self.assertEqual(self.rows(names[0]), rows)

    def test_metrics_are_served_in_the_sandbox(self):
        """On a port, and on a socket in the unit's own directory."""
        of_unit = f"/run/flowmeter-ebpf/{INTERFACE}/metrics.sock"
        for address, ask in (("127.0.0.1:9464", ()), (of_unit, ("--unix-socket", of_unit))):
            with self.subTest(address):
                self.set_options("--metrics", address)
                self.systemctl("start", UNIT)
                if "libmicrohttpd" in self.log():
                    self.skipTest(self.log().strip())
                curl = ("curl", "-sS", "--noproxy", "*", *ask)
                meter.wait_for("it is ready", lambda: self.inside(*curl, "http://127.0.0.1:9464/readyz") == "ready\n")
                self.assertIn("\nflowmeter_flow_limit 120000\n", self.inside(*curl, "http://127.0.0.1:9464/metrics"))
                self.systemctl("stop", UNIT)
                self.assertEqual(self.shown("Result", "ExecMainStatus"), ["success", "0"], self.log())
                self.assertNotIn("warning", self.log())

    def test_every_datapath_and_hook_works_in_the_sandbox(self):
        for options in ("--datapath kernel", "--hook tc", "--hook xdp-generic", "--flow-map lru --quality",
                        "-i peer* --per-interface"):
            with self.subTest(options=options):
                self.set_options(options, pinned=options != "--hook tc")
                self.systemctl("start", UNIT)
                self.send(3)
                self.systemctl("stop", UNIT)
                self.assertEqual(self.shown("Result", "ExecMainStatus"), ["success", "0"], self.log())
                self.assertGreaterEqual(len([row for row in self.rows() if row["dst_port"] == "4242"]), 3)
                self.assertEqual(self.inside("tc", "filter", "show", "dev", INTERFACE, "egress"), "")

    def test_a_killed_meter_is_started_again(self):
        self.set_options("--hook tc", pinned=False)
        self.systemctl("start", UNIT)
        first = self.shown("MainPID")[0]
        self.inside("kill", "-KILL", first)
        meter.wait_for("another start", lambda: self.shown("ActiveState", "NRestarts") == ["active", "1"])
        self.assertNotEqual(self.shown("MainPID")[0], first)
        self.assertEqual(self.inside("tc", "filter", "show", "dev", INTERFACE, "egress").count("direct-action"), 1)

    def test_wrong_options_are_not_tried_again(self):
        self.set_options("--no-such-option")
        self.systemctl("start", UNIT, check=False)
        # It would be "activating" if it was to be started again.
        self.assertEqual(self.shown("ActiveState", "Result", "ExecMainStatus", "NRestarts"),
                         ["failed", "exit-code", "2", "0"])
        self.assertIn("--no-such-option", self.log())


class Restarts(BootedCase):
    """A restart loses nothing, whoever wants it. A stop is an end."""

    def sent_packets(self, rows):
        rows = [row for row in rows if row["dst_port"] == "4242"]
        self.assertEqual(len({row["src_port"] for row in rows}), len(rows), "a flow has one row")
        return meter.packets_in(rows)

    def seen(self):
        """How many packets the interface has sent."""
        return int(self.inside("cat", f"/sys/class/net/{INTERFACE}/statistics/tx_packets"))

    def wait_traffic(self):
        until = self.seen() + 1000
        meter.wait_for("traffic", lambda: self.seen() >= until)

    def ended(self):
        """Stops the unit. Returns all rows."""
        self.systemctl("stop", UNIT)
        self.assertEqual(self.shown("Result", "ExecMainStatus"), ["success", "0"], self.log())
        rows, last = self.rows(), self.log().rpartition(" seen=")
        account = meter.account_of(last[1] + last[2])
        self.assertEqual(self.files(), ["flows.csv"])
        meter.assert_balanced(self, account)
        self.assertEqual((account["lost"], account["in_rows"]), (0, account["metered"]), self.log())
        self.assertEqual(meter.packets_in(rows), account["in_rows"], self.log())
        self.assertEqual(self.pins(), "")
        self.assertEqual(self.inside("ls", f"/run/private/flowmeter-ebpf/{INTERFACE}"), "", "no state is left")
        return rows

    def pins(self):
        return self.inside("ls", "/sys/fs/bpf/flowmeter-ebpf")

    def test_restarts_under_traffic(self):
        self.set_options("--quality --idle-timeout 1")
        self.systemctl("start", UNIT)
        traffic = Traffic(self)
        for _ in range(3):
            self.wait_traffic()
            pid = self.shown("MainPID")
            self.systemctl("restart", UNIT)
            self.assertNotEqual(self.shown("MainPID"), pid)
        self.wait_traffic()
        packets, port, duration = traffic.end()
        rows = self.ended()
        self.assertEqual(self.sent_packets(rows), packets)
        self.assertEqual({row["timing_estimated"] for row in rows}, {"0"}, "the times are complete, too")
        steady, = (row for row in rows if row["src_port"] == port)
        self.assertAlmostEqual(float(steady["flow_duration"]), duration, delta=CLOCK_SLACK_S)

    def test_a_kill_under_traffic(self):
        self.set_options("--quality --idle-timeout 1")
        self.systemctl("start", UNIT)
        traffic = Traffic(self)
        self.wait_traffic()
        self.systemctl("kill", "--signal=KILL", UNIT)
        meter.wait_for("another start", lambda: self.shown("ActiveState", "NRestarts") == ["active", "1"])
        self.wait_traffic()
        packets, _, _ = traffic.end()
        self.assertEqual(self.sent_packets(self.ended()), packets)

    def test_other_options_need_a_stop(self):
        """A restart with them is refused, and the flows wait for one with the old options, or for a stop."""
        self.set_options("--max-flows 5000")
        self.systemctl("start", UNIT)
        self.send(3)
        self.set_options("--max-flows 6000")
        self.systemctl("restart", UNIT, check=False)
        self.assertIn("created with another --max-flows", self.log())
        self.send(3)
        self.set_options("--max-flows 5000")
        self.systemctl("restart", UNIT)
        self.set_options("--max-flows 6000")
        self.assertEqual(self.sent_packets(self.ended()), 6)
        self.systemctl("start", UNIT)
        self.assertEqual(len(self.files()), 2)

    def test_each_instance_has_its_own_flows(self):
        other = "flowmeter-ebpf@peer0.service"
        self.systemctl("start", UNIT, other)
        self.send(2)
        self.assertEqual(self.pins().split(), ["fm-0", "peer0"])
        self.systemctl("stop", other)
        self.assertEqual(self.pins().split(), ["fm-0"])
        self.systemctl("restart", UNIT)
        self.send(2)
        self.assertEqual(self.sent_packets(self.ended()), 4)
        rows = meter.rows_of(self.inside("cat", "/var/lib/private/flowmeter-ebpf/peer0/flows.csv"))
        self.assertEqual(self.sent_packets(rows), 2)
