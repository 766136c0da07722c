# SPDX-License-Identifier: BSD-3-Clause
"""packaging/compose without a container engine: runs its services in network namespaces, with the users, capabilities,
commands and health check of docker-compose.yml and the Dockerfile, and checks the rows. Needs root; makes and removes
its own network namespaces."""
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys

import capture
import cases
import container_images as images
import meter
import namespaces

try:
    import yaml
except ImportError:
    yaml = None

SERVER, CLIENT = "192.0.2.10", "192.0.2.20"
NEEDED = {"BPF", "NET_ADMIN", "PERFMON"}


def recipe():
    with open(os.path.join(images.COMPOSE, "docker-compose.yml"), encoding="utf-8") as file:
        return yaml.safe_load(file)["services"]


def user_of(service):
    """The ids in user: "${METER_UID:-1000}:${METER_GID:-1000}", or in the USER of the image."""
    text = service.get("user") or next(rest for instruction, rest in reversed(images.dockerfile()) if instruction == "USER")
    return re.fullmatch(r"(?:\$\{\w+:-)?(\d+)\}?:(?:\$\{\w+:-)?(\d+)\}?", text).groups()


def as_in_container(service):
    """The command to put before a service's own, for the user and capabilities of its container."""
    uid, gid = user_of(service)
    bounding = ",".join(["-all"] + ["+" + name.lower() for name in service.get("cap_add", [])])
    prefix = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", "--inh-caps=-all", "--ambient-caps=-all",
              "--bounding-set=" + bounding]
    if "no-new-privileges:true" in service.get("security_opt", []):
        # In a second exec, because setpriv itself still has the capabilities that the first one drops.
        prefix += ["setpriv", "--no-new-privs"]
    return prefix


class Recipe(cases.Case):
    def setUp(self):
        super().setUp()
        if yaml is None:
            self.skipTest("needs Python's yaml (package python3-yaml)")
        self.services = recipe()

    def test_the_meter_gets_its_three_capabilities_and_no_others(self):
        service = self.services["meter"]
        self.assertEqual(service["cap_drop"], ["ALL"])
        self.assertEqual(set(service["cap_add"]), NEEDED)
        given, how = images.file_capabilities().split("=")
        self.assertEqual({name.removeprefix("cap_").upper() for name in given.split(",")}, NEEDED)
        self.assertEqual(how, "p", "with =ep it would not even run without them")
        # Before Docker 24.0.6, file capabilities have no effect with no-new-privileges.
        self.assertNotIn("security_opt", service)
        self.assertFalse(service.get("privileged", False))

    def test_nobody_is_root_or_has_more_than_needed(self):
        for name, service in self.services.items():
            self.assertEqual(service["cap_drop"], ["ALL"], name)
            if name == "owner":
                self.assertEqual((service["cap_add"], service["network_mode"]), (["CHOWN"], "none"))
            else:
                self.assertNotIn("0", user_of(service), name)
            if name not in ("meter", "owner"):
                self.assertLessEqual(set(service.get("cap_add", [])), {"NET_RAW"}, name)
            if name != "meter":
                self.assertIn("no-new-privileges:true", service["security_opt"], name)

    def test_what_the_images_are_made_of_is_there(self):
        stages = [rest.split()[-1] for instruction, rest in images.dockerfile() if instruction == "FROM"]
        for name, service in self.services.items():
            build = service["build"]
            self.assertEqual(os.path.realpath(os.path.join(images.COMPOSE, build["context"])), cases.ROOT, name)
            self.assertEqual(os.path.join(cases.ROOT, build["dockerfile"]), os.path.join(images.COMPOSE, "Dockerfile"))
            self.assertIn(build["target"], stages, name)
        with open(os.path.join(images.COMPOSE, "Dockerfile.dockerignore"), encoding="utf-8") as file:
            ignored = {line.strip() for line in file if not line.startswith("#")}
        for instruction, rest in images.dockerfile():
            words = rest.split()
            if instruction != "COPY" or any(word.startswith("--from=") for word in words):
                continue
            for source in [word for word in words if not word.startswith("--")][:-1]:
                self.assertTrue(os.path.exists(os.path.join(cases.ROOT, source)), source)
                self.assertNotIn(source.rstrip("/"), ignored)

    def test_the_image_says_what_it_is_and_how_it_is(self):
        instructions = dict(images.dockerfile())  # the last one of each, which is of the meter
        self.assertIn("org.opencontainers.image.licenses", instructions["LABEL"])
        # The recipe's own check only asks more often.
        self.assertEqual(shlex.split(instructions["HEALTHCHECK"].partition(" CMD ")[2].translate({ord(c): None for c in "[],"})),
                         self.services["meter"]["healthcheck"]["test"][1:])
        bases = [rest for instruction, rest in images.dockerfile() if instruction == "ARG" and rest.startswith("DEBIAN=")]
        self.assertRegex(bases[0], r"^DEBIAN=debian:\w+-\d{8}-slim(@sha256:\w{64})?$", "a base of a fixed day")

    def test_docker_20_is_asked_for_nothing_that_it_does_not_know(self):
        with open(os.path.join(images.COMPOSE, "docker-compose.docker20.yml"), encoding="utf-8") as file:
            text = file.read()
        service = yaml.safe_load(text.replace("!override ", ""))["services"]["meter"]
        self.assertFalse(set(service["cap_add"]) & {"BPF", "PERFMON"}, "newer than Docker 20.10")
        self.assertIn("cap_add: !override", text, "otherwise both lists are added up")
        self.assertEqual(service["user"], "0:0")
        self.assertEqual(service["command"][-2:], ["--user", self.services["meter"]["user"]])


