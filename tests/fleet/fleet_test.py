# SPDX-License-Identifier: BSD-3-Clause
"""A fleet of three nodes, a broker and a database, for some seconds. scripts/fleet runs it for minutes."""
import cases
import kafka
import namespaces
from fleet import Fleet

LABEL = "veth"


class FleetTest(cases.Case):
    def test_nothing_is_missing_after_kills(self):
        why = namespaces.missing_here() or kafka.missing()
        if why:
            self.skipTest(why)
        fleet = Fleet(self)
        with fleet.logs_on_failure():
            fleet.run(seconds=20)
            print(fleet.check())
