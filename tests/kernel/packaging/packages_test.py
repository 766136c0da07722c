# SPDX-License-Identifier: BSD-3-Clause
"""The Debian packages: lintian, and what they do in a separate Debian, booted with systemd in namespaces: install, upgrade under
traffic, remove, purge. Needs root, and what scripts/install-dependencies --test
installs."""
import glob
import os
import shutil
import subprocess
import tempfile

import cases
import container_node
import meter
import systemd_test

LABEL = "full"
LOCK = "containers"  # one node at a time
BUILD = os.path.dirname(os.path.abspath(cases.meter_path))
UNIT = "flowmeter-ebpf-node.service"
ROWS = "/var/lib/private/flowmeter-ebpf/node"
# What belongs to no package: logs, caches, and what systemd and dpkg write for themselves.
NOT_OURS = ("/proc", "/sys", "/dev", "/run", "/tmp", "/given", "/old", "/var/lib/dpkg", "/var/cache", "/var/log", "/var/lib/systemd",
            "/var/tmp", "/etc/machine-id", "/etc/.pwd.lock", "/etc/ld.so.cache")


def make_packages(directory, version=None):
    """Of the build under test, with another version if one is given. Returns their paths by name."""
    done = subprocess.run(["cpack", "--config", os.path.join(BUILD, "CPackConfig.cmake"), "-B", directory,
                           *(("-D", f"CPACK_PACKAGE_VERSION={version}") if version else ())],
                          cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200, check=False)
    if done.returncode:
        raise AssertionError(done.stdout[-3000:])
    return {os.path.basename(path).split("_")[0]: path for path in glob.glob(os.path.join(directory, "*.deb"))}


