# SPDX-License-Identifier: BSD-3-Clause
"""Shared by the tests of --metrics."""
import socket

import live_cases
import meter
import metrics
from namespaces import A4, B4


class Metered(live_cases.Live):
    def setUp(self):
        super().setUp()
        done = meter.run("-i", "no-such-interface", "--metrics", self.path("probe.sock"))
        if "libmicrohttpd" in done.err:
            self.skipTest(done.err.strip())
        self.socket = self.path("x.sock")

    def scrape(self, address=None, namespace=None):
        found = metrics.scrape(address or self.socket, namespace)
        found.assert_holds(self)
        return found

    def ready(self, path="/readyz", address=None):
        return metrics.get(address or self.socket, path)

    def wait_ready(self, live, address=None):
        meter.wait_for("the meter is ready", lambda: live.process.poll() is None and self.ready(address=address)[0] == 200)
        return live

    def metering(self, namespace, *arguments, **options):
        live = self.start(namespace, "--metrics", self.socket, *arguments, **options)
        return self.wait_ready(live.wait_attached())

    def send(self, namespace, count=1, source=A4, target=B4, port=9):
        with namespace.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind((source, 0))
            for _ in range(count):
                s.sendto(b"x", (target, port))
