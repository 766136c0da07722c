# SPDX-License-Identifier: BSD-3-Clause
"""Containers that come and go under a meter, and whether its rows name the right ones: what each was told to send is known."""
import os

import engine
import meter

SUBNET, SERVER = "172.30.0", "172.30.0.2"


class Whose:
    """Cases of an engine.InANode. A class says how the meter gets its `capabilities`."""

    def start_meter(self, volumes, options):
        """A meter of all containers, as root."""
        for name in os.listdir(self.output):
            os.remove(os.path.join(self.output, name))
        volumes = ("/given/output:/output", "/sys/fs/cgroup:/sys/fs/cgroup:ro", *volumes)
        self.run_container("--detach", "--name", "meter", "--network", "host", *self.capabilities, "--user", "0:0",
                           *(f"--volume={volume}" for volume in volumes), engine.METER,
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
        identity = self.run_container("--detach", "--name", "server", "--network", "shop", "--ip", SERVER, engine.TRAFFIC,
                                      "serve-files", "8000").strip()
        self.addCleanup(self.remove, "server")
        meter.wait_for("the server answers", lambda: self.try_engine(
            "exec", "server", "curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8000/small").returncode == 0)
        return identity

    def short_containers(self, count):
        """{address: (id, name)} of containers that fetch five files each and end."""
        run = " ".join(self.client + self.container)
        script = (f"seq 10 {count + 9} | xargs -P 4 -I@ sh -c '{run} --name short-@ --network shop --ip {SUBNET}.1@ {engine.TRAFFIC}"
                  f" sh -c \"for i in 1 2 3 4 5; do curl -fsS --max-time 20 -o /dev/null http://{SERVER}:8000/small || exit 1; done\"'")
        self.addCleanup(self.remove, *(f"short-{number}" for number in range(10, count + 10)))
        self.node.run("sh", "-c", script, timeout=200)
        return {f"{SUBNET}.1{number}": (self.run_engine("inspect", "--format", "{{.Id}}", f"short-{number}").strip(),
                                        f"short-{number}") for number in range(10, count + 10)}

    def attributed(self, *options, volumes=(), named=True):
        """The rows have the right ids, and names if the meter can know them from these volumes and options."""
        server = self.network()
        self.start_meter(volumes, options)
        truth = {**self.short_containers(50), SERVER: (server, "server")}
        rows = self.stop_meter()
        packets = attributed = 0
        for row in rows:
            for side in ("src", "dst"):
                if row[f"{side}_ip"] not in truth:
                    continue
                number = int(row["tot_fwd_pkts" if side == "src" else "tot_bwd_pkts"])
                identity, name = truth[row[f"{side}_ip"]]
                packets += number
                if row[f"{side}_container_id"]:
                    attributed += number
                    self.assertEqual(row[f"{side}_container_id"], identity[:len(row[f"{side}_container_id"])], row)
                    self.assertEqual(row[f"{side}_container_name"], name if named else "", row)
        web = [row for row in rows if row["dst_ip"] == SERVER and row["dst_port"] == "8000"]
        self.assertEqual(len(web), 250)
        self.assertGreaterEqual(attributed, 0.99 * packets, (attributed, packets))
        print(f"{attributed} of {packets} packets attributed")
