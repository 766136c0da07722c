# SPDX-License-Identifier: BSD-3-Clause
"""The image and packaging/compose in real Docker, and whose flow is it, for containers that come and go. Needs root and
scripts/install-dependencies --containers."""
import os

import engine
import meter
import whose

LABEL = "containers"
LOCK = "containers"  # one node at a time


class Recipes(whose.Whose):
    """Of every version of Docker."""

    # What is open to a meter that runs as root: the engine's own files and its socket.
    names = ("--volume", "/var/lib/docker/containers:/var/lib/docker/containers:ro",
             "--volume", "/run/docker.sock:/run/docker.sock")

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
        self.attributed()

    def test_short_containers_are_named_by_the_engine(self):
        self.attributed("--engine", "unix:///run/docker.sock")


class Docker26(Recipes, engine.InANode):
    root = "node-trixie"
    capabilities = engine.CAPABILITIES

    def test_compose_up(self):
        """As in packaging/README.md, but for the images, which are not built, in a checkout of root's."""
        compose = ("docker", "compose", "--project-directory", "/given/compose")
        for name in self.node.run(*compose, "config", "--images").split():
            self.run_engine("tag", engine.METER if name == "flowmeter-ebpf" else engine.TRAFFIC, name)
        self.addCleanup(self.node.try_run, *compose, "down", "--timeout", "1")
        done = self.node.try_run(*compose, "up", "--no-build", "--detach", "server", "client", "meter", timeout=180)
        self.assertEqual(done.returncode, 0, done.stderr + self.node.try_run(*compose, "logs").stdout)
        self.assertEqual(self.run_engine("wait", "flowmeter-client-1").strip(), "0")
        self.assertEqual(self.run_engine("inspect", "--format", "{{.State.Health.Status}}", "flowmeter-meter-1").strip(), "healthy")
        self.node.run(*compose, "stop", "meter")
        path = os.path.join(self.compose, "output", "flow.csv")
        self.assertEqual(os.stat(path).st_uid, 1000)
        with open(path, encoding="utf-8") as file:
            rows = meter.rows_of(file.read())
        self.assertEqual(sorted(row["protocol"] for row in rows if row["protocol"] == "1" or row["dst_port"] == "8000"),
                         ["1"] + ["6"] * 7)

    def test_with_no_new_privileges_it_names_what_a_user_lacks(self):
        """Docker gives capabilities to the programs of root only; a user's program has those of its file, but not with this."""
        done = self.try_container("--rm", "--network", "host", *self.capabilities, "--security-opt", "no-new-privileges",
                                  engine.METER, "-i", "lo", "-c", "-")
        errors = meter.lines_of(done.stderr, "error")
        self.assertEqual((done.returncode, len(errors)), (1, 1), done.stderr)
        for name in ("CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"):
            self.assertIn(name, errors[0])


class Docker20(Recipes, engine.InANode):
    root = "node-bookworm"
    # As in docker-compose.docker20.yml: it knows neither CAP_BPF nor CAP_PERFMON, which are parts of CAP_SYS_ADMIN, and allows
    # bpf(2) with that in its seccomp profile.
    capabilities = ("--cap-drop", "ALL", "--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--user", "0:0")
