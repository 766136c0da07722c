# SPDX-License-Identifier: BSD-3-Clause
"""The sandbox of the running program, and --user: what the kernel says about its threads, who owns what it creates, and
that all its work goes on inside. tests/unit/ops/sandbox_test.cpp tries what is forbidden."""
import ctypes
import glob
import os
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading

import cases
import http_server
import live_cases
import meter
import namespaces
from namespaces import A4, B4

NOBODY = pwd.getpwnam("nobody")
OUTSIDER = 12345  # a user without a name
EPERM = 1
LANDLOCK_CREATE_RULESET = 444  # the same on all architectures


def refuse_landlock():
    """The policy of a container: landlock_create_ruleset fails with EPERM. A seccomp filter in classic BPF."""
    load_number, equal, answer = 0x20, 0x15, 0x06
    code = b"".join(struct.pack("HBBI", *step) for step in (
        (load_number, 0, 0, 0), (equal, 0, 1, LANDLOCK_CREATE_RULESET), (answer, 0, 0, 0x00050000 | EPERM),
        (answer, 0, 0, 0x7fff0000)))
    text = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(text)))
    libc = ctypes.CDLL(None)
    assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0


class Sandboxed(live_cases.Live):
    def setUp(self):
        super().setUp()
        missing = meter.missing_sandbox()
        if missing:
            self.skipTest(missing)
        self.pair = self.pair()

    def meter(self, *arguments, **options):
        return self.start(self.pair.a, "--sandbox", "require", *arguments, **options).wait_attached()

    def statuses(self, live):
        """The entries of /proc/PID/status, of each thread."""
        for path in glob.glob(f"/proc/{live.process.pid}/task/*/status"):
            with open(path, encoding="utf-8") as file:
                yield dict(re.findall(r"^(\w+):\s*(.*)$", file.read(), re.M))

    def send(self, count=1):
        with self.pair.a.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind((A4, 0))
            for _ in range(count):
                s.sendto(b"x", (B4, 9))


class Threads(Sandboxed):
    def test_are_all_confined(self):
        live = self.meter("-c", self.path("x.csv"), "-c", self.path("x.csv.zst"), "--json", self.path("y.json.gz"))
        meter.wait_for("threads of the outputs", lambda: len(list(self.statuses(live))) == 3)
        for status in self.statuses(live):
            self.assertEqual((status["Seccomp"], status["NoNewPrivs"], int(status["CapEff"], 16)), ("2", "1", 0))
        self.assertRegex(live.err(), r"info: sandbox: landlock abi \d+, seccomp \(\d+ calls\)\n")
        done = live.stop()
        self.assertEqual((done.code, done.errors, done.warnings), (0, [], []), done.err)

    def test_off(self):
        live = self.start(self.pair.a, "--sandbox", "off").wait_attached()
        (status,) = self.statuses(live)
        self.assertEqual((status["Seccomp"], status["NoNewPrivs"], int(status["CapEff"], 16)), ("0", "1", 0))
        self.assertNotIn("sandbox", live.err())
        live.stop_clean()


class Missing(Sandboxed):
    """A part of the sandbox is missing: auto goes on and says so, require fails."""

    def test_is_refused_by_a_policy(self):
        def in_container():
            meter.die_with_parent()
            refuse_landlock()

        command = [*self.pair.a.enter, cases.meter_path, "-i", "veth0", "--duration", "0.1", "-q", "-c",
                   self.path("x.csv")]
        for mode, code, text in (
                ("require", 1, r"flowmeter-ebpf: error: --sandbox require: no landlock \(refused: [^)]*\), .*\n"),
                ("auto", 0, r"flowmeter-ebpf: warning: sandbox: no landlock \(refused: Operation not permitted\), "
                            r"seccomp \(\d+ calls\)\n")):
            done = subprocess.run([*command, "--sandbox", mode], capture_output=True, text=True, timeout=60,
                                  preexec_fn=in_container)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertRegex(done.stderr, f"^{text}$")
            self.assertEqual(os.path.exists(self.path("x.csv")), mode == "auto", "nothing is opened before")

    def test_library_is_missing(self):
        with open(self.path("libseccomp.so.2"), "wb"):
            pass
        environment = {**os.environ, "LD_LIBRARY_PATH": self.directory}
        live = self.start(self.pair.a, env=environment).wait_attached()
        self.assertRegex(live.err(), r"info: sandbox: landlock abi \d+, no seccomp \(libseccomp: \S+libseccomp.so.2: file too short\)\n")
        live.stop_clean()
        done = self.start(self.pair.a, "--sandbox", "require", name="required", env=environment).wait()
        self.assertEqual((done.code, len(done.errors)), (1, 1), done.err)
        self.assertIn("libseccomp: ", done.errors[0])


