# SPDX-License-Identifier: BSD-3-Clause
"""Options from the command line, the environment and a configuration file, for every option; and the formats
and levels of the log."""
import json
import os
import re

import capture
import cases
import meter

OK, FAILED, USAGE = 0, 1, 2

# Three values for each option that does not accept every text. A new option with other bounds of numbers, or with names
# of its own, needs a line here.
VALUES = {
    "features": ("cic82", "netflowmeter114", "cic82"),
    "compat": ("python", "java", "python"),
    "hook": ("tc", "xdp", "tcx"),
    "metrics": ("127.0.0.1:1", "/x", "[::1]:2"),
    "attach-order": ("first", "last", "first"),
    "attribute": ("container", "process", "off"),
    "engine": ("unix:///run/docker.sock", "unix:///a", "unix:///b"),
    "datapath": ("events", "kernel", "events"),
    "flow-map": ("hash", "lru", "hash"),
    "log-format": ("text", "logfmt", "json"),
    "log-level": ("error", "warning", "debug"),
    "on-full": ("block", "drop", "block"),
    "spool-sync": ("batch", "none", "batch"),
    "sandbox": ("off", "require", "auto"),
    "rotate": ("1h", "2h", "500MB"),
    "keep": ("48", "10GB", "500MiB"),
    "batch": ("2001", "2002", "2003"),
    "url-format": ("ndjson", "json-array", "csv"),
    "url-compress": ("none", "gzip", "zstd"),
    "time-format": ("iso", "epoch", "epoch-us"),
    "float-format": ("fixed:1", "shortest", "fixed:2"),
    "meter-id": ("a", "b:c", "d.1"),
    "metrics": ("127.0.0.1:1", "/x", "[::1]:2"),
    "FLAG": ("true", "false", "true"),
    "SECONDS": ("1.5", "2", "3"),
    "N": ("101", "102", "103"),
    "TEXT": ("a", "b c", "d#"),
}


def run(*arguments, environment=(), **options):
    # Without the caller's settings.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FLOWMETER_")}
    return meter.run(*arguments, env={**clean, **dict(environment)}, **options)


class Configured(cases.Case):
    def write(self, text, name="flow.toml"):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def in_force(self, *arguments, environment=()):
        """{option: (value as TOML, source)} of --print-config."""
        done = run("--print-config", *arguments, environment=environment)
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        lines = [re.fullmatch(r"([a-z0-9-]+) = (.*?)  # ([^\"]*)", line)
                 for line in done.out.splitlines() if line and not line.startswith("#")]
        return {line[1]: (line[2], line[3]) for line in lines}

    def assert_usage(self, done, *words):
        self.assertEqual(done.code, USAGE, done.err)
        self.assertEqual(len(done.errors), 1, done.err)
        for word in words:
            self.assertIn(word, done.errors[0])


