# SPDX-License-Identifier: BSD-3-Clause
"""The unit of a node, with its whole sandbox, under the separate systemd of systemd_test.py. Needs root."""
import os
import re

import meter
import systemd_test


class NodeUnit(systemd_test.BootedCase):
    template = unit = systemd_test.NODE
    state = "/var/lib/private/flowmeter-ebpf/node"
    changes = (("WatchdogSec=60s", "WatchdogSec=2s"), ("TimeoutAbortSec=5s", "TimeoutAbortSec=1s"))

    def set_options(self, *lines):
        self.inside("sh", "-c", 'printf "%s\\n" "$@" > /etc/default/flowmeter-ebpf-node', "sh", "METER_INTERFACES=-i fm-*", *lines)

    def all_rows(self):
        rows = []
        for name in self.files():
            self.assertRegex(name, r"^flows-\d{8}T\d{6}Z-\d{6}\.csv\.zst$")
            rows += meter.rows_of(self.inside("zstd", "-dcq", os.path.join(self.state, name)))
        return [row for row in rows if row["dst_port"] == "4242"]

    def started(self):
        self.systemctl("start", self.unit)
        state, status = self.shown("ActiveState", "StatusText")
        self.assertEqual((state, status), ("active", "metering fm-0"), self.log())

    def stopped(self):
        self.systemctl("stop", self.unit)
        self.assertEqual(self.shown("Result", "ExecMainStatus"), ["success", "0"], self.log())
        self.assertEqual(self.inside("ls", "/sys/fs/bpf/flowmeter-ebpf"), "")

    def test_a_restart_and_a_hang_lose_nothing(self):
        self.set_options("METER_OPTIONS=--quality --idle-timeout 1")
        self.started()
        traffic = systemd_test.Traffic(self)
        self.wait_traffic()
        self.systemctl("restart", self.unit)
        self.wait_traffic()
        self.systemctl("kill", "--signal=STOP", self.unit)
        meter.wait_for("the watchdog", lambda: self.shown("ActiveState", "NRestarts") == ["active", "1"])
        self.wait_traffic()
        packets, _, _ = traffic.end()
        self.stopped()
        rows = self.all_rows()
        self.assertEqual(meter.packets_in(rows), packets, self.log())
        self.assertEqual(len({row["src_port"] for row in rows}), len(rows), "a flow has one row")
        self.assertIn("src_container_id", rows[0])

    def test_old_files_are_removed(self):
        self.set_options("METER_ROTATION=--rotate 1s --keep 2", "METER_OPTIONS=--idle-timeout 0.5")
        self.started()
        traffic = systemd_test.Traffic(self)
        begun = self.complete()

        def newer():
            """A file that the first two to end are older than."""
            now = self.complete()
            begun.update(now)
            return len(begun) >= 5 and len(now) <= 2

        meter.wait_for("files that are removed", newer)
        traffic.end()
        self.stopped()
        self.assertLessEqual(len(self.files()), 2)

    def complete(self):
        return {name for name in self.files() if re.search(r"\.zst$", name)}

    def test_an_output_that_is_slow_to_end_is_no_hang(self):
        """A stop waits for --drain seconds, longer than the watchdog."""
        self.set_options("METER_OPTIONS=-u http://127.0.0.1:9 --drain 5", "METER_PIN=")
        self.started()
        self.send(3)
        self.systemctl("stop", self.unit)
        self.assertEqual(self.shown("Result", "ExecMainCode", "ExecMainStatus"), ["exit-code", "1", "1"], self.log())
        self.assertIn("http://127.0.0.1:9", self.log())

    def wait_traffic(self):
        until = self.seen() + 1000
        meter.wait_for("traffic", lambda: self.seen() >= until)

    def seen(self):
        return int(self.inside("cat", "/sys/class/net/fm-0/statistics/tx_packets"))