class Work(Sandboxed):
    def test_names_are_resolved_and_certificates_read(self):
        """By TLS to a host whose name only a DNS server knows. The system's resolv.conf and certificates are replaced
        while the meter runs."""
        if not shutil.which("openssl"):
            self.skipTest("needs openssl for a certificate")
        certificate = http_server.make_certificate(self, "server", "DNS:flows.example")
        with self.pair.a.inside():
            service = http_server.Service(self, certificate=certificate)
            names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            names.bind(("127.0.0.1", 53))
        self.addCleanup(names.close)
        threading.Thread(target=self.answer, args=(names,), daemon=True).start()
        etc = self.path("etc")
        os.makedirs(etc)
        with open(os.path.join(etc, "resolv.conf"), "w", encoding="ascii") as file:
            file.write("nameserver 127.0.0.2\n")
        # A mount namespace with this as its /etc.
        live = self.meter("-c", self.path("x.csv"), "--idle-timeout", "0.1", "-u",
                          f"https://flows.example:{service.port}/", env=self.without_proxies(),
                          prefix=("unshare", "-m", "--propagation", "private", "sh", "-c",
                                  'mount --bind "$0" /etc && exec "$@"', etc))
        with open(os.path.join(etc, "new"), "w", encoding="ascii") as file:
            file.write("nameserver 127.0.0.1\n")
        os.rename(os.path.join(etc, "new"), os.path.join(etc, "resolv.conf"))
        os.makedirs(os.path.join(etc, "ssl/certs"))
        shutil.copy(certificate[0], os.path.join(etc, "ssl/certs/ca-certificates.crt"))
        self.send()
        meter.wait_for("the row arrives", lambda: service.acknowledged)
        done = live.stop()
        self.assertEqual((done.code, done.errors), (0, []), done.err)

    @staticmethod
    def without_proxies():
        return {**{k: v for k, v in os.environ.items() if "proxy" not in k.lower()}, "no_proxy": "*"}

    @staticmethod
    def answer(names):
        """A DNS server: every A record is 127.0.0.1, and there are no others."""
        while True:
            try:
                query, client = names.recvfrom(512)
            except OSError:
                return
            end = query.index(b"\0", 12) + 5
            is_a = query[end - 4:end - 2] == b"\0\1"
            record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1" if is_a else b""
            names.sendto(query[:2] + b"\x81\x80\0\1" + struct.pack(">H", is_a) + bytes(4) + query[12:end] + record, client)

    def test_a_guardian_starts_inside(self):
        """With --hook tc, when the first interface appears. It removes the filters of a meter that is killed."""
        live = self.start(self.pair.a, "--sandbox", "require", "--hook", "tc", interface="late*").wait_attached()
        self.pair.a.ip("link", "add", "late0", "type", "veth", "peer", "name", "other0")
        self.pair.a.ip("link", "set", "late0", "up")
        meter.wait_for("the interface is metered", lambda: "metering late0" in live.err())
        self.assertIn("clsact", self.pair.a.run("tc", "qdisc", "show", "dev", "late0"))
        live.process.kill()
        live.process.wait()
        meter.wait_for("the filters are gone",
                       lambda: "clsact" not in self.pair.a.run("tc", "qdisc", "show", "dev", "late0"))


