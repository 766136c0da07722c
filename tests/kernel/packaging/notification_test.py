# SPDX-License-Identifier: BSD-3-Clause
"""What the program tells a service manager: that it meters, that it lives, that it ends. The test plays that part. Needs root."""
import contextlib
import os
import signal
import socket
import time

import cases
import meter
import namespaces

# Flows whose rows are longer than 1 MiB.
FLOWS = r"""
import socket
for first in range(0, 8000, 100):
    for port in range(first + 20000, first + 20100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind(("127.0.0.1", port))
            one.sendto(b"flow", ("127.0.0.1", 9))
"""


class Notification(cases.Case):
    def setUp(self):
        super().setUp()
        missing = namespaces.missing_here()
        if missing:
            self.skipTest(missing)
        self.namespace = namespaces.Namespace(self, "a")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.bind(self.path("notify"))
        self.socket.settimeout(30)

    def start(self, interface, *arguments, **variables):
        return meter.Meter(self, "live", "-i", interface, *arguments, prefix=self.namespace.enter,
                           env={**os.environ, "NOTIFY_SOCKET": self.path("notify"), **variables})

    def told(self, seconds):
        """What is said within this time."""
        end = time.monotonic() + seconds
        with contextlib.suppress(TimeoutError):
            while (left := end - time.monotonic()) > 0:
                self.socket.settimeout(left)
                yield self.socket.recv(1000)

    def test_it_is_ready_when_attached_and_says_that_it_stops(self):
        live = self.start("lo")
        self.assertEqual(self.socket.recv(1000), b"READY=1\nSTATUS=metering lo")
        self.assertIn(": metering lo", live.err())
        live.stop_clean(signal.SIGTERM)
        self.assertEqual(self.socket.recv(1000), b"STOPPING=1\nSTATUS=writing the open flows")
        self.socket.setblocking(False)
        self.assertRaises(BlockingIOError, self.socket.recv, 1000)

    def test_it_is_never_ready_when_it_cannot_meter(self):
        self.assertEqual(self.start("none0").wait().code, 1)
        self.socket.setblocking(False)
        self.assertRaises(BlockingIOError, self.socket.recv, 1000)

    def test_it_is_alive_while_it_meters(self):
        live = self.start("lo", WATCHDOG_USEC="400000")
        meter.wait_for("READY=1", lambda: self.socket.recv(1000).startswith(b"READY=1"))
        for _ in range(5):
            self.assertEqual(self.socket.recv(1000), b"WATCHDOG=1")
        # One that hangs does not say that it lives.
        live.process.send_signal(signal.SIGSTOP)
        list(self.told(0.2))
        self.assertEqual(list(self.told(1)), [])
        live.process.send_signal(signal.SIGCONT)
        self.assertEqual(list(self.told(1))[:1], [b"WATCHDOG=1"])
        live.stop_clean(signal.SIGTERM)

    def test_it_is_alive_while_an_output_does_not_take_rows(self):
        """With `block` the run then stands still, on purpose."""
        live = self.start("lo", "-u", "http://127.0.0.1:9", "--on-full", "block", "--output-queue", "1", "--idle-timeout", "0.5",
                          "--output-retry", "600", WATCHDOG_USEC="4000000")
        live.wait_attached()
        self.namespace.run("python3", "-c", FLOWS)

        def stands_still():
            before = live.err()
            live.process.send_signal(signal.SIGUSR1)
            list(self.told(1))
            return live.err() == before

        meter.wait_for("a full queue", stands_still)
        self.assertGreaterEqual(len(list(self.told(5))), 3)
        live.process.kill()
        live.process.wait()

    def test_whom_the_manager_watches_may_be_another(self):
        live = self.start("lo", WATCHDOG_USEC="400000", WATCHDOG_PID="1")
        live.wait_attached()
        self.assertEqual([lines for lines in self.told(1) if b"WATCHDOG" in lines], [])
        live.stop_clean(signal.SIGTERM)

    def test_it_meters_on_when_nobody_listens(self):
        self.socket.close()
        os.unlink(self.path("notify"))
        live = self.start("lo").wait_attached()
        done = live.stop_clean(signal.SIGTERM)
        self.assertEqual(len(done.warnings), 2, done.err)
        self.assertIn(self.path("notify"), done.warnings[0])