class Order(Configured):
    def options(self):
        """{long name: key of VALUES} of all options that --print-config shows."""
        shown = re.findall(r"^# ([a-z0-9-]+) (?:= |is not set)", run("--print-config").out, re.M)
        # "-c,--csv FILE", "--idle-timeout SECONDS=240", "-v,--verbose"
        types = {}
        for names, kind in re.findall(r"^  (-\S+)(?: ([A-Z][^ =]*))?", run("--help").out, re.M):
            for name in names.split(","):
                types[name.lstrip("-")] = kind or "FLAG"
        self.assertGreater(len(shown), 30)
        return {name: name if name in VALUES else types[name] if types[name] in VALUES else "TEXT" for name in shown}

    def test_of_every_option(self):
        for name, kind in self.options().items():
            with self.subTest(name):
                in_file, in_environment, given = VALUES[kind]
                plain = kind in ("FLAG", "SECONDS", "N") or name == "batch"
                toml = (lambda value: value) if plain else json.dumps
                array = (lambda value: f"[{value}]") if name in ("file", "iface", "csv", "json", "url", "kafka") else str
                path = self.write(f"{name} = {toml(in_file)}\n")
                variable = "FLOWMETER_" + name.upper().replace("-", "_")
                environment = {variable: in_environment}
                on_command_line = [f"--{name}" if kind == "FLAG" else f"--{name}={given}"]

                value, source = self.in_force("--config", path)[name]
                self.assertEqual((value, source), (array(toml(in_file)), f"{path}:1"))
                value, source = self.in_force("--config", path, environment=environment)[name]
                self.assertEqual((value, source), (array(toml(in_environment)), f"environment {variable}"))
                value, source = self.in_force("--config", path, *on_command_line, environment=environment)[name]
                self.assertEqual((value, source), (array(toml(given)), "command line"))

    def test_of_what_a_feature_set_and_an_option_decide(self):
        """In any order of the sources, an explicit value takes precedence over the set's default."""
        path = self.write('activity-gap = 7\nfeatures = "netflowmeter114"\n')
        self.assertEqual(self.in_force("--config", path)["activity-gap"][0], "7")
        done = run("--print-config", "--config", self.write('features = "netflowmeter114"\n'))
        self.assertIn("\n# activity-gap = 100\n", done.out)
        done = run("--print-config", "--activity-gap", "8", environment={"FLOWMETER_FEATURES": "netflowmeter114"})
        self.assertIn("\nactivity-gap = 8 ", done.out)

    def test_a_former_name_is_taken(self):
        """In all three sources."""
        path = self.write("ring-size = 2\n")
        environment = {"FLOWMETER_RING_SIZE": "4"}
        self.assertEqual(self.in_force("--config", path)["event-memory"][0], "2")
        self.assertEqual(self.in_force("--config", path, environment=environment)["event-memory"][0], "4")
        for given in (("--ring-size", "8"), ("--ring-size=8",)):
            self.assertEqual(self.in_force(*given, environment=environment)["event-memory"][0], "8")

    def test_former_names_of_the_spool(self):
        given = ("--url-spool", "x", "--url-spool-limit=7", "--url-spool-sync", "none", "--url-retry", "9")
        in_force = self.in_force(*given)
        for name, value in (("spool", '"x"'), ("spool-limit", "7"), ("spool-sync", '"none"'), ("output-retry", "9")):
            self.assertEqual(in_force[name][0], value)

    def test_two_names_of_one_option_in_a_file(self):
        path = self.write("ring-size = 3\nevent-memory = 4\n")
        self.assert_usage(run("--config", path, "--print-config"), f"{path}:2:", '"event-memory"', '"ring-size"')

    def test_a_list_is_replaced(self):
        path = self.write('iface = ["a", "b"]\n')
        self.assertEqual(self.in_force("--config", path)["iface"][0], '["a", "b"]')
        environment = {"FLOWMETER_INTERFACE": "c,d*"}
        self.assertEqual(self.in_force("--config", path, environment=environment)["iface"][0], '["c", "d*"]')
        self.assertEqual(self.in_force("--config", path, "-i", "e", environment=environment)["iface"][0], '["e"]')

    def test_an_empty_variable_is_none(self):
        path = self.write("idle-timeout = 7\n")
        value = self.in_force("--config", path, environment={"FLOWMETER_IDLE_TIMEOUT": ""})["idle-timeout"]
        self.assertEqual(value[0], "7")

    def test_the_file_itself(self):
        first, second = self.write("idle-timeout = 7\n"), self.write("idle-timeout = 8\n", "second.toml")
        environment = {"FLOWMETER_CONFIG": first}
        self.assertEqual(self.in_force(environment=environment)["idle-timeout"][0], "7")
        self.assertEqual(self.in_force("--config", second, environment=environment)["idle-timeout"][0], "8")


