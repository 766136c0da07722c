# SPDX-License-Identifier: BSD-3-Clause
"""Whose flow is it, for containers of podman. Needs root and scripts/install-dependencies --containers."""
import engine
import whose

LABEL = "containers"
LOCK = "containers"  # one node at a time


class Podman4(whose.Whose, engine.InANode):
    root, first = "node-bookworm", ("docker-init", "--", "sleep", "infinity")
    engine = ("podman", "--runtime", "/usr/sbin/runc", "--cgroup-manager", "cgroupfs")
    container = ("run", "--pids-limit", "0")  # cgroup2 may have no such controller here
    capabilities = engine.CAPABILITIES
    named = False  # its names are in a database

    def test_short_containers_have_their_ids(self):
        self.attributed()