class InNamespaces(cases.Case):
    def setUp(self):
        super().setUp()
        if yaml is None:
            self.skipTest("needs Python's yaml (package python3-yaml)")
        missing = namespaces.missing_here()
        if missing:
            self.skipTest(missing)
        for tool in ("setcap", "curl", "ping"):
            if shutil.which(tool) is None:
                self.skipTest(f"needs {tool}")
        self.services = recipe()
        self.program = self.path("flowmeter-ebpf")
        shutil.copy(cases.meter_path, self.program)
        os.chmod(self.program, 0o755)
        if subprocess.run(["setcap", images.file_capabilities(), self.program], timeout=60).returncode != 0:
            self.skipTest("the file system of the test's directory holds no file capabilities")

    def network(self):
        self.server, self.client = namespaces.Namespace(self, "server"), namespaces.Namespace(self, "client")
        namespaces.run("ip", "link", "add", "eth0", "netns", self.server.name, "type", "veth",
                       "peer", "name", "eth0", "netns", self.client.name)
        for side, address in ((self.server, SERVER), (self.client, CLIENT)):
            side.ip("link", "set", "eth0", "addrgenmode", "none")
            side.ip("addr", "add", address + "/24", "dev", "eth0")
            side.ip("link", "set", "eth0", "up")

    def start_meter(self, namespace, output, service=None, owner=None):
        """Starts the meter like its container, with `output` in place of /output."""
        service = service or self.services["meter"]
        uid, gid = map(int, owner or user_of(service))
        os.mkdir(output)
        os.chown(output, uid, gid)
        arguments = [word.replace("/output", output, 1) for word in service["command"]]
        return meter.Meter(self, "meter", *arguments, program=self.program,
                           prefix=(*namespace.enter, *as_in_container(service)))

    def healthy(self, service, pid):
        command, *test = service["healthcheck"]["test"]
        self.assertEqual(command, "CMD")
        test = [word.replace("/proc/1/", f"/proc/{pid}/") for word in test]
        return subprocess.run([*as_in_container(service), *test], stdout=subprocess.DEVNULL, timeout=60).returncode == 0

    def test_server_client_and_meter(self):
        self.network()
        served = self.path("served")
        os.mkdir(served)
        os.chmod(served, 0o777)
        service = self.services["server"]
        self.server.start(*as_in_container(service), os.path.join(images.COMPOSE, service["command"][0]),
                          *service["command"][1:], cwd=served)
        self.server.listening(8000)
        self.server.run(*as_in_container(service), *service["healthcheck"]["test"][1:])

        self.assertEqual(self.services["meter"]["network_mode"], "service:server")
        live = self.start_meter(self.server, self.path("output"))
        meter.wait_for("the health check", lambda: self.healthy(self.services["meter"], live.process.pid))
        self.assertIn(": metering eth0", live.err(), "healthy before it was attached")

        service = self.services["client"]
        for name, value in service.get("sysctls", {}).items():
            self.client.run("sh", "-c", f"echo '{value}' > /proc/sys/{name.replace('.', '/')}")
        script, *arguments = service["command"]
        said = self.client.run(*as_in_container(service), os.path.join(images.COMPOSE, script),
                               *[word.replace("server", SERVER) for word in arguments], timeout=120)
        self.assertIn("done", said)

        # `docker compose` ends it by SIGTERM.
        done = live.stop(signal.SIGTERM)
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        meter.assert_balanced(self, done.account)
        path = os.path.join(self.path("output"), "flow.csv")
        self.assertEqual(os.stat(path).st_uid, int(user_of(self.services["meter"])[0]))
        with open(path, encoding="utf-8") as file:
            rows = meter.rows_of(file.read())
        self.assertEqual(meter.packets_in(rows), done.account["metered"])
        web = [row for row in rows if (row["src_ip"], row["dst_ip"], row["dst_port"]) == (CLIENT, SERVER, "8000")]
        self.assertEqual(len(web), 7, rows)
        self.assertEqual([row["protocol"] for row in web], ["6"] * 7)
        sizes = sorted(int(row["totlen_bwd_pkts"]) for row in web)
        self.assertGreater(sizes[-1], 3_000_000)
        self.assertEqual([size > 2000 for size in sizes[:-1]], [False] + [True] * 5, sizes)
        pings = [row for row in rows if row["protocol"] == "1"]
        self.assertEqual([(row["src_ip"], row["tot_fwd_pkts"], row["tot_bwd_pkts"]) for row in pings],
                         [(CLIENT, "3", "3")])
        self.analyze(path)

    def analyze(self, path):
        """The recipe's last step."""
        analyzer = os.path.join(cases.ROOT, "scripts", "flow_analyzer.py")
        if not os.path.exists(analyzer):
            print("not analyzed: scripts/flow_analyzer.py is not there")
            return
        # Debian's packages belong to /usr/bin/python3, which need not be the first python3 in PATH.
        pythons = [each for each in (sys.executable, "/usr/bin/python3") if subprocess.run(
            [each, "-c", "import pandas, matplotlib"], capture_output=True, timeout=120).returncode == 0]
        if not pythons:
            print("not analyzed: pandas or matplotlib is not installed")
            return
        subprocess.run([pythons[0], "-B", analyzer, path, "-o", self.path("analysis"), "--no-plots"], check=True,
                       stdout=subprocess.DEVNULL, timeout=240)
        with open(os.path.join(self.path("analysis"), "flows_classified.csv"), encoding="utf-8") as file:
            self.assertEqual(len(meter.rows_of(file.read())), 8)

    def test_without_one_of_the_capabilities_it_names_it(self):
        self.network()
        for name in sorted(NEEDED):
            with self.subTest(missing=name):
                service = {**self.services["meter"], "cap_add": sorted(NEEDED - {name})}
                done = self.start_meter(self.server, self.path("without-" + name), service).wait()
                self.assertEqual((done.code, len(done.errors)), (1, 1), done.err)
                self.assertEqual(set(re.findall(r"CAP_(\w+)", done.errors[0])), {name})
                self.assertEqual(os.listdir(self.path("without-" + name)), [])

    def test_a_replay_needs_none(self):
        pcap = self.path("x.pcap")
        with open(pcap, "wb") as file:
            file.write(capture.pcap(capture.conversation()))
        os.chmod(pcap, 0o644)
        prefix = as_in_container({**self.services["meter"], "cap_add": []})
        for arguments in (("--version",), ("-f", pcap, "-c", "-")):
            done = subprocess.run([*prefix, self.program, *arguments], capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, meter.lines_of(done.stderr, "error")), (0, []), done.stderr)
            self.assertNotEqual(done.stdout, "")

    def test_docker_20(self):
        """With CAP_SYS_ADMIN as root, who becomes the owner of the rows."""
        self.network()
        with open(os.path.join(images.COMPOSE, "docker-compose.docker20.yml"), encoding="utf-8") as file:
            changes = yaml.safe_load(file.read().replace("!override ", ""))["services"]["meter"]
        owner = user_of(self.services["meter"])
        changes["command"][-1] = ":".join(owner)
        live = self.start_meter(self.server, self.path("output"), {**self.services["meter"], **changes}, owner)
        live.wait_attached()
        self.client.run("ping", "-q", "-c", "1", SERVER)
        done = live.stop(signal.SIGTERM)
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        self.assertEqual(os.stat(os.path.join(self.path("output"), "flow.csv")).st_uid, int(owner[0]))

    def test_where_it_may_not_gain_them_it_names_them(self):
        self.network()
        service = {**self.services["meter"], "security_opt": ["no-new-privileges:true"]}
        done = self.start_meter(self.server, self.path("output"), service).wait()
        self.assertEqual((done.code, len(done.errors)), (1, 1), done.err)
        for name in NEEDED:
            self.assertIn("CAP_" + name, done.errors[0])

    def test_a_directory_that_is_not_its_own_is_named(self):
        self.network()
        service = {**self.services["meter"], "user": "1001:1001"}
        output = self.path("output")
        os.mkdir(output, 0o755)
        arguments = [word.replace("/output", output, 1) for word in service["command"]]
        done = meter.Meter(self, "meter", *arguments, program=self.program,
                           prefix=(*self.server.enter, *as_in_container(service))).wait()
        self.assertEqual((done.code, len(done.errors)), (1, 1), done.err)
        self.assertIn(output + "/flow.csv: Permission denied", done.errors[0])