class File(Configured):
    def test_a_byte_order_mark_is_skipped(self):
        path = self.write("\ufeffidle-timeout = 7\n")
        self.assertEqual(self.in_force("--config", path)["idle-timeout"], ("7", f"{path}:1"))

    def test_errors_name_file_line_and_option(self):
        for text, *words in (
            ("\nidle-timeot = 5", ":2: ", "idle-timeot"),
            ("idle-timeout = \"x\"", ":1: ", "--idle-timeout", "x"),
            ("# a\n\nmax-flows = 1", ":3: ", "--max-flows"),
            ("hook = \"x\"", ":1: ", "--hook"),
            ("quiet = 3", ":1: ", "--quiet"),
            ("fields = [\"src_ip\", \"dst_ip\"]", ":1: ", "fields"),
            ("file = [\"a\"]\nread = [\"b\"]", ":2: ", "read", "file"),
            ("help = true", ":1: ", "help"),
            ("config = \"x\"", ":1: ", "config"),
            ("csv = flows.csv", ":1: ", "flows.csv"),
            ("[csv]", ":1: ", "tables"),
        ):
            with self.subTest(text):
                path = self.write(text)
                self.assert_usage(run("--config", path, "-f", "x.pcap"), path, *words)

    def test_a_file_that_cannot_be_read(self):
        self.assert_usage(run("--config", self.path("none"), "-f", "x"), self.path("none"))
        self.assert_usage(run("--config", self.directory, "-f", "x"), self.directory)
        self.assert_usage(run("-f", "x", environment={"FLOWMETER_CONFIG": self.path("none")}), self.path("none"))

    def test_errors_name_the_variable(self):
        self.assert_usage(run("-f", "x", environment={"FLOWMETER_IDLE_TIMEOUT": "x"}),
                          "FLOWMETER_IDLE_TIMEOUT", "--idle-timeout")
        self.assert_usage(run("-f", "x", environment={"FLOWMETER_QUIET": "perhaps"}), "FLOWMETER_QUIET", "perhaps")

    def test_a_variable_that_is_no_option_is_a_warning(self):
        done = run("--print-config", environment={"FLOWMETER_IDEL_TIMEOUT": "5", "FLOWMETER_HELP": "1"})
        self.assertEqual(done.code, OK)
        self.assertEqual(len(done.warnings), 2, done.err)
        self.assertIn("FLOWMETER_IDEL_TIMEOUT", done.err)

    def test_help_and_version_whatever_is_configured(self):
        for option in ("--help", "--version"):
            done = run(option, environment={"FLOWMETER_CONFIG": self.path("none"), "FLOWMETER_HOOK": "x"})
            self.assertEqual((done.code, done.err), (OK, ""))

    def test_rows(self):
        """The configuration takes effect."""
        with open(self.path("x.pcap"), "wb") as file:
            file.write(capture.pcap(capture.conversation()))
        path = self.write(f'file = ["{self.path("x.pcap")}"]\ncsv = "{self.path("flows.csv")}"\n'
                          'fields = "src_ip,dst_ip"\nquiet = true\n')
        done = run("--config", path)
        self.assertEqual((done.code, done.err), (OK, ""))
        with open(self.path("flows.csv"), encoding="utf-8") as file:
            self.assertEqual(file.read().splitlines()[0], "src_ip,dst_ip")
        done = run("--config", path, "-c", "-", "--fields", "protocol", environment={"FLOWMETER_QUIET": "0"})
        self.assertEqual(done.out.splitlines()[0], "protocol")
        self.assertEqual(done.account["metered"], 7)

    def test_several_files(self):
        """-c can be repeated, also in the file and the environment."""
        with open(self.path("x.pcap"), "wb") as file:
            file.write(capture.pcap(capture.conversation()))
        a, b, c, d = (self.path(name) for name in "abcd")
        path = self.write(f'csv = ["{a}", "{b}"]\n')
        self.assertEqual(self.in_force("-c", c, "-c", d)["csv"][0], f'["{c}", "{d}"]')
        self.assertEqual(run("-f", self.path("x.pcap"), "--config", path).code, OK)
        self.assertEqual(run("-f", self.path("x.pcap"), environment={"FLOWMETER_CSV": f"{c},{d}"}).code, OK)
        for name in (a, b, c, d):
            with open(name, encoding="utf-8") as file:
                self.assertTrue(file.read().startswith("src_ip,"), name)


