# SPDX-License-Identifier: BSD-3-Clause
"""Live: one line per finished flow on standard error, and the default file of realtime97. The lines are the default on
a terminal, need --print elsewhere, and never come with --quiet. Needs root; makes and removes its own network
namespaces."""
import os
import re
import signal
import struct
import subprocess
import threading
import time

import cases
import live_cases
import meter
from namespaces import A4, B4

DNS_QUERY = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + b"\x07example\x03com\0" + struct.pack(">2H", 28, 1)
LINE = re.compile(r"^\d\d:\d\d:\d\d\.\d\d\d UDP " + re.escape(f"{A4}:4000 > {B4}:53") +
                  r" [\d.e-]+ s, 2/0 packets, 142/0 bytes, DNS q28$", re.M)
SUMMARY = re.compile(r": info: flows written (\d+), open (\d+), packets seen (\d+), dropped (\d+)$", re.M)


class Printed(live_cases.Live):
    def setUp(self):
        super().setUp()
        self.here = self.pair()
        self.said = bytearray()

    def begin(self, *arguments, terminal=False):
        """Starts the program in the directory of the case, with a terminal or a pipe as standard error."""
        read, write = os.openpty() if terminal else os.pipe()
        self.addCleanup(os.close, read)
        process = subprocess.Popen([*self.here.a.enter, cases.meter_path, "-i", "veth0", "-v", *arguments], stderr=write,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=self.directory,
                                   preexec_fn=meter.die_with_parent)
        os.close(write)

        def listen():
            try:
                while data := os.read(read, 4096):
                    self.said.extend(data)
            except OSError:  # a terminal whose other end is gone
                pass

        listener = threading.Thread(target=listen)
        listener.start()

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
            listener.join()

        self.addCleanup(end)
        self.listener = listener
        return process

    def text(self):
        return self.said.decode().replace("\r\n", "\n")

    def talk(self):
        s = self.udp(self.here.a, A4, 4000, (B4, 53))
        s.send(DNS_QUERY)
        s.send(DNS_QUERY)

    def wait_attached(self):
        meter.wait_for("programs at veth0", lambda: ": metering " in self.text())

    def stop(self, process):
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), 0, self.text())
        self.listener.join()
        return self.text()

    def rows(self):
        path = self.path("output/live_flow_features.csv")
        with open(path, encoding="utf-8") as file:
            return [row for row in meter.rows_of(file.read()) if row["Dst Port"] == "53"]

    def test_terminal(self):
        process = self.begin("--features", "realtime97", "--idle-timeout", "1", terminal=True)
        self.wait_attached()
        self.talk()
        meter.wait_for("the flow's line", lambda: LINE.search(self.text()))
        meter.wait_for("the flow's row in the file", self.rows)
        said = self.stop(process)
        self.assertEqual(len(LINE.findall(said)), 1, said)
        self.assertIn("output/live_flow_features.csv", said)
        written, still_open, seen, dropped = map(int, SUMMARY.findall(said)[-1])
        self.assertEqual((still_open, dropped), (0, 0))
        self.assertEqual(seen, meter.account_of(said)["seen"])
        self.assertEqual(written, meter.account_of(said)["flows"])
        (row,) = self.rows()
        self.assertEqual((row["DNS Query Count"], row["Total Fwd Packets"]), ("2", "2"))

    def said_of_one_flow(self, *arguments, terminal=False):
        process = self.begin(*arguments, terminal=terminal)
        self.wait_attached()
        self.talk()
        time.sleep(0.3)
        return self.stop(process)

    def test_not_on_a_terminal(self):
        said = self.said_of_one_flow("--features", "realtime97")
        self.assertNotIn("UDP", said)
        self.assertNotRegex(said, SUMMARY)
        self.assertEqual(len(self.rows()), 1)

    def test_asked_for(self):
        said = self.said_of_one_flow("--features", "realtime97", "--print")
        self.assertRegex(said, LINE)
        self.assertRegex(said, SUMMARY)

    def test_other_set(self):
        """This set does not look into payload."""
        self.assertRegex(self.said_of_one_flow("-c", "x.csv", "--print"), "UDP .* 2/0 packets, 142/0 bytes\n")

    def test_other_set_on_a_terminal(self):
        self.assertNotIn("UDP", self.said_of_one_flow("-c", "x.csv", terminal=True))

    def test_quiet(self):
        said = self.said_of_one_flow("--features", "realtime97", "--quiet", terminal=True)
        self.assertNotIn("UDP", said)
        self.assertNotRegex(said, SUMMARY)
