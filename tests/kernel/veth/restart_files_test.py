# SPDX-License-Identifier: BSD-3-Clause
"""--pin: the same command line after a kill goes on with its files. The rows of all runs are in them, each once."""
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import http_server
import meter
import restart_test
from namespaces import A4, B4


class Files(restart_test.Pinned):
    def read(self, name):
        with open(self.path(name), "rb") as file:
            data = file.read()
        if name.endswith(".gz"):
            data = gzip.decompress(data)
        if name.endswith(".zst"):
            data = subprocess.run(["zstd", "-dcq"], input=data, check=True, capture_output=True, timeout=60).stdout
        return data.decode()

    def rows(self, start):
        """The rows of all complete files with such names."""
        rows = []
        for name in sorted(os.listdir(self.directory)):
            if not name.startswith(start):
                continue
            self.assertFalse(name.endswith(".part"), name)
            text = self.read(name)
            self.assertTrue(text.endswith("\n"), name)
            rows += map(json.loads, text.splitlines()) if ".json" in name else meter.rows_of(text)
        return rows

    def run_outputs(self, name, *arguments):
        return self.pinned(name, "--idle-timeout", "0.2", *arguments).wait_attached()

    def send(self, first_port, count=20):
        for port in range(first_port, first_port + count):
            self.udp(self.pair.a, A4, port, (B4, 9)).send(b"x")

    def ports(self, rows):
        return sorted(int(row["src_port"]) for row in rows if 20000 <= int(row["src_port"]) < 30000)

    def goes_on(self, starts, *arguments):
        """Killed twice when its rows are written, stopped once, and ended. starts: of the names of its files."""
        names = [self.path(argument) if "." in argument and not argument[0].isdigit() else argument
                 for argument in arguments]
        sent = 0
        for number in range(4):
            live = self.run_outputs(f"run-{number}", *names, *(("--unpin",) if number == 3 else ()))
            if number in (1, 2) or number == 3 and "--rotate" not in names:
                meter.wait_for("it goes on", lambda live=live: live.err().count("appending to") == len(starts))
            self.send(20000 + sent)
            sent += 20
            meter.wait_for("its rows", lambda live=live: self.written(live) >= 20)
            if number < 2:
                self.kill(live)
            elif number == 2:
                self.stop(live)
        done = live.stop()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        for start in starts:
            self.assertEqual(self.ports(self.rows(start)), list(range(20000, 20000 + sent)), start)

    def written(self, live):
        """The least number of rows that an output of this run has written."""
        time.sleep(0.3)  # lines that repeat too often are suppressed
        before = live.err().count(": rows=")
        live.process.send_signal(signal.SIGUSR1)
        meter.wait_for("the account so far", lambda: live.err().count(": rows=") > before)
        newest = dict(re.findall(r"info: output (\S+): rows=\d+ written=(\d+)", live.err()))
        return min(map(int, newest.values()))

    def test_plain(self):
        self.goes_on(("x.csv", "x.json"), "-c", "x.csv", "--json", "x.json")

    def test_compressed(self):
        if not shutil.which("zstd"):
            self.skipTest("needs zstd to unpack")
        self.goes_on(("x.csv", "x.json"), "-c", "x.csv.zst", "--json", "x.json.gz")

    def test_rotated(self):
        self.goes_on(("x-", "y-"), "-c", "x.csv", "--json", "y.json.gz", "--rotate", "1h")

    def each_once(self, starts, *arguments):
        """Killed while rows are written: what follows the last commit is cut, and comes again with the same ids."""
        names = [self.path(argument) if "." in argument and not argument[0].isdigit() else argument
                 for argument in arguments]
        arguments, stop, sent, lives, before_kill = (*names, "--fleet"), threading.Event(), [], [], {}

        def send():
            for port in range(20000, 29000):
                if stop.is_set():
                    return
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    client.setsockopt(socket.SOL_SOCKET, 25, b"veth0")  # SO_BINDTODEVICE
                    client.bind((A4, port))
                    client.sendto(b"x", (B4, 9))
                sent.append(port)
                time.sleep(0.0003)

        lives.append(live := self.run_outputs("run-0", *arguments))
        with self.pair.a.inside():
            thread = threading.Thread(target=send)
            thread.start()
        try:
            for number in range(1, 6):
                before = len(sent)
                meter.wait_for("more flows", lambda before=before: len(sent) > before + 400)
                self.kill(live)
                if os.path.exists(self.path("x.json")):
                    before_kill |= self.ids(self.whole_objects("x.json"))
                lives.append(live := self.run_outputs(f"run-{number}", *arguments, *(("--unpin",) if number == 5 else ())))
        finally:
            stop.set()
            thread.join()
        done = live.stop()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        for start in starts:
            self.assertEqual(self.ports(self.rows(start)), sent, start)
            ids = self.ids(self.rows(start))
            self.assertEqual(len(set(ids.values())), len(sent), start)
            self.assertLessEqual(before_kill.items(), ids.items(), "rows that were made again have the same ids")
        return lives

    def whole_objects(self, name):
        """The rows of a file whose end may be missing."""
        return [json.loads(line) for line in self.read(name).splitlines(keepends=True) if line.endswith("\n")]

    def ids(self, rows):
        return {int(row["src_port"]): row["flow_id"] for row in rows if 20000 <= int(row["src_port"]) < 30000}

    def test_each_once_plain(self):
        self.each_once(("x.csv", "x.json"), "-c", "x.csv", "--json", "x.json")

    def test_each_once_compressed(self):
        lives = self.each_once(("x.csv", "x.json"), "-c", "x.csv.gz", "--json", "x.json")
        again = [live for live in lives if re.search(r"x\.json: cut .* they come again", live.err())]
        self.assertNotEqual(again, [], "commits are a fifth of a second apart, so some kill came between")

    def test_each_once_rotated(self):
        self.each_once(("x-", "y-"), "-c", "x.csv", "--json", "y.json.gz", "--rotate", "20KB")

    def test_time_ends_a_file_without_more_rows(self):
        for number, more in enumerate(((), ("--print",))):
            with self.subTest(more):
                name, first = f"rows-{number}", 20000 + 20 * number
                live = self.run_outputs(f"quiet-{number}", "-c", self.path(name + ".csv"), "--rotate", "1s", "--unpin", *more)
                self.send(first)
                meter.wait_for("its rows", lambda live=live: self.written(live) >= 20)
                meter.wait_for("the end of the file", lambda name=name: [
                    each for each in os.listdir(self.directory) if re.fullmatch(name + "-.*csv", each)], 30)
                self.assertEqual(live.stop().code, 0)
                self.assertEqual(self.ports(self.rows(name)), list(range(first, first + 20)))

    def test_a_dead_server_stops_nothing_else(self):
        """Without a spool its rows would not outlive the program, so they neither hold up a commit nor the file."""
        with self.pair.a.inside():  # for its listening socket; its threads need not be inside
            service = http_server.Service(self, lambda number: http_server.SILENT)
        live = self.pinned("live", "--idle-timeout", "0.3", "-u", service.url(), "--output-queue", "1", "--drain", "0.1",
                           "--unpin").wait_attached()
        count = 2000  # more than the queue has room for
        for first in range(0, count, 500):
            self.send(20_000 + first, 500)
            meter.wait_for("their rows", lambda last=first + 500: len(live.rows()) >= last)
        done = live.stop()
        self.assertEqual(done.code, 1, done.err)
        self.assertRegex(done.err, r"output http://.* rows=\d+ written=0 waiting=0 dropped=\d{4}")
        self.assertEqual(meter.packets_in(live.rows()), done.account["metered"], done.err)

    def ends_whole(self, *arguments):
        """An output that commits only now and then, and more flows than there is room for answers of the kernel."""
        live = self.pinned("live", "--idle-timeout", "60", "--max-flows", "60000", *arguments, "-c", self.path("flows.csv.gz"),
                           "--unpin").wait_attached()
        sender = self.udp(self.pair.a, A4, 20_000)
        for _ in range(2):
            for port in range(1, 13_000):
                sender.sendto(b"x", (B4, port))
        self.pair.wait_quiet()
        done = live.stop()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        self.assertEqual((done.account["in_rows"], done.account["lost"]), (done.account["metered"], 0), done.err)
        self.assertEqual(meter.packets_in(self.rows("flows")), done.account["metered"])

    def test_answers_wait_for_a_commit(self):
        self.ends_whole()

    def test_answers_wait_for_a_commit_datapath_kernel(self):
        self.ends_whole("--datapath", "kernel")

    def test_rows_that_another_run_adds_after_an_end(self):
        """Nothing that follows the rows of a run that has ended in order is cut."""
        for base, name in ((20_000, "flows.csv"), (21_000, "flows.csv.gz")):
            with self.subTest(name):
                path = self.path(name)
                first = self.run_outputs("first", "-c", path)
                self.send(base)
                meter.wait_for("its rows", lambda live=first: self.written(live) >= 20)
                self.stop(first)
                other = self.start(self.pair.a, "--pin", self.pins + "-other", "--state-dir", self.state, "--idle-timeout", "0.2",
                                   "-c", path, "--unpin", name="other").wait_attached()
                self.send(base + 20)
                meter.wait_for("its rows", lambda live=other: self.written(live) >= 20)
                self.assertEqual(other.stop().code, 0, other.err())
                self.kill(self.run_outputs("killed", "-c", path))  # before it has any rows
                last = self.run_outputs("last", "-c", path, "--unpin")
                self.send(base + 40)
                meter.wait_for("its rows", lambda live=last: self.written(live) >= 20)
                self.assertEqual(last.stop().code, 0, last.err())
                self.assertGreaterEqual(set(self.ports(self.rows(name))), set(range(base, base + 60)))
                os.remove(path)

    def test_a_reader_that_dies(self):
        """Without a limit on its time, the reader of a pipe is the only one that can end the run."""
        path = self.path("pipe")
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        live = self.pinned("live", "--idle-timeout", "0.2", "-c", path, "--on-full", "block", "--unpin").wait_attached()
        os.close(reader)
        self.send(20_000)
        done = live.wait()
        self.assertEqual(done.code, 1, done.err)
        self.assertIn("Broken pipe", done.err)
