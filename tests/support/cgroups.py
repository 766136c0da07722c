# SPDX-License-Identifier: BSD-3-Clause
"""Cgroups (v2) of a test case, removed at its end whatever happens."""
import contextlib
import os
import secrets
import signal

import meter


def mount():
    """Where the root of cgroup v2 is mounted here; "" if it is not."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        for line in mounts:
            before, _, after = line.partition(" - ")
            root, where = before.split()[3:5]
            if after.startswith("cgroup2 ") and root == "/":
                return where
    return ""


def missing_here():
    """Why tests cannot make cgroups here, or ""."""
    if not mount():
        return "cgroup v2 is not mounted"
    return "" if os.access(mount(), os.W_OK) else "needs write access to " + mount()


class Cgroup:
    """path: as rows have it, from the root of the hierarchy. name: may have several parts."""

    def __init__(self, case, name):
        self.path = f"/fmtest-{os.getpid()}-{secrets.token_hex(3)}/{name}"
        self.directory = mount() + self.path
        case.addCleanup(self._remove)
        os.makedirs(self.directory)
        self.id = os.stat(self.directory).st_ino

    def _processes(self):
        if not os.path.exists(self.directory):
            return []
        with open(self.directory + "/cgroup.procs", encoding="ascii") as processes:
            return [int(pid) for pid in processes.read().split()]

    def _remove(self):
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        meter.wait_for("the cgroup is empty", lambda: not self._processes())
        directory = self.directory
        while directory != mount():
            with contextlib.suppress(OSError):  # it has gone, or another case's cgroup is in it
                os.rmdir(directory)
            directory = os.path.dirname(directory)

    def enter(self, *command):
        """The command as one that runs in the cgroup."""
        return ("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', self.directory, *command)

    @contextlib.contextmanager
    def inside(self):
        """Every socket that this process makes inside is the cgroup's."""
        with open("/proc/self/cgroup", encoding="utf-8") as own:
            home = next(line.strip()[len("0::"):] for line in own if line.startswith("0::"))
        self._move(self.directory)
        try:
            yield
        finally:
            self._move(mount() + home)

    @staticmethod
    def _move(directory):
        with open(directory + "/cgroup.procs", "w", encoding="ascii") as processes:
            processes.write("0")
