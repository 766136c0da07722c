# SPDX-License-Identifier: BSD-3-Clause
"""The table for people, on pseudo-terminals of several widths and without a terminal."""
import fcntl
import os
import pty
import struct
import subprocess
import termios

import capture
import cases
import meter
import packets


class Table(cases.Case):
    def setUp(self):
        super().setUp()
        packet = packets.ipv6(17, packets.udp(b"z" * 1400, 40000, 443), "2001:db8:1:2:3:4:5:6", "2001:db8::53")
        frames = capture.conversation() + [(4 + i, packets.ethernet(packet, 0x86DD)) for i in range(100)]
        with open(self.path("x.pcap"), "wb") as file:
            file.write(capture.pcap(frames))

    def on_terminal(self, columns, lines, *arguments):
        """The lines that a terminal of this size gets on standard output."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))
        with open(self.path("log"), "wb") as log:
            done = subprocess.Popen([cases.meter_path, "-f", self.path("x.pcap"), *arguments], stdin=subprocess.DEVNULL,
                                    stdout=theirs, stderr=log, preexec_fn=meter.die_with_parent)
        os.close(theirs)
        data = b""
        while True:
            try:
                some = os.read(ours, 65536)
            except OSError:  # EIO: its end is closed
                break
            if not some:
                break
            data += some
        self.assertEqual(done.wait(timeout=60), 0)
        return data.decode("ascii").replace("\r\n", "\n").splitlines()

    def test_is_the_default_on_a_terminal(self):
        lines = self.on_terminal(100, 50)
        self.assertTrue(lines[0].startswith("TIME UTC PROTO  SOURCE"), lines)
        self.assertEqual(len(lines), 5)
        self.assertEqual(self.on_terminal(100, 50, "-c", self.path("x.csv")), [])
        self.assertIn("src_ip,", self.on_terminal(100, 50, "-c", "-")[0])

    def test_fits_every_width(self):
        for columns in (30, 40, 60, 79, 80, 96, 100, 120, 160, 250):
            with self.subTest(columns):
                lines = self.on_terminal(columns, 50)
                self.assertEqual(len(lines), 5, lines)
                self.assertLessEqual(max(map(len, lines)), columns, lines)
                self.assertEqual(len({len(line) for line in lines}), 1, "columns must be aligned")
                self.assertNotRegex("\n".join(lines), r"[^ -~\n]")

    def test_values(self):
        wide = self.on_terminal(160, 50)
        self.assertEqual(wide[0].split(), ["TIME", "UTC", "PROTO", "SOURCE", "DESTINATION", "DURATION", "PKTS>", "PKTS<",
                                           "BYTES>", "BYTES<"])
        self.assertEqual(wide[2].split(), ["00:00:02", "TCP", "192.0.2.1:4000", "192.0.2.2:80", "300", "ms", "2", "2",
                                           "113", "B", "108", "B"])
        # 100 packets of 14 + 40 + 8 + 1400 bytes in 99 s
        self.assertEqual(wide[4].split(), ["00:00:04", "UDP", "[2001:db8:1:2:3:4:5:6]:40000", "[2001:db8::53]:443", "1m",
                                           "39s", "100", "0", "146", "kB", "0", "B"])
        narrow = self.on_terminal(80, 50)
        self.assertEqual(narrow[2].split(), ["00:00:02", "TCP", "192.0.2.1:4000", "192.0.2.2:80", "300", "ms", "4",
                                             "221", "B"])
        self.assertIn("..", narrow[4], "an address that does not fit is cut in the middle")
        self.assertRegex(narrow[4], r"40000 \[?2001.*:443 ")

    def test_header_at_each_page(self):
        lines = self.on_terminal(100, 5)  # pages of 5 - 2 rows
        headers = [n for n, line in enumerate(lines) if line.startswith("TIME UTC")]
        self.assertEqual(headers, [0, 3], lines)

    def test_repeated_headers_are_no_rows(self):
        self.on_terminal(100, 5, "--on-full", "drop")
        with open(self.path("log"), encoding="utf-8") as log:
            self.assertIn("output -: rows=4 written=4 waiting=0 dropped=0\n", log.read())

    def test_without_a_terminal(self):
        done = meter.run("-f", self.path("x.pcap"), "--table")
        self.assertEqual(done.code, 0, done.err)
        lines = done.out.splitlines()
        self.assertEqual(len(lines), 5)
        self.assertIn(" [2001:db8:1:2:3:4:5:6]:40000 ", lines[4])
