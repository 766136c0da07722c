# SPDX-License-Identifier: BSD-3-Clause
"""Containers with macvlan interfaces, as docs/containers.md has it: what the interface below sees, and `--netns`. Needs
root."""
import meter
import namespaces
from interface_cases import Interfaces, address, wait_quiet, wire


class Macvlan(Interfaces):
    def setUp(self):
        super().setUp()
        self.host, self.wire = namespaces.Namespace(self, "h"), namespaces.Namespace(self, "w")
        wire(1, self.host, "eth9", self.wire, "eth9")
        self.containers = []
        for side, name in ((3, "c"), (4, "d")):
            container = namespaces.Namespace(self, name)
            try:
                self.host.ip("link", "add", f"mac{side}", "link", "eth9", "address", f"02:00:00:00:09:{side:02x}",
                             "netns", container.name, "type", "macvlan", "mode", "bridge")
            except AssertionError as error:
                self.skipTest(f"this kernel has no macvlan: {error}")
            container.run("sh", "-ec", f"""
                ip link set dev mac{side} addrgenmode none
                ip link set dev mac{side} up
                ip addr add {address(1, side)}/24 dev mac{side}
                ip neigh replace {address(1, 7 - side)} lladdr 02:00:00:00:09:{7 - side:02x} dev mac{side} nud permanent
                ip neigh replace {address(1, 2)} lladdr 02:00:00:00:01:02 dev mac{side} nud permanent
            """)
            self.wire.ip("neigh", "replace", address(1, side), "lladdr", f"02:00:00:00:09:{side:02x}", "dev", "eth9", "nud",
                         "permanent")
            self.containers.append(container)

    def test_below_and_inside(self):
        first, second = self.containers
        below = self.start_on(self.host, ["eth9"], name="below").wait_attached()
        inside = meter.Meter(self, "inside", "-i", "mac*", "--netns", first.name).wait_attached()
        self.send(first, address(1, 3), address(1, 2), 10, 43000)
        self.send(first, address(1, 3), address(1, 4), 20, 43001)
        self.send(second, address(1, 4), address(1, 3), 30, 43002)
        wait_quiet((first, "mac3"), (second, "mac4"), (self.wire, "eth9"))
        below.stop_clean()
        inside.stop_clean()
        ports = (43000, 43001, 43002)
        self.assertEqual([self.sent(below, port) for port in ports], [(10, 0), (20, 0), (30, 0)])
        self.assertEqual([self.sent(inside, port) for port in ports], [(10, 0), (20, 0), (30, 0)])
