# SPDX-License-Identifier: BSD-3-Clause
"""The completion script for bash: it has every option, and completes values and commands."""
import os
import re
import subprocess

import cases
import meter

OK, USAGE = 0, 2


class Completion(cases.Case):
    def complete(self, *words):
        """The completions that bash offers for the last of these words."""
        script = ('source <("$0" completion bash); COMP_WORDS=(flowmeter-ebpf "$@"); COMP_CWORD=$#; '
                  "_flowmeter_ebpf 2>/dev/null; printf '%s\\n' \"${COMPREPLY[@]}\"")
        done = subprocess.run(["bash", "-c", script, cases.meter_path, *words], capture_output=True, text=True,
                              check=True, cwd=self.directory, timeout=60)
        return done.stdout.split()

    def test_has_every_option(self):
        offered = self.complete("-")
        options = re.findall(r"^  (-[^ ]+)", meter.run("--help").out, re.M)
        self.assertGreater(len(options), 50)
        self.assertEqual(set(offered), {name for names in options for name in names.split(",")})

    def test_values(self):
        self.assertEqual(self.complete("--hook", ""), ["auto", "tcx", "tc", "xdp", "xdp-generic"])
        self.assertEqual(self.complete("--hook", "=", "xdp-"), ["xdp-generic"])
        self.assertIn("lo", self.complete("-i", "l"))
        self.assertEqual(self.complete("--idle-timeout", ""), [])
        os.mkdir(self.path("pins"))
        with open(self.path("pcap"), "w", encoding="utf-8"):
            pass
        self.assertEqual(set(self.complete("-f", "p")), {"pins", "pcap"})
        self.assertEqual(self.complete("--pin", "p"), ["pins"])

    def test_commands(self):
        self.assertEqual(self.complete("do"), ["doctor"])
        self.assertEqual(self.complete("features", "c"), ["cic82"])
        self.assertEqual(self.complete("completion", ""), ["bash", "--help"])

    def test_shells(self):
        self.assertEqual(meter.run("completion", "bash").code, OK)
        for arguments in ((), ("fish",), ("bash", "more")):
            self.assertEqual(meter.run("completion", *arguments).code, USAGE)
