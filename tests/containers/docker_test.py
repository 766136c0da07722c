# SPDX-License-Identifier: BSD-3-Clause
"""The image and packaging/compose in real Docker, and whose flow is it, for containers that come and go. Needs root and
scripts/install-dependencies --containers."""
import os
import re

import engine
import meter
import whose

LABEL = "containers"
LOCK = "containers"  # one node at a time


class Recipes:
    """Of every version of Docker."""

    def test_the_version_needs_no_capability(self):
        said = self.run_container("--rm", "--cap-drop", "ALL", engine.METER, "--version")
        self.assertRegex(said, r"\d+\.\d+")

    def test_a_replay_needs_no_capability(self):
        said = self.try_container("--rm", "--cap-drop", "ALL", engine.METER, "features", "cic82")
        self.assertEqual(said.returncode, 0, said.stderr)

    def test_where_seccomp_forbids_bpf_it_says_so(self):
        done = self.try_container("--rm", "--network", "host", *self.capabilities,
                               "--security-opt", "seccomp=/etc/forbids-bpf.json", engine.METER, "-i", "lo", "-c", "-")
        self.assertEqual(done.returncode, 1, done.stderr)
        errors = meter.lines_of(done.stderr, "error")
        self.assertEqual(len(errors), 1, done.stderr)
        self.assertIn("seccomp", errors[0])

    def test_short_containers_are_named_by_the_files_of_docker(self):
        self.attributed(volumes=["/var/lib/docker/containers:/var/lib/docker/containers:ro"])

    def test_short_containers_are_named_by_the_engine(self):
        self.attributed("--engine", "unix:///run/docker.sock", volumes=["/run/docker.sock:/run/docker.sock"])

    def test_compose_up(self):
        """As in packaging/README.md, but for the images, which are not built, in a checkout of root's."""
        for name in self.node.run(*self.compose, "config", "--images").split():
            self.run_engine("tag", engine.METER if name == "flowmeter-ebpf" else engine.TRAFFIC, name)
        self.addCleanup(self.node.try_run, *self.compose, "down", "--timeout", "1")
        done = self.node.try_run(*self.compose, "up", "--no-build", "--detach", "server", "client", "meter", timeout=180)
        self.assertEqual(done.returncode, 0, done.stderr + self.node.try_run(*self.compose, "logs").stdout)
        self.assertEqual(self.run_engine("wait", "flowmeter-client-1").strip(), "0")
        self.assertEqual(self.run_engine("inspect", "--format", "{{.State.Health.Status}}", "flowmeter-meter-1").strip(), "healthy")
        self.node.run(*self.compose, "stop", "meter")
        path = os.path.join(self.project, "output", "flow.csv")
        self.assertEqual(os.stat(path).st_uid, 1000)
        with open(path, encoding="utf-8") as file:
            rows = meter.rows_of(file.read())
        self.assertEqual(sorted(row["protocol"] for row in rows if row["protocol"] == "1" or row["dst_port"] == "8000"),
                         ["1"] + ["6"] * 7)


class Docker26(Recipes, whose.Whose, engine.InANode):
    root = "node-trixie"
    capabilities = engine.CAPABILITIES
    compose = ("docker", "compose", "-f", "/mnt/docker-compose.yml")

    def test_a_user_with_no_new_privileges_meters(self):
        """What the container adds is permitted to a user's process, since Docker 24.0.6; the file's capabilities can be of these."""
        self.addCleanup(self.remove, "confined")
        self.run_container("--detach", "--name", "confined", "--network", "host", *self.capabilities,
                           "--security-opt", "no-new-privileges", engine.METER, "-i", "lo", "-c", "-", "-v")
        meter.wait_for("it meters", lambda: "metering lo" in self.log("confined") or self.gone("confined"))


class Docker20(Recipes, whose.Whose, engine.InANode):
    root = "node-bookworm"
    capabilities = engine.OLD_CAPABILITIES  # as in docker-compose.docker20.yml; it knows neither CAP_BPF nor CAP_PERFMON
    # Debian 12 has no docker compose, so this is that of Debian 13, in its own root, with this node's socket and project.
    given = {"trixie": "node-trixie"}
    compose = ("unshare", "--mount", "sh", "-ec", """
               cd /given/trixie
               mount -t tmpfs tmpfs root
               mount --bind /run run
               mount --bind /given/compose mnt
               exec chroot . docker compose "$@"
               """, "compose", "-f", "/mnt/docker-compose.yml", "-f", "/mnt/docker-compose.docker20.yml")

    def test_with_no_new_privileges_a_user_has_no_capabilities(self):
        """Nothing is permitted to a user's process, so the file's capabilities are lost."""
        lacking = {}
        for options in ((), ("--security-opt", "no-new-privileges")):
            done = self.try_container("--rm", "--network", "host", "--cap-drop", "ALL", "--cap-add", "NET_ADMIN", *options,
                                      engine.METER, "-i", "lo", "-c", "-")
            errors = meter.lines_of(done.stderr, "error")
            self.assertEqual((done.returncode, len(errors)), (1, 1), done.stderr)
            lacking[options] = set(re.findall(r"CAP_\w+", errors[0]))
        self.assertEqual(list(lacking.values()), [{"CAP_BPF", "CAP_PERFMON"}, {"CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"}])