class Packages(cases.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = tempfile.TemporaryDirectory(prefix="fmtest-")
        cls.addClassCleanup(directory.cleanup)
        cls.packages = make_packages(directory.name)

    def test_lintian_finds_nothing(self):
        if shutil.which("lintian") is None:
            self.skipTest("needs lintian (scripts/install-dependencies --test)")
        done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", *self.packages.values()],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_they_need_what_the_program_is_linked_with(self):
        for package, path in self.packages.items():
            needs = subprocess.run(["dpkg-deb", "-f", path, "Depends"], check=True, stdout=subprocess.PIPE, text=True).stdout
            for library in ("libbpf", "libpcap", "libc6", "libstdc++6"):
                self.assertIn(library, needs, package)
        path = self.packages["flowmeter-ebpf"]
        may_need = subprocess.run(["dpkg-deb", "-f", path, "Recommends"], check=True, stdout=subprocess.PIPE, text=True).stdout
        for library in ("libcurl4", "libseccomp2", "libmicrohttpd12", "librdkafka1"):
            self.assertIn(library, may_need)


class Installed(cases.Case):
    def setUp(self):
        super().setUp()
        for name in ("old", "new"):
            os.mkdir(self.path(name))
        try:
            root = container_node.root_directory("packages-bookworm")
        except container_node.Missing as missing:
            self.skipTest(str(missing))
        self.old, self.new = make_packages(self.path("old")), make_packages(self.path("new"), "99.0")
        self.node = container_node.Node(self, root, "/lib/systemd/systemd", name="packages",
                                        given={name: self.path(name) for name in ("old", "new")})
        meter.wait_for("systemd boots", lambda: self.node.try_run("systemctl", "is-system-running").stdout.strip()
                       in ("running", "degraded"))
        self.run_in("sh", "-c", """
            ip link add veth0 type veth peer name peer0
            ip link set veth0 addrgenmode none; ip link set peer0 addrgenmode none
            ip addr add 192.0.2.1/24 dev veth0; ip link set veth0 up; ip link set peer0 up
            ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev veth0 nud permanent""")

    def enter(self, *command):
        return self.node.entering(*command)

    def run_in(self, *command, **options):
        return self.node.run(*command, **options)

    def install(self, packages, which):
        """Returns what was said."""
        return self.run_in("dpkg", "--install", *(f"/given/{which}/{os.path.basename(path)}" for path in packages.values()))

    def shown(self, name, unit=UNIT):
        return self.run_in("systemctl", "show", "--property", name, "--value", unit).strip()

    def files(self):
        skipped = [word for path in NOT_OURS for word in ("-path", path, "-prune", "-o")]
        return set(self.run_in("find", "/", "-xdev", *skipped, "-print").splitlines())

    def log(self):
        return self.run_in("journalctl", "--unit", UNIT, "--output", "cat", "--no-pager")

    def rows(self):
        text = self.run_in("sh", "-c", f"for file in {ROWS}/flows-*.csv; do tail -n +2 $file; done; true")
        header = self.run_in("sh", "-c", f"head -qn 1 {ROWS}/flows-*.csv | sort -u")
        return meter.rows_of(header + text)

    def settings(self, *lines):
        self.run_in("sh", "-c", 'printf "%s\\n" "$@" >/etc/default/flowmeter-ebpf-node', "sh", *lines)
        self.addCleanup(self.node.try_run, "rm", "-f", "/etc/default/flowmeter-ebpf-node")

    def test_from_install_to_purge(self):
        before = self.files()
        self.install(self.old, "old")
        self.assertEqual(self.shown("UnitFileState"), "disabled")
        self.assertEqual(self.shown("ActiveState"), "inactive")
        self.assertEqual(self.run_in("systemd-analyze", "verify", "--man=no", UNIT), "")
        self.assertRegex(self.run_in("flowmeter-ebpf", "--version"), r"\d")
        self.assertIn("--rotate", self.run_in("bash", "-c", "source /usr/share/bash-completion/completions/flowmeter-ebpf; complete -p; "
                                              "flowmeter-ebpf --help"))
        self.assertRegex(self.run_in("python3", "-c", "import flowmeter; print(flowmeter.__version__, flowmeter.features('cic82')[0])"),
                         r"\d")
        self.assertIn("flowmeter-diff", self.run_in("flowmeter-diff", "--help"))
        self.upgrade_under_traffic()

        self.run_in("systemctl", "enable", UNIT, "flowmeter-ebpf@veth0.service")
        self.run_in("dpkg", "--remove", "flowmeter-ebpf", "python3-flowmeter")
        self.assertEqual(self.shown("ActiveState"), "inactive", "a removal stops the meter")
        self.assertEqual(self.run_in("sh", "-c", "ls /sys/fs/bpf/flowmeter-ebpf"), "", "nothing is pinned")
        self.assertNotIn("/usr/bin/flowmeter-ebpf", self.files())
        self.assertIn("/etc/default/flowmeter-ebpf", self.files(), "its configuration stays")
        self.run_in("rm", "/etc/default/flowmeter-ebpf-node")
        self.run_in("dpkg", "--purge", "flowmeter-ebpf", "python3-flowmeter")
        self.assertEqual(sorted(self.files() - before), [])
        self.assertEqual(sorted(before - self.files()), [])
        self.assertEqual(self.run_in("sh", "-c", "ls -d /run/flowmeter* /run/private/flowmeter* /sys/fs/bpf/flowmeter* 2>/dev/null; true"), "")

    def upgrade_under_traffic(self):
        """Each packet is in one row, whichever version has written it."""
        self.settings("METER_ROTATION=--rotate 1h --keep 2 --csv /var/lib/flowmeter-ebpf/node/flows.csv",
                      "METER_OPTIONS=--quality --idle-timeout 1")
        self.run_in("systemctl", "start", UNIT)
        self.assertEqual(self.shown("StatusText"), "metering veth0", self.log())
        traffic = systemd_test.Traffic(self)
        meter.wait_for("traffic", lambda: self.seen() > 1000)
        pid, seen = self.shown("MainPID"), self.seen()
        self.install(self.new, "new")
        self.assertNotEqual(self.shown("MainPID"), pid, "an upgrade restarts the meter")
        self.assertEqual(self.shown("ActiveState"), "active", self.log())
        meter.wait_for("traffic", lambda: self.seen() > seen + 1000)
        packets, _, _ = traffic.end()
        self.run_in("systemctl", "stop", UNIT)
        self.assertEqual(self.shown("Result"), "success", self.log())
        rows = [row for row in self.rows() if row["dst_port"] == "4242"]
        self.assertEqual(meter.packets_in(rows), packets, self.log())
        self.assertEqual(len({row["src_port"] for row in rows}), len(rows), "a flow has one row")
        self.run_in("systemctl", "start", UNIT)

    def seen(self):
        return int(self.run_in("cat", "/sys/class/net/veth0/statistics/tx_packets"))
