# SPDX-License-Identifier: BSD-3-Clause
"""What the cases with a web service share: captures of many flows, the environment, the account of the output."""
import os
import re
import shutil
import subprocess

import capture
import cases
import meter

OK, FAILED, USAGE = 0, 1, 2
# Without the machine's proxy settings, because the server is on the loopback interface.
ENVIRONMENT = {**{k: v for k, v in os.environ.items() if "proxy" not in k.lower()}, "no_proxy": "*"}


class Http(cases.Case):
    def flows(self, name, count, first_port=1000):
        """A capture of this many flows, which differ in src_port."""
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(capture.pcap([(1 + i / 1000, capture.ethernet(
                capture.udp(ports=(first_port + i % 50000, 53 + i // 50000)))) for i in range(count)]))
        os.chmod(path, 0o644)
        return path

    def as_nobody(self, capability=None):
        """The prefix that runs the meter as another user, who cannot read the build directory; with a file capability."""
        program = self.path("meter")
        shutil.copy(cases.meter_path, program)
        os.chmod(program, 0o755)
        if capability:
            subprocess.run(["setcap", capability + "=ep", program], check=True, timeout=60)
        return "setpriv", "--reuid", "65534", "--clear-groups", "sh", "-c", 'shift; exec "$0" "$@"', program

    def run_meter(self, *arguments, **options):
        return meter.run(*arguments, **{"env": ENVIRONMENT, **options})

    def account(self, done):
        line = [line for line in done.err.splitlines() if "info: output http" in line]
        self.assertEqual(len(line), 1, done.err)
        return {name: int(number) for name, number in re.findall(r" (\w+)=(\d+)", line[0])}

    def assert_account(self, done, **expected):
        account = self.account(done)
        for name, number in {"waiting": 0, "refused": 0, "lost": 0, "spooled": 0, **expected}.items():
            self.assertEqual(account[name], number, f"{name}: {done.err}")
        self.assertEqual(account["rows"], account["written"] + account["dropped"], done.err)

    def ports(self, rows):
        return [row["src_port"] for row in rows]

    def assert_each_once(self, service, count, first_port=1000):
        """Every row is acknowledged, once and in order."""
        self.assertEqual(self.ports(service.acknowledged), list(range(first_port, first_port + count)))
