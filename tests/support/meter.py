# SPDX-License-Identifier: BSD-3-Clause
"""Starts the program under test, waits for it and stops it; reads its rows and its account."""
import array
import contextlib
import csv
import ctypes
import fcntl
import io
import json
import os
import re
import signal
import subprocess
import termios
import time

import cases

REASONS = ("metered", "not_ip", "other_protocol", "malformed", "unattributed_fragment", "seen_before",
           "unrecorded")
FLOW = ("src_ip", "dst_ip", "src_port", "dst_port", "protocol")


def die_with_parent():
    """A test that is killed leaves no process (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def wait_for(what, condition, seconds=60.0):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


# Names of the numbers of packets, by feature set.
PACKETS = (("packets_count",), ("tot_fwd_pkts", "tot_bwd_pkts"), ("Total Fwd Packets", "Total Backward Packets"))


def packets_in(rows):
    return sum(int(row[name]) for row in rows for names in PACKETS if names[0] in row for name in names)


def account_of(text):
    """{"seen": …, "metered": …, …} of the account line, or {}."""
    for line in text.splitlines():
        if re.search(r"\bseen=\d+ metered=", line):
            return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line)}
    return {}


def assert_balanced(case, account):
    case.assertTrue(account, "no account was printed")
    case.assertEqual(account["seen"], sum(account[name] for name in REASONS), account)


def lines_of(text, level):
    return [line for line in text.splitlines() if line.startswith(f"flowmeter-ebpf: {level}: ")]


def missing_sandbox():
    """What of the sandbox this system or this build lacks, or ""."""
    done = subprocess.run([cases.meter_path, "doctor", "--json"], capture_output=True, timeout=60)
    for finding in json.loads(done.stdout)["process"]:
        if finding["what"] in ("landlock", "seccomp") and finding["state"] != "ok":
            return finding["meaning"]
    return ""


def given_up(text):
    """(open flows, rows) of the line of a forced end, or None."""
    match = re.search(r"ended by a second signal: (\d+) open flows and up to (\d+) rows of the outputs were given up", text)
    return match and (int(match[1]), int(match[2]))


def bytes_in_pipe(pipe):
    size = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, size)
    return size[0]


class Finished:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err
        self.errors, self.warnings = lines_of(err, "error"), lines_of(err, "warning")
        self.account = account_of(err)


def run(*arguments, prefix=(), stdin=b"", **options):
    """Runs the program to its end."""
    if "stdout" not in options:
        options["stdout"] = subprocess.PIPE
    done = subprocess.run([*prefix, cases.meter_path, *arguments], input=stdin, stderr=subprocess.PIPE,
                          preexec_fn=die_with_parent, timeout=60, **options)
    return Finished(done.returncode, (done.stdout or b"").decode(), done.stderr.decode())


class Meter:
    """The running program. It is killed at the end of the case if it still runs."""

    def __init__(self, case, name, *arguments, prefix=(), program=None, **options):
        self.case, self.name = case, name
        self.csv = case.path(name + ".csv")
        self.log = case.path(name + ".log")
        if "-c" not in arguments:
            arguments = ("-c", self.csv, *arguments)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([*prefix, program or cases.meter_path, *arguments, "-v"],
                                            stderr=log, preexec_fn=die_with_parent,
                                            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **options})
        case.addCleanup(self._end)

    def _end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def err(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read()

    def text(self):
        with open(self.csv, encoding="utf-8") as file:
            return file.read()

    def rows(self):
        return rows_of(self.text())

    def wait_attached(self):
        def attached():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}: {self.err()}")
            return ": metering " in self.err()

        wait_for(f"{self.name} attaches", attached)
        return self

    def wait(self, seconds=60):
        self.process.wait(timeout=seconds)
        return Finished(self.process.returncode, "", self.err())

    def stop(self, signal_number=signal.SIGINT):
        self.process.send_signal(signal_number)
        return self.wait()

    def bpf_objects(self):
        """Kinds and ids of the BPF objects that the process holds."""
        found = set()
        for fd in os.listdir(f"/proc/{self.process.pid}/fdinfo"):
            with contextlib.suppress(FileNotFoundError), \
                    open(f"/proc/{self.process.pid}/fdinfo/{fd}", encoding="ascii") as info:
                found.update(re.findall(r"^(link|prog|map)_id:\s*(\d+)", info.read(), re.M))
        return found

    def stop_clean(self, signal_number=signal.SIGINT):
        """Stops it; it must succeed, and its account must balance and agree with the rows."""
        done = self.stop(signal_number)
        case = self.case
        case.assertEqual(done.code, 0, done.err)
        case.assertEqual(done.errors, [], done.err)
        assert_balanced(case, done.account)
        rows = self.rows()
        case.assertEqual(done.account["lost"], 0, done.err)
        case.assertEqual(done.account["in_rows"], done.account["metered"], done.err)
        case.assertEqual(packets_in(rows), done.account["metered"], done.err)
        case.assertEqual(len(rows), done.account["flows"], done.err)
        return done


class Process(Meter):
    """Meter without an output of its own."""

    def __init__(self, case, log, command, **options):
        self.case, self.log, self.name = case, log, os.path.basename(log)
        with open(log, "wb") as file:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file,
                                            preexec_fn=die_with_parent, **options)
        case.addCleanup(self._end)


def bpf_object_exists(kind, number):
    return subprocess.run(["bpftool", kind, "show", "id", number], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


class stopped:
    """The daemon is stopped; the kernel continues metering."""

    def __init__(self, live):
        self.process = live.process

    def __enter__(self):
        self.process.send_signal(signal.SIGSTOP)
        wait_for("the daemon is stopped", self.stands)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)

    def stands(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "T"
