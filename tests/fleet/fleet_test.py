# SPDX-License-Identifier: BSD-3-Clause
"""A fleet of three nodes, a broker and a database, whose parts are killed."""
import os
import signal
import subprocess
import sys

import cases
import clickhouse
import kafka
import meter
import namespaces
from fleet import Fleet


def missing_here():
    return namespaces.missing_here() or kafka.missing() or clickhouse.missing()


class Short(cases.Case):
    LABEL = "veth"

    def test_nothing_is_missing_after_kills(self):
        why = missing_here()
        if why:
            self.skipTest(why)
        fleet = Fleet(self, longest_outage_s=2)
        with fleet.logs_on_failure():
            fleet.run(seconds=10)
            print(fleet.check())


class FiveMinutes(cases.Case):
    LABEL = "full"

    def test_scripts_fleet(self):
        why = missing_here()
        if why:
            self.skipTest(why)
        signal.alarm(840)
        done = subprocess.run([sys.executable, os.path.join(cases.ROOT, "scripts", "fleet"), "--program", cases.meter_path,
                               "--output", self.path("fleet")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, preexec_fn=meter.die_with_parent, timeout=800)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:])
        self.assertIn("metered packets:", done.stdout)
        with open(self.path("fleet/samples.csv"), encoding="utf-8") as file:
            self.assertGreater(len(file.readlines()), 100)
