# SPDX-License-Identifier: BSD-3-Clause
"""A replay in the sandbox writes what it writes without. Its parts are tested in tests/unit/ops/sandbox_test.cpp, and
those of a live run in tests/kernel/veth/sandbox_test.py."""
import os
import pwd
import shutil
import subprocess
import threading

import capture
import cases
import meter

EXAMPLE = os.path.join(cases.ROOT, "docs", "examples", "example.pcap")


class Sandbox(cases.Case):
    def setUp(self):
        super().setUp()
        missing = meter.missing_sandbox()
        if missing:
            self.skipTest(missing)

    def succeeds(self, done):
        self.assertEqual((done.code, done.errors, done.warnings), (0, [], []), done.err)
        return done

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def same(self, *arguments, **options):
        """The same standard output with a whole sandbox and without one."""
        out, expected = (self.succeeds(meter.run("--sandbox", mode, "-q", *arguments, **options)).out
                         for mode in ("require", "off"))
        self.assertGreater(len(expected.splitlines()), 1)
        self.assertEqual(out, expected)

    def test_says_what_is_in_force(self):
        done = self.succeeds(meter.run("-f", EXAMPLE, "-c", "-", "-v"))
        self.assertRegex(done.err, r"info: sandbox: landlock abi \d+, seccomp \(\d+ calls\)\n")
        self.assertNotIn("sandbox", self.succeeds(meter.run("-f", EXAMPLE, "-c", "-")).err)

    def test_every_kind_of_rows(self):
        for words in (("-c", "-"), ("--json", "-"), ("--table",), ("-c", "-", "--features", "realtime97"),
                      ("-c", "-", "--compat", "python"), ("-c", "-", "--compat", "java")):
            with self.subTest(" ".join(words)):
                self.same("-f", EXAMPLE, *words)

    def test_every_kind_of_input(self):
        with open(EXAMPLE, "rb") as file:
            content = file.read()
        self.same("-f", "-", "-c", "-", stdin=content)
        self.same("-f", "/dev/stdin", "-c", "-", stdin=content)
        self.same("-f", EXAMPLE, "-f", EXAMPLE, "-c", "-")
        os.symlink(EXAMPLE, self.path("link"))
        self.same("-f", "link", "-c", "-", cwd=self.directory)
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        for mode in ("require", "off"):
            writer = threading.Thread(target=self.write, args=(fifo, content))
            writer.start()
            done = self.succeeds(meter.run("--sandbox", mode, "-f", fifo, "-c", self.path(mode + ".csv")))
            writer.join()
            self.assertEqual(done.account["seen"], 65)
        self.assertEqual(self.read("require.csv"), self.read("off.csv"))

    @staticmethod
    def write(path, content):
        with open(path, "wb") as file:
            file.write(content)

    def test_files_are_written_in_a_relative_directory(self):
        self.succeeds(meter.run("--sandbox", "require", "-f", EXAMPLE, "-c", "x.csv", "-c", "y.csv.gz", "--json",
                                "z.json", cwd=self.directory))
        self.succeeds(meter.run("--sandbox", "require", "-f", EXAMPLE, "-c", "r.csv", "--rotate", "1KB",
                                cwd=self.directory))
        names = os.listdir(self.directory)
        self.assertGreaterEqual(set(names), {"x.csv", "y.csv.gz", "z.json"})
        self.assertGreater(len([name for name in names if name.startswith("r-")]), 1)
        self.assertEqual([name for name in names if name.endswith(".part")], [])

    def test_only_root_becomes_another_user(self):
        prefix = ()
        if os.geteuid() == 0:
            prefix = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
            if not shutil.which("setpriv"):
                self.skipTest("needs setpriv")
        program = self.path("flowmeter-ebpf")  # the build directory may be closed to other users
        shutil.copy(cases.meter_path, program)
        shutil.copy(EXAMPLE, self.path("x.pcap"))
        done = subprocess.run([*prefix, program, "-f", self.path("x.pcap"), "-c", "-", "--user", "nobody"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (
            1, "", "flowmeter-ebpf: error: --user nobody needs root (CAP_SETUID and CAP_SETGID)\n"))

    def test_a_user_reads_what_only_root_can(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to become another user")
        nobody = pwd.getpwnam("nobody")
        closed, ours = self.path("closed"), self.path("ours")
        os.mkdir(closed, 0o700)
        os.mkdir(ours)
        os.chown(ours, nobody.pw_uid, nobody.pw_gid)
        for name in ("a.pcap", "b.pcap"):
            with open(os.path.join(closed, name), "wb") as file:
                file.write(capture.pcap(capture.conversation()))
            os.chmod(file.name, 0o600)
        self.succeeds(meter.run("--user", "nobody", "-f", closed + "/a.pcap", "-f", closed + "/b.pcap", "-c",
                                ours + "/x.csv.gz", "-c", closed + "/y.csv"))
        for path in (ours + "/x.csv.gz", closed + "/y.csv"):
            self.assertEqual((os.stat(path).st_uid, os.stat(path).st_gid), (nobody.pw_uid, nobody.pw_gid), path)
