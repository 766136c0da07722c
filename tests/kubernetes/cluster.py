# SPDX-License-Identifier: BSD-3-Clause
"""A Kubernetes cluster of one node on this machine: etcd, API server, controllers, scheduler, kube-proxy and kubelet as build-node
makes them, over the containerd of Debian 12, in a node of tests/support/container_node.py. No registry is asked for images."""
import hashlib
import json
import os
import re
import subprocess
import sys
import time

import cases
import container_images as images
import container_node
import meter

HERE = os.path.join(cases.ROOT, "tests", "kubernetes")
BASE = os.path.join(cases.ROOT, "packaging", "kubernetes")
SYSTEMD = "/lib/systemd/systemd"
ADMIN = "/etc/kubernetes/admin.conf"
# Of systemd, what would touch the machine or is of no use in a node.
MASKED = ["systemd-udevd.service", "systemd-sysctl.service", "systemd-networkd.service", "systemd-resolved.service",
          "systemd-timesyncd.service", "systemd-modules-load.service", "systemd-tmpfiles-setup-dev.service",
          "systemd-journald.service", "systemd-journal-flush.service", "systemd-journald.socket", "systemd-journald-audit.socket",
          "systemd-journald-dev-log.socket", "kmod-static-nodes.service", "getty.target", "sys-kernel-debug.mount",
          "sys-kernel-tracing.mount", "dev-hugepages.mount", "dev-mqueue.mount", "containerd.service", "docker.service",
          "docker.socket", "podman.service", "podman.socket"]
UNIT = """[Service]
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/usr/local/bin/start-cluster systemd
Delegate=yes
"""


def read(*path):
    with open(os.path.join(HERE, *path), encoding="utf-8") as file:
        return file.read()


def program(build=False):
    """Kubernetes' commands, which are built if they are not there, or no longer those of the sources, and build is true."""
    sources = [read("build-node"), read("node", "main.go"), read("node", "go.mod")]
    version = re.search(r"^require k8s.io/kubernetes v(\S+)", sources[-1], re.M)[1]
    directory = os.path.join(container_node.CACHE, f"kubernetes-{version}")
    stamp, digest = os.path.join(directory, "built-from"), hashlib.sha256("".join(sources).encode()).hexdigest()
    path = os.path.join(directory, "kubenode")
    if os.path.exists(path) and os.path.exists(stamp):
        with open(stamp, encoding="ascii") as file:
            if file.read() == digest:
                return path
    if not build:
        raise container_node.Missing(f"Kubernetes {version} is not built (scripts/install-dependencies --containers)")
    print(f"building Kubernetes {version}, once, in {directory}", file=sys.stderr)
    done = subprocess.run([os.path.join(HERE, "build-node"), directory], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise container_node.Missing(f"Kubernetes {version} cannot be built: {done.stdout[-500:]}")
    with open(stamp, "w", encoding="ascii") as file:
        file.write(digest)
    return path


class Cluster:
    """Has the images flowmeter-ebpf, made of the program under test, and app. `driver` is the kubelet's cgroup driver."""

    def __init__(self, case, driver, build=False):
        self.case = case
        kubenode, root = program(build), container_node.root_directory("node-bookworm")
        settings = {"/etc/containerd/config.toml": read("node", "containerd.toml"),
                    "/etc/cni/net.d/10-pods.conflist": read("node", "cni.conflist"),
                    "/etc/kubernetes/kubelet.yaml": read("node", "kubelet.yaml"),
                    "/etc/kubernetes/manifests/fixed.yaml": read("static-pod.yaml"),
                    "/usr/local/sbin/runc-without-limits": (read("node", "runc-without-limits"), 0o755),
                    "/usr/local/bin/start-cluster": (read("node", "start-cluster"), 0o755),
                    "/usr/local/bin/kubenode": "->/given/kubenode"}
        first = ["/usr/local/bin/start-cluster", driver]
        if driver == "systemd":
            first = [SYSTEMD, "--log-target=null", "--show-status=false"]
            settings["/etc/systemd/system/cluster.service"] = UNIT
            settings["/etc/systemd/system/default.target"] = "[Unit]\nRequires=basic.target cluster.service\n"
            settings |= {f"/etc/systemd/system/{unit}": "->/dev/null" for unit in MASKED}
        self.make_images(root)
        self.node = container_node.Node(case, root, *first, name="kubenode", settings=settings,
                                        given={"kubenode": kubenode, **self.images, "kubernetes": BASE})
        meter.wait_for("the node is ready", self.is_ready, 120)

    def make_images(self, root):
        """Archives of the three images, under the names that pods call them by."""
        def path(name):
            return self.case.path(name)

        with open(os.path.join(BASE, "base", "kustomization.yaml"), encoding="utf-8") as file:
            tag = re.search(r"newTag: (\S+)", file.read())[1]
        os.makedirs(path("pause-root"))
        subprocess.run(["cc", "-O2", "-static", "-s", "-o", path("pause-root/pause"), os.path.join(HERE, "node", "pause.c")], check=True)
        tools = images.busybox_layer(path("tools-root"), root)
        self.images = {
            "pause.tar": images.write_archive(path("pause.tar"), "localhost/pause:1", {"Cmd": ["/pause"]},
                                              images.layer(path("pause-root"))),
            "app.tar": images.write_archive(path("app.tar"), "localhost/app:1", {"Env": [images.PATH], "Cmd": ["/bin/sh"]}, tools),
            "meter.tar": images.write_archive(path("meter.tar"), f"docker.io/library/flowmeter-ebpf:{tag}",
                                              images.dockerfile_config("meter"), tools,
                                              images.meter_layer(path("meter-root"), cases.meter_path))}

    def is_ready(self):
        done = self.node.try_run("test", "-e", ADMIN)
        return done.returncode == 0 and " Ready" in self.try_kubectl("get", "nodes", "--no-headers").stdout

    def try_kubectl(self, *words, stdin=None, timeout=60):
        return self.node.try_run("kubenode", "kubectl", "--kubeconfig", ADMIN, *words, stdin=stdin, timeout=timeout)

    def kubectl(self, *words, stdin=None, timeout=60):
        done = self.try_kubectl(*words, stdin=stdin, timeout=timeout)
        if done.returncode:
            raise AssertionError(f"kubectl {' '.join(words)[:200]}: {done.stderr.strip()[-600:]}\n{self.state()}")
        return done.stdout

    def get(self, *words):
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def state(self):
        """For messages: pods, the latest events, the meters' logs."""
        said = self.try_kubectl("get", "pods", "-A", "-o", "wide").stdout
        said += self.try_kubectl("get", "events", "-A", "--sort-by=.lastTimestamp").stdout[-2500:]
        return said + self.try_kubectl("-n", "flowmeter", "logs", "daemonset/flowmeter", "--tail=20").stdout

    def wait(self, what, *words, seconds=90):
        """Waits until this kubectl command succeeds."""
        end = time.monotonic() + seconds
        while self.try_kubectl(*words).returncode:
            if time.monotonic() > end:
                raise AssertionError(f"{what}: not within {seconds} s\n{self.state()}")
            time.sleep(0.2)

    def execute(self, pod, *command, container="main"):
        return self.kubectl("-n", "shop", "exec", pod, "-c", container, "--", *command, timeout=120)
