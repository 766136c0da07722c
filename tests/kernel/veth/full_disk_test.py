# SPDX-License-Identifier: BSD-3-Clause
"""Live runs whose disk is full for a while, or until the end: a tiny tmpfs in a mount namespace of the meter. Needs
root; makes and removes its own namespaces."""
import gzip
import json
import os
import re
import signal
import socket
import time

import live_cases
import meter
from namespaces import A4, B4


class FullDisk(live_cases.Live):
    SIZE = 8 << 20  # more than the rows need

    def setUp(self):
        super().setUp()
        self.network = self.pair()

    def start_on_disk(self, *arguments):
        """The meter's files are on the tmpfs, which this process sees through an open directory, also after the end."""
        disk = self.path("disk")
        os.mkdir(disk)
        script = f'mount -t tmpfs -o size={self.SIZE} none "$0" && exec "$@"'
        live = self.start(self.network.a, "--idle-timeout", "0.2", *(
            disk + argument if argument.startswith("/") else argument for argument in arguments),
            prefix=("unshare", "-m", "sh", "-c", script, disk)).wait_attached()
        self.disk = os.open(f"/proc/{live.process.pid}/root{disk}", os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, self.disk)
        return live

    def fill(self):
        with os.fdopen(os.open("fill", os.O_CREAT | os.O_WRONLY, dir_fd=self.disk), "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass

    def free(self):
        os.unlink("fill", dir_fd=self.disk)

    def send(self, first_port, count):
        """One flow per port."""
        with self.network.a.inside():
            sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
            for number, each in enumerate(sockets):
                each.bind((A4, first_port + number))
        for each in sockets:
            each.sendto(b"x", (B4, 9))
            each.close()

    def read(self, name):
        with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=self.disk), "rb") as file:
            data = file.read()
        return (gzip.decompress(data) if ".gz" in name else data).decode()

    def names(self, start):
        return sorted(name for name in os.listdir(self.disk) if name.startswith(start))

    def rows(self, start):
        """The rows of the files with such names, all of them complete."""
        rows = []
        for name in self.names(start):
            self.assertFalse(name.endswith(".part"), name)
            text = self.read(name)
            self.assertTrue(text.endswith("\n"), name)
            rows += map(json.loads, text.splitlines()) if ".json" in name else meter.rows_of(text)
        return rows

    def ports(self, rows):
        return sorted(int(row["src_port"]) for row in rows if 20000 <= int(row["src_port"]) < 30000)

    def accounts(self, err):
        return {os.path.basename(name): {key: int(value) for key, value in re.findall(r" (\w+)=(\d+)", rest)}
                for name, rest in re.findall(r"info: output (\S+):((?: \w+=\d+)+)$", err, re.M)}

    def waits_for_space(self, files, *arguments):
        live = self.start_on_disk(*arguments)
        self.send(20000, 100)
        meter.wait_for("some rows", lambda: any(os.stat(name, dir_fd=self.disk).st_size > 2000
                                                for name in os.listdir(self.disk)) or "gz" in files[0])
        self.fill()
        for first in range(20100, 21300, 300):
            self.send(first, 300)
            meter.wait_for("they have ended", lambda first=first: self.seen(live) >= first + 300 - 20000)
        meter.wait_for("the full disk is noticed", lambda: live.err().count("trying again") >= len(files))
        account = self.accounts(live.err())
        self.assertTrue(all(each["waiting"] > 0 and each["dropped"] == 0 for each in account.values()), live.err())
        self.free()
        meter.wait_for("it is written again", lambda: live.err().count("writes again after") >= len(files))

        self.send(21300, 50)
        done = live.stop()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        for name in files:
            self.assertEqual(self.ports(self.rows(name)), list(range(20000, 21350)), name)
        for account in self.accounts(done.err).values():
            self.assertEqual((account["rows"], account["waiting"], account["dropped"]), (account["written"], 0, 0))

    def seen(self, live):
        """The number of flows that have ended: those of the account so far."""
        time.sleep(0.2)  # lines that repeat too often are suppressed
        before = live.err().count(" flows=")
        live.process.send_signal(signal.SIGUSR1)
        meter.wait_for("the account so far", lambda: live.err().count(" flows=") > before)
        return int(re.findall(r" flows=(\d+)", live.err())[-1])

    def test_plain(self):
        self.waits_for_space(("live.csv", "live.json"), "-c", "/live.csv", "--json", "/live.json")

    def test_rotated(self):
        self.waits_for_space(("live-",), "-c", "/live.csv", "--rotate", "100KB")

    def test_compat(self):
        """The rows of another program wait as well."""
        live = self.start_on_disk("-c", "/live.csv", "--compat", "python", "--drain", "60")
        self.fill()
        for first in range(20000, 21200, 300):
            self.send(first, 300)
        live.process.send_signal(signal.SIGTERM)
        meter.wait_for("the full disk is noticed", lambda: "trying again" in live.err())
        self.free()
        done = live.wait()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        self.assertEqual(self.ports(self.rows("live.csv")), list(range(20000, 21200)))
        account = self.accounts(done.err)["live.csv"]
        self.assertEqual((account["rows"], account["waiting"], account["dropped"]), (account["written"], 0, 0))

    def test_until_the_end(self):
        """Rows are tried for --drain seconds; then they are lost, which is told. The file has whole rows."""
        live = self.start_on_disk("-c", "/live.csv", "--drain", "0.5")
        self.send(20000, 100)
        meter.wait_for("some rows", lambda: os.stat("live.csv", dir_fd=self.disk).st_size > 2000)
        self.fill()
        self.send(20100, 300)
        meter.wait_for("the full disk is noticed", lambda: "trying again" in live.err())
        done = live.stop()
        self.assertEqual((done.code, len(done.errors)), (1, 1), done.err)
        self.assertRegex(done.errors[0], r"/live.csv \(\d+ rows are in it, \d+ are lost\): No space left on device")
        rows = self.rows("live.csv")
        account = self.accounts(done.err)["live.csv"]
        self.assertEqual((account["written"], account["waiting"]), (len(rows), 0), done.err)
        self.assertEqual(account["rows"], account["written"] + account["dropped"])
        self.assertEqual(len(set(self.ports(rows))), len(self.ports(rows)), "none twice")

    def test_more_than_may_wait(self):
        """Rows are dropped and counted beyond --output-queue; the meter goes on."""
        live = self.start_on_disk("-c", "/live.csv", "--output-queue", "1", "--fields", "src_ip,src_port," + ",".join(
            ["flow_duration", "timestamp", "flow_pkts_s", "pkt_len_mean", "fwd_iat_mean"]), "--label", "x" * 1500)
        self.fill()
        for first in range(20000, 21200, 300):
            self.send(first, 300)
            meter.wait_for("they have ended", lambda first=first: self.seen(live) >= first + 300 - 20000)
        self.assertIn("rows are dropped", live.err())
        self.free()
        meter.wait_for("it is written again", lambda: "writes again after" in live.err())
        done = live.stop()
        self.assertEqual((done.code, len(done.errors)), (1, 1), done.err)
        self.assertIn("rows were dropped", done.errors[0])
        account = self.accounts(done.err)["live.csv"]
        self.assertGreater(account["dropped"], 0)
        self.assertEqual(account["rows"], account["written"] + account["dropped"], account)
        self.assertEqual(len(self.rows("live.csv")), account["written"])
