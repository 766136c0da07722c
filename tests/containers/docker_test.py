# SPDX-License-Identifier: BSD-3-Clause
"""The image and packaging/compose in real Docker, and whose flow is it, for containers that come and go. Needs root and
scripts/install-dependencies --containers."""
import os
import re
import signal
import subprocess

import cases
import engine
import meter

LABEL = "containers"
LOCK = "containers"  # one node at a time
SUBNET = "172.30.0"


class Recipes:
    """Of every version of Docker."""

    def test_the_version_needs_no_capability(self):
        said = self.run_engine("run", "--rm", "--cap-drop", "ALL", engine.METER, "--version")
        self.assertRegex(said, r"\d+\.\d+")

    def test_a_replay_needs_no_capability(self):
        said = self.try_engine("run", "--rm", "--cap-drop", "ALL", engine.METER, "features", "cic82")
        self.assertEqual(said.returncode, 0, said.stderr)

    def test_where_seccomp_forbids_bpf_it_says_so(self):
        done = self.try_engine("run", "--rm", "--network", "host", *self.capabilities,
                               "--security-opt", "seccomp=/etc/forbids-bpf.json", engine.METER, "-i", "lo", "-c", "-")
        self.assertEqual(done.returncode, 1, done.stderr)
        errors = meter.lines_of(done.stderr, "error")
        self.assertEqual(len(errors), 1, done.stderr)
        self.assertIn("seccomp", errors[0])

    # ---- attribution ----

    def start_meter(self, *options):
        """A meter of all containers, as root, to which the engine's own directory with names is open."""
        for name in os.listdir(self.output):
            os.remove(os.path.join(self.output, name))
        self.run_engine("run", "--detach", "--name", "meter", "--network", "host", *self.capabilities, "--user", "0:0",
                        "--volume", "/given/output:/output", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:ro",
                        "--volume", "/var/lib/docker/containers:/var/lib/docker/containers:ro",
                        "--volume", "/run/docker.sock:/run/docker.sock", engine.METER,
                        "-i", "veth*", "-c", "/output/flows.csv", "-v", "--attribute", "container", *options)
        self.addCleanup(self.remove, "meter")
        meter.wait_for("the meter is attached", lambda: "NoNewPrivs:\t1" in self.try_engine(
            "exec", "meter", "cat", "/proc/1/status").stdout or self.gone("meter"))

    def gone(self, name):
        """Fails if a container does not run any more."""
        if self.run_engine("inspect", "--format", "{{.State.Running}}", name).strip() != "true":
            raise AssertionError(self.log(name))
        return False

    def log(self, name):
        done = self.try_engine("logs", name)
        return done.stdout + done.stderr

    def stop_meter(self):
        self.run_engine("stop", "--time", "60", "meter")
        code = self.run_engine("inspect", "--format", "{{.State.ExitCode}}", "meter").strip()
        self.assertEqual(code, "0", self.log("meter"))
        with open(os.path.join(self.output, "flows.csv"), encoding="utf-8") as file:
            return meter.rows_of(file.read())

    def network(self):
        self.run_engine("network", "create", "--subnet", f"{SUBNET}.0/24", "shop")
        self.addCleanup(self.try_engine, "network", "rm", "shop")
        identity = self.run_engine("run", "--detach", "--init", "--name", "server", "--network", "shop", "--ip", f"{SUBNET}.2",
                                   engine.TRAFFIC, "serve-files", "8000").strip()
        self.addCleanup(self.remove, "server")
        meter.wait_for("the server answers", lambda: self.try_engine(
            "exec", "server", "curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8000/small").returncode == 0)
        return identity

    def short_containers(self, count):
        """{address: (id, name)} of containers that fetch five files each and end."""
        script = (f"seq {count} | xargs -P 4 -I@ sh -c 'docker run --name short-@ --network shop --ip {SUBNET}.1@ {engine.TRAFFIC}"
                  " sh -c \"for i in 1 2 3 4 5; do curl -fsS --max-time 20 -o /dev/null http://server:8000/small || exit 1; done\"'")
        # Of two digits, so that 1@ is a byte of an address.
        script = script.replace(f"seq {count}", f"seq -w 10 {count + 9}")
        self.addCleanup(self.remove, *(f"short-{number}" for number in range(10, count + 10)))
        self.node.run("sh", "-c", script, timeout=200)
        return {f"{SUBNET}.1{number}": (self.run_engine("inspect", "--format", "{{.Id}}", f"short-{number}").strip(),
                                        f"short-{number}") for number in range(10, count + 10)}

    def attributed(self, *options):
        server = self.network()
        self.start_meter(*options)
        truth = {**self.short_containers(50), f"{SUBNET}.2": (server, "server")}
        rows = self.stop_meter()
        packets = named = 0
        for row in rows:
            for side in ("src", "dst"):
                if row[f"{side}_ip"] not in truth:
                    continue
                number = int(row["tot_fwd_pkts" if side == "src" else "tot_bwd_pkts"])
                identity, name = truth[row[f"{side}_ip"]]
                packets += number
                if row[f"{side}_container_id"]:
                    named += number
                    self.assertEqual(row[f"{side}_container_id"], identity[:len(row[f"{side}_container_id"])], row)
                    self.assertEqual(row[f"{side}_container_name"], name, row)
        web = [row for row in rows if row["dst_ip"] == f"{SUBNET}.2" and row["dst_port"] == "8000"]
        self.assertEqual(len(web), 250)
        self.assertGreaterEqual(named, 0.99 * packets, (named, packets))
        print(f"{named} of {packets} packets named")

    def test_short_containers_are_named_by_the_files_of_docker(self):
        self.attributed()

    def test_short_containers_are_named_by_the_engine(self):
        self.attributed("--engine", "unix:///run/docker.sock")


class Docker26(Recipes, engine.InANode):
    root = "node-trixie"
    capabilities = engine.CAPABILITIES

    def test_compose_up(self):
        """As in packaging/README.md, but for the images, which are not built."""
        services = self.node.run("docker", "compose", "--project-directory", "/given/compose", "config", "--images").split()
        for name in services:
            self.run_engine("tag", engine.METER if name.endswith("-meter") else engine.TRAFFIC, name)
        compose = ("docker", "compose", "--project-directory", "/given/compose")
        self.addCleanup(self.node.try_run, *compose, "down", "--timeout", "1")
        done = self.node.try_run(*compose, "up", "--no-build", "--detach", "server", "client", "meter", timeout=180)
        self.assertEqual(done.returncode, 0, done.stderr + self.node.try_run(*compose, "logs").stdout)
        self.assertEqual(self.node.run("docker", "wait", "flowmeter-client-1", timeout=120).strip(), "0")
        self.node.run(*compose, "stop", "meter")
        path = os.path.join(self.compose, "output", "flow.csv")
        self.assertEqual(os.stat(path).st_uid, 1000)
        with open(path, encoding="utf-8") as file:
            rows = meter.rows_of(file.read())
        self.assertEqual(sorted(row["protocol"] for row in rows if row["protocol"] == "1" or row["dst_port"] == "8000"), ["1"] + ["6"] * 7)


class Docker20(Recipes, engine.InANode):
    root = "node-bookworm"
    capabilities = ("--cap-drop", "ALL", "--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--security-opt", "seccomp=unconfined")
