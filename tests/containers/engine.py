# SPDX-License-Identifier: BSD-3-Clause
"""Container engines in a node: Docker and podman of a Debian release, with images of the program under test and of what talks to
it. A node serves all cases of a class."""
import os
import shutil
import tempfile

import cases
import container_images as images
import container_node
import meter
import namespaces

METER, TRAFFIC = "flowmeter-ebpf:test", "flowmeter-traffic:test"
FORBIDS_BPF = ('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["bpf"], "action": "SCMP_ACT_ERRNO",'
               ' "errnoRet": 1}]}')
CAPABILITIES = ("--cap-drop", "ALL", "--cap-add", "BPF", "--cap-add", "NET_ADMIN", "--cap-add", "PERFMON")
# For engines whose seccomp profile allows bpf(2) only with CAP_SYS_ADMIN, which has CAP_BPF and CAP_PERFMON in it.
OLD_CAPABILITIES = ("--cap-drop", "ALL", "--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--user", "0:0")


class OfClass:
    """What a node asks of a case, until the last case of a class has ended."""

    def __init__(self, of_class):
        directory = tempfile.TemporaryDirectory(prefix="fmtest-")
        of_class.addClassCleanup(directory.cleanup)
        self.directory, self.addCleanup = directory.name, of_class.addClassCleanup

    def path(self, name):
        return os.path.join(self.directory, name)


class InANode(cases.Case):
    """Cases of one engine in one node. A class names its `root`, the `first` process of the node, the engine's `client` with its
    options, the command that runs a container, and other roots that are `given` to the node, by the name that they have there."""

    root, first = "", ("docker-init", "--", "dockerd", "--log-level", "warn")
    client, container, given = ("docker",), ("run",), {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.missing = namespaces.missing_here()
        if cls.missing:
            return
        shared = OfClass(cls)
        try:
            root = container_node.root_directory(cls.root)
            given = {name: container_node.root_directory(of) for name, of in cls.given.items()}
            cls.make_images(shared)
        except container_node.Missing as missing:
            cls.missing = str(missing)
            return
        cls.project = shared.path("compose")
        shutil.copytree(images.COMPOSE, cls.project)
        cls.output = shared.path("output")
        os.mkdir(cls.output)
        # compose and the engine both use paths of the project: /mnt is one that each root has.
        cls.node = container_node.Node(shared, root, *cls.first, name=cls.root,
                                       settings={"/etc/forbids-bpf.json": FORBIDS_BPF, "/mnt": "->/given/compose"},
                                       given={"images": shared.path("images"), "compose": cls.project, "output": cls.output, **given})
        meter.wait_for("the engine answers", lambda: cls.node.try_run(*cls.client, "info").returncode == 0)
        for name in sorted(os.listdir(shared.path("images"))):
            cls.node.run(*cls.client, "load", "-i", f"/given/images/{name}")

    @classmethod
    def make_images(cls, shared):
        traffic = container_node.root_directory("image-bookworm")
        for name in ("images", "scripts/usr/local/bin"):
            os.makedirs(shared.path(name))
        for name in ("make-traffic", "serve-files"):
            shutil.copy(os.path.join(images.COMPOSE, name), shared.path(f"scripts/usr/local/bin/{name}"))
            os.chmod(shared.path(f"scripts/usr/local/bin/{name}"), 0o755)
        tools = images.busybox_layer(shared.path("tools"), container_node.root_directory("node-bookworm"))
        images.write_archive(shared.path("images/meter.tar"), METER, images.dockerfile_config("meter"), tools,
                             images.meter_layer(shared.path("meter"), cases.meter_path))
        images.write_archive(shared.path("images/traffic.tar"), TRAFFIC, images.dockerfile_config("traffic"),
                             images.layer(traffic), images.layer(shared.path("scripts")))

    def setUp(self):
        super().setUp()
        if self.missing:
            self.skipTest(self.missing)

    def run_engine(self, *words, **options):
        return self.node.run(*self.client, *words, **options)

    def try_engine(self, *words, **options):
        return self.node.try_run(*self.client, *words, **options)

    def run_container(self, *words, **options):
        return self.run_engine(*self.container, *words, **options)

    def try_container(self, *words, **options):
        return self.try_engine(*self.container, *words, **options)

    def remove(self, *containers):
        self.try_engine("rm", "--force", *containers)