class Users(Sandboxed):
    def assert_owner(self, path, uid=NOBODY.pw_uid, gid=NOBODY.pw_gid):
        status = os.lstat(path)
        self.assertEqual((status.st_uid, status.st_gid), (uid, gid), path)

    def test_own_what_is_created(self):
        ours, spool, old = self.path("ours"), self.path("ours/spool"), self.path("old.csv")
        os.mkdir(ours)
        os.chown(ours, NOBODY.pw_uid, NOBODY.pw_gid)
        closed = self.path("closed")  # only root's rights can make a file in it
        os.mkdir(closed, 0o700)
        with open(old, "w", encoding="ascii"):
            pass
        with self.pair.a.inside():
            service = http_server.Service(self, start=False)
        live = self.meter(
            "--user", "nobody", "-c", closed + "/x.csv", "-c", old, "-c", ours + "/x.csv.gz", "-u", service.url(),
            "--spool", spool, "--idle-timeout", "0.1", env=Work.without_proxies())
        self.assertIn(", user nobody\n", live.err())
        for status in self.statuses(live):
            self.assertEqual(status["Uid"].split(), [str(NOBODY.pw_uid)] * 4)
            self.assertEqual(status["Gid"].split(), [str(NOBODY.pw_gid)] * 4)
            self.assertLessEqual(set(status["Groups"].split()), {str(g) for g in os.getgrouplist("nobody", NOBODY.pw_gid)})
            self.assertEqual(int(status["CapEff"], 16) | int(status["CapPrm"], 16), 0)
        self.send()
        meter.wait_for("a spooled row", lambda: glob.glob(spool + "/*/*.ndjson"))
        done = live.stop()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        for path in (closed + "/x.csv", ours + "/x.csv.gz", spool, *glob.glob(spool + "/*"), *glob.glob(spool + "/*/*")):
            self.assert_owner(path)
        for path in (closed, old):
            self.assert_owner(path, 0, 0)
        self.assertGreater(os.path.getsize(old), 0)

    def test_rotate(self):
        """Later files, too, without capabilities."""
        ours = self.path("ours")
        os.mkdir(ours, 0o700)
        os.chown(ours, OUTSIDER, OUTSIDER)
        live = self.meter("--user", f"{OUTSIDER}:{OUTSIDER}", "-c", ours + "/x.csv", "--rotate", "1KB", "--idle-timeout",
                          "0.1")
        meter.wait_for("several files", lambda: self.send() or len(glob.glob(ours + "/*[0-9].csv")) > 2)
        done = live.stop()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        for path in glob.glob(ours + "/*"):
            self.assert_owner(path, OUTSIDER, OUTSIDER)

    def test_continue_pinned_flows(self):
        bpf = namespaces.bpf_file_system(self, "0711")
        arguments = ("--user", "nobody", "--pin", bpf + "/meter", "--state-dir", self.path("state"), "--max-flows", "4096",
                     "--event-memory", "4")
        first = self.meter(*arguments)
        for path in (bpf + "/meter", *glob.glob(bpf + "/meter/*")):
            self.assert_owner(path)
        self.send(2)
        self.assertEqual(first.stop(signal.SIGTERM).errors, [])
        second = self.meter(*arguments, "--unpin", name="second")
        self.send(3)
        done = second.stop()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        self.assertEqual(meter.packets_in(second.rows()), done.account["metered"], done.err)
        self.assertEqual(os.listdir(bpf + "/meter"), [], "only root can remove the directory itself")

    def test_have_a_directory_each_for_the_state(self):
        """What belongs to one user, another one could not use or remove."""
        state = f"/run/flowmeter-ebpf-{OUTSIDER}"
        self.addCleanup(shutil.rmtree, state, ignore_errors=True)
        live = self.meter("--user", f"{OUTSIDER}:{OUTSIDER}", "--pin", namespaces.bpf_file_system(self, "0711") + "/meter", "--unpin",
                          "--max-flows", "4096", "--event-memory", "4")
        self.assert_owner(state, OUTSIDER, OUTSIDER)
        self.assertEqual(len(os.listdir(state)), 1)
        done = live.stop()
        self.assertEqual((done.code, done.errors, done.warnings), (0, [], []), done.err)
        self.assertEqual(os.listdir(state), [])

    def test_state_that_cannot_be_removed(self):
        """In a directory of root's, without capabilities."""
        os.mkdir(self.path("state"))
        live = self.meter("--user", "nobody", "--pin", namespaces.bpf_file_system(self, "0711") + "/meter", "--state-dir",
                          self.path("state"), "--unpin", "--max-flows", "4096", "--event-memory", "4")
        (name,) = os.listdir(self.path("state"))
        done = live.stop()
        self.assertEqual((done.code, done.errors, len(done.warnings)), (0, [], 1), done.err)
        self.assertIn(f"--state-dir: cannot remove {self.path('state')}/{name}: Permission denied", done.warnings[0])

    def test_must_reach_the_pins(self):
        """They could not be removed at the end."""
        bpf = namespaces.bpf_file_system(self, mode="0700")
        done = self.start(self.pair.a, "--user", "nobody", "--pin", bpf + "/meter").wait()
        self.assertEqual((done.code, len(done.errors)), (1, 1), done.err)
        self.assertIn(f"--pin {bpf}/meter: user nobody cannot reach or change it", done.errors[0])
        self.assertFalse(os.path.exists(bpf + "/meter"))

    def test_that_are_refused(self):
        done = meter.run("-i", "lo", "--user", "no-such-user", "-c", self.path("x.csv"))
        self.assertEqual((done.code, done.errors), (1, ["flowmeter-ebpf: error: --user no-such-user: there is no user "
                                                        '"no-such-user"']))
        done = meter.run("-i", "lo", "--user", "nobody:no-such-group", "-c", self.path("x.csv"))
        self.assertEqual((done.code, len(done.errors)), (1, 1), done.err)
        self.assertIn('there is no group "no-such-group"', done.errors[0])
        done = meter.run("-i", "lo", "--user", "12345", "-c", self.path("x.csv"))
        self.assertIn("needs a group", done.errors[0])
        self.assertFalse(os.path.exists(self.path("x.csv")), "nothing was opened")