class PrintConfig(Configured):
    def test_is_taken_back(self):
        arguments = ("-i", "veth*", "-i", "/^(eth|ens)\\d,/", "-c", "a \"quoted\" # name.csv", "--idle-timeout", "0.25",
                     "--max-flows", "1000", "--flow-map", "lru", "-v", "--hook", "tcx")
        before = self.in_force(*arguments)
        self.assertEqual(len(before), 7, before)
        path = self.write(run("--print-config", *arguments).out)
        after = self.in_force("--config", path)
        self.assertEqual({name: value for name, (value, _) in after.items()},
                         {name: value for name, (value, _) in before.items()})
        self.assertTrue(all(source.startswith(path + ":") for _, source in after.values()), after)

    def test_defaults_are_those_in_force(self):
        out = run("--print-config").out
        self.assertIn("\n# max-flows = 2097152\n", out)
        self.assertIn("\n# idle-timeout = 240\n", out)
        out = run("--print-config", "-i", "x", "--datapath", "kernel").out
        self.assertIn("\n# max-flows = 80000\n", out)
        for user, directory in ((), "flowmeter-ebpf"), (("--user", "nobody"), "flowmeter-ebpf-nobody"), (
                ("--user", "12345:100"), "flowmeter-ebpf-12345"):
            self.assertIn(f'\n# state-dir = "/run/{directory}"\n', run("--print-config", *user).out)

    def test_passwords_are_left_out(self):
        value = self.in_force("--csv", "https://example.org/x?y=a:b@z")["csv"][0]
        self.assertEqual(value, '["https://example.org/x?y=a:b@z"]', "no password")
        value = self.in_force("--csv", "https://me:s:e@cret@example.org/x@y")["csv"][0]
        self.assertEqual(value, '["https://me:***@example.org/x@y"]')
        value = self.in_force("--csv", "https://token@example.org/")["csv"][0]
        self.assertEqual(value, '["https://***@example.org/"]')

    def test_a_wrong_value_is_none(self):
        self.assert_usage(run("--print-config", "--idle-timeout", "x"), "--idle-timeout")


class Logs(Configured):
    def setUp(self):
        super().setUp()
        with open(self.path("x.pcap"), "wb") as file:
            file.write(capture.pcap(capture.conversation())[:-1])

    def replay(self, *arguments):
        done = run("-f", self.path("x.pcap"), "-c", os.devnull, *arguments)
        self.assertEqual(done.code, OK, done.err)
        return done.err.splitlines()

    def test_json(self):
        warning, output, account = (json.loads(line) for line in self.replay("--log-format", "json"))
        self.assertEqual(warning["level"], "warning")
        self.assertIn("x.pcap", warning["msg"])
        self.assertRegex(account["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        self.assertIn("rows=2 written=2 waiting=0 dropped=0", output["msg"])
        self.assertEqual((account["level"], account["msg"]), ("info", "account"))
        self.assertEqual((account["seen"], account["metered"], account["not_ip"]), (7, 6, 1))

    def test_logfmt(self):
        warning, _, account = self.replay("--log-format", "logfmt")
        self.assertRegex(warning, r'^time=\S+Z level=warning msg="[^"]*x\.pcap[^"]*"$')
        self.assertRegex(account, r"^time=\S+Z level=info msg=account seen=7 metered=6 ")

    def test_text_is_the_default(self):
        self.assertEqual(self.replay(), self.replay("--log-format", "text"))
        self.assertTrue(self.replay()[0].startswith("flowmeter-ebpf: warning: "))

    def test_levels(self):
        self.assertEqual(self.replay("--log-level", "error"), [])
        self.assertEqual(len(self.replay("--log-level", "warning")), 1)
        self.assertEqual(len(self.replay("--log-level", "info")), 3)
        self.assertEqual(len(self.replay("--log-level", "debug")), 5, "with -v's lines")

    def test_wrong_names(self):
        self.assert_usage(run("-f", "x", "--log-format", "xml"), "xml", "json")
        self.assert_usage(run("-f", "x", "--log-level", "loud"), "loud", "debug")

    def test_an_error_of_the_run(self):
        done = run("-f", self.path("none"), "--log-format", "json")
        self.assertEqual(done.code, FAILED)
        self.assertEqual(json.loads(done.err)["level"], "error")
