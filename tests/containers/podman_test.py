# SPDX-License-Identifier: BSD-3-Clause
"""Whose flow is it, for containers of podman. Needs root and scripts/install-dependencies --containers."""
import os

import engine
import meter
import whose

LABEL = "containers"
LOCK = "containers"  # one node at a time
SOCKET = "/run/podman/podman.sock"


class Podman:
    """Of every version of podman."""

    first = ("docker-init", "--", "sleep", "infinity")
    client = ("podman", "--runtime", "/usr/sbin/runc", "--cgroup-manager", "cgroupfs")
    container = ("run", "--pids-limit", "0")  # cgroup2 may have no such controller here

    def test_short_containers_have_their_ids(self):
        """Their names are in a database."""
        self.attributed(named=False)

    def test_short_containers_are_named_by_its_service(self):
        serve = " ".join((*self.client, "system", "service", "--time", "0", "unix://" + SOCKET))
        self.node.run("sh", "-c", f"mkdir -p {os.path.dirname(SOCKET)}; {serve} >/dev/null 2>&1 &")
        meter.wait_for("podman's service answers", lambda: self.node.try_run("test", "-S", SOCKET).returncode == 0)
        self.attributed("--engine", "unix://" + SOCKET, volumes=[f"{SOCKET}:{SOCKET}"])


class Podman4(Podman, whose.Whose, engine.InANode):
    root = "node-bookworm"
    capabilities = engine.OLD_CAPABILITIES


class Podman5(Podman, whose.Whose, engine.InANode):
    root = "node-trixie"
    capabilities = engine.CAPABILITIES
