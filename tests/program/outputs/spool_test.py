# SPDX-License-Identifier: BSD-3-Clause
"""The spool of a web service: what is kept when the server fails or the program is killed, what the next run sends, and
what others could leave in the directory."""
import collections
import datetime
import json
import os
import random
import signal
import subprocess
import threading
import time

import capture
import cases
import meter
from http_case import ENVIRONMENT, FAILED, OK, Http
from http_server import CUT, RESET, SILENT, Service

FULL = bool(os.environ.get("TEST_FULL"))  # set by scripts/test --full

SANITIZED = True


class SpoolCase(Http):
    def setUp(self):
        super().setUp()
        self.spool = self.path("spool")

    def files(self):
        return sorted(os.path.join(where, name) for where, _, names in os.walk(self.spool) for name in names)

    def send(self, service, pcap, *arguments, **options):
        return self.run_meter("-f", pcap, "-u", service.url(), "--spool", self.spool, *arguments, **options)


class Spool(SpoolCase):
    def test_next_run_sends_first_what_was_kept(self):
        service = Service(self, start=False)
        done = self.send(service, self.flows("x.pcap", 10))
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertTrue(any("10 rows wait in " + self.spool in each for each in done.warnings), done.err)
        self.assert_account(done, spooled=10)
        self.assertEqual(len(self.files()), 1)
        service.start()
        done = self.send(service, self.flows("y.pcap", 10, 1010))
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assert_each_once(service, 20)
        self.assertEqual(self.files(), [])

    def test_a_server_that_comes_and_goes(self):
        """Some rows per run, over runs that end in the middle. No row is sent again once it was acknowledged."""
        service = Service(self)
        for first, budget in ((1000, 5), (1010, 3), (1020, 14)):
            limit = len(service.requests) + budget
            service.plan = lambda n, limit=limit: 200 if n <= limit else (503 if n % 2 else CUT)
            done = self.send(service, self.flows("x.pcap", 10, first))
            self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertEqual(self.ports(service.acknowledged), list(range(1000, 1022)))
        service.plan = lambda n: 200
        done = self.send(service, self.flows("x.pcap", 1, 1030), "--url-batch", "3")
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assert_each_once(service, 31)
        self.assertEqual(self.files(), [])

    def test_refused_rows_of_this_and_an_earlier_run(self):
        service = Service(self, start=False)
        self.send(service, self.flows("x.pcap", 4))
        service.start()
        service.plan = lambda n: 400 if n in (2, 6, 7) else 200
        done = self.send(service, self.flows("y.pcap", 6, 1004))
        self.assertEqual((done.code, len(done.errors)), (FAILED, 1), done.err)
        self.assertIn("3 rows refused (HTTP 400: ok; 3 set aside in ", done.errors[0])
        self.assertEqual(self.ports(service.acknowledged), [1000, 1002, 1003, 1004, 1007, 1008, 1009])
        account = self.account(done)
        self.assertEqual([account[name] for name in ("rows", "written", "dropped", "sent", "refused", "spooled")],
                         [6, 6, 0, 7, 3, 0], done.err)
        self.assertEqual([os.path.basename(path) for path in self.files()], ["refused.ndjson"])

    def test_refusals_of_the_request_are_no_refusals_of_rows(self):
        """A wrong token, or a redirect: told once, the rows wait, and the next run sends them."""
        service = Service(self)
        for first, status in ((1000, 401), (1010, 403), (1020, 404), (1030, 405), (1040, 301), (1050, 307)):
            service.plan = lambda n, status=status: status
            done = self.send(service, self.flows("x.pcap", 10, first), "--url-batch", "100", "--drain", "2")
            self.assertEqual((done.code, done.errors, len(done.warnings)), (OK, [], 2), done.err)
            self.assertIn(f"HTTP {status}: ok; trying again", done.warnings[0])
            self.assert_account(done, rows=10, written=10, spooled=first - 990, sent=0)
        service.plan = lambda n: 200
        done = self.send(service, self.flows("x.pcap", 10, 1060), "--url-batch", "100")
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assert_each_once(service, 70)
        self.assertEqual(self.files(), [])

    def test_recovery_within_a_run(self):
        """Fails again and again while more rows come than the queue holds: all arrive, in order."""
        service = Service(self, lambda n: 503 if n in (2, 3, 6) else CUT if n == 9 else 200)
        done = self.send(service, self.flows("x.pcap", 6000), "--url-batch", "250", "--output-queue", "1")
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        # The next run sends what was left at the end.
        done = self.send(service, self.flows("y.pcap", 1, 60000), "--url-batch", "250")
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertEqual(self.ports(service.acknowledged), list(range(1000, 7000)) + [60000])
        self.assertEqual(self.files(), [])

    def test_killed(self):
        """After kill -9 files hold whole rows; the next run sends each once."""
        service = Service(self, start=False)
        process = subprocess.Popen([cases.meter_path, "-f", self.flows("x.pcap", 40000), "-u", service.url(), "--spool",
                                    self.spool, "--output-queue", "1"], stderr=subprocess.DEVNULL, env=ENVIRONMENT,
                                   preexec_fn=meter.die_with_parent)
        try:
            meter.wait_for("rows in the spool", lambda: len(self.files()) > 3 or process.poll() is not None)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        kept = []
        for name in self.files():
            if name.endswith(".ndjson"):
                with open(name, encoding="utf-8") as file:
                    text = file.read()
                self.assertTrue(text.endswith("}\n"), name)
                kept += [json.loads(line)["src_port"] for line in text.splitlines()]
        self.assertGreater(len(kept), 100)
        service.start()
        done = self.send(service, self.flows("y.pcap", 1, 60000), "--url-batch", "1000")
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertEqual(self.ports(service.acknowledged), kept + [60000])
        self.assertEqual(self.files(), [])

    def test_limit(self):
        service = Service(self, start=False)
        done = self.send(service, self.flows("x.pcap", 4000), "--spool-limit", "2", "--output-queue", "1")
        self.assertEqual(done.code, FAILED)
        self.assertTrue(any("--spool-limit" in each for each in done.errors), done.err)
        account = self.account(done)
        self.assertGreater(account["spooled"], 200)
        self.assertGreater(account["lost"], 200)
        self.assertEqual(account["spooled"] + account["lost"], 4000)
        self.assertLessEqual(sum(os.path.getsize(name) for name in self.files()), 2 << 20)

    def test_full_disk_is_said_once(self):
        if subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL, timeout=60).returncode != 0:
            self.skipTest("needs root to mount a tmpfs")
        os.mkdir(self.spool)
        service = Service(self, start=False)
        done = self.send(service, self.flows("x.pcap", 4000), prefix=(
            "unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=64k,mode=0700 none "$0" && exec "$@"', self.spool))
        self.assertEqual(done.code, FAILED)
        self.assertEqual(len(done.errors), 2, done.err)  # when it happens, and what became of the rows at the end
        for line in done.errors:
            self.assertIn("cannot write to the spool " + self.spool, line)
            self.assertIn("No space left", line)

    def test_a_spool_that_is_not_ours(self):
        """Reported at the start, not when the first rows must be kept."""
        if os.geteuid() != 0:
            self.skipTest("needs root to become another user")
        service = Service(self, start=False)
        pcap = self.flows("x.pcap", 3)
        done = self.send(service, pcap)
        self.assertEqual(done.code, OK, done.err)
        inner = os.path.dirname(self.files()[0])
        for path in [self.spool, inner]:
            os.chmod(path, 0o755)
        for path in self.files():
            os.chmod(path, 0o644)
        service.start()
        done = self.send(service, pcap, prefix=self.as_nobody())
        self.assertEqual((done.code, len(done.errors)), (FAILED, 1), done.err)
        self.assertIn(f"the spool {inner} must be writable", done.errors[0])
        self.assertEqual(service.requests, [])

    def test_what_others_could_have_changed(self):
        """One line says what to do, and nothing is sent or written."""
        service, precious = Service(self), self.path("precious")
        pcap = self.flows("x.pcap", 3)
        service.plan = lambda n: 503
        self.assertEqual(self.send(service, pcap).code, OK)
        service.plan = lambda n: 200
        requests = len(service.requests)
        [file] = self.files()
        inner = os.path.dirname(file)
        with open(file, encoding="utf-8") as kept:
            text = kept.read()
        with open(precious, "w", encoding="utf-8") as other:
            other.write(text)

        def plant(make):
            os.remove(file)
            make(precious, file)

        cases_ = [(lambda: os.chmod(self.spool, 0o770), "chmod go-w " + self.spool),
                  (lambda: os.chmod(inner, 0o702), "chmod go-w " + inner),
                  (lambda: os.chmod(self.directory, 0o757), "chmod o-w " + self.directory),
                  (lambda: os.chmod(file, 0o620), "chmod go-w " + file),
                  (lambda: plant(os.symlink), file + " is a symbolic link: remove it"),
                  (lambda: plant(os.link), file + " has another name (a hard link): remove it")]
        if os.geteuid() == 0:
            cases_ += [(lambda: os.chown(self.spool, 4242, 0), "belongs to user 4242: chown 0 " + self.spool),
                       (lambda: os.chown(inner, 4242, 0), "belongs to user 4242: chown 0 " + inner),
                       (lambda: os.chown(file, 4242, 0), file + " belongs to user 4242: remove it, or chown 0 " + file)]
        for change, words in cases_:
            with self.subTest(words):
                change()
                done = self.send(service, pcap)
                self.assertEqual((done.code, len(done.errors)), (FAILED, 1), done.err)
                self.assertIn(words, done.errors[0])
                self.assertEqual(len(service.requests), requests)
                if os.path.islink(file) or os.stat(file).st_nlink > 1:
                    os.remove(file)
                    with open(file, "w", encoding="utf-8") as kept:
                        kept.write(text)
                for path, mode in ((self.directory, 0o1777), (self.spool, 0o700), (inner, 0o700), (file, 0o600)):
                    os.chmod(path, mode)
                    os.chown(path, os.geteuid(), -1)
        with open(precious, encoding="utf-8") as other:
            self.assertEqual(other.read(), text)
        self.assertEqual(self.send(service, pcap).code, OK)
        self.assertEqual(len(service.acknowledged), 6)

    def test_a_spool_that_cannot_be_written_is_not_needed_by_a_server_that_is_fine(self):
        """A full file system: told once, and the rows are sent from memory."""
        if subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL, timeout=60).returncode != 0:
            self.skipTest("needs root to mount a tmpfs")
        os.mkdir(self.spool)
        service = Service(self)
        done = self.send(service, self.flows("x.pcap", 4000), "--url-batch", "500", "--output-queue", "1", prefix=(
            "unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=16k,mode=0700 none "$0" && exec "$@"', self.spool))
        self.assertEqual((done.code, len(done.errors)), (OK, 1), done.err)
        self.assertIn("No space left", done.errors[0])
        self.assert_each_once(service, 4000)

    def test_a_limit_that_is_reached_costs_no_rows_if_the_server_is_fine(self):
        service = Service(self)
        done = self.send(service, self.flows("x.pcap", 4000), "--url-batch", "100", "--spool-limit", "1",
                         "--output-queue", "4")
        self.assertEqual(done.code, OK, done.err)
        self.assert_each_once(service, 4000)
        self.assertEqual(self.files(), [])

    def test_one_process_at_a_time(self):
        service = Service(self, lambda n: SILENT)
        first = subprocess.Popen([cases.meter_path, "-f", self.flows("x.pcap", 3), "-u", service.url(), "--spool",
                                  self.spool], stderr=subprocess.DEVNULL, env=ENVIRONMENT,
                                 preexec_fn=meter.die_with_parent)
        try:
            meter.wait_for("a request", lambda: service.requests)
            done = self.send(service, self.path("x.pcap"))
        finally:
            first.kill()
            first.wait()
        self.assertEqual(done.code, FAILED)
        self.assertEqual(len(done.errors), 1)
        self.assertIn("in use by another process", done.errors[0])

    def test_rows_go_to_no_other_url(self):
        service = Service(self, start=False)
        self.send(service, self.flows("x.pcap", 3))
        other = Service(self)
        done = self.send(other, self.flows("y.pcap", 2, 2000))
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assert_each_once(other, 2, 2000)
        self.assertEqual(len(self.files()), 1)


class Feed:
    """Packets to the standard input of a meter, until the pipe breaks. Each ends the flow of the one before."""

    def __init__(self, pipe, first):
        self.pipe, self.next = pipe, first
        self.thread = threading.Thread(target=self.write, daemon=True)
        self.thread.start()

    def write(self):
        try:
            self.pipe.write(capture.pcap([]))
            while True:
                for _ in range(50):
                    self.pipe.write(capture.pcap_record(*packet(self.next)))
                    self.next += 1
                self.pipe.flush()
                time.sleep(0.01)
        except (BrokenPipeError, ValueError):
            pass

    def end(self):
        self.thread.join()
        try:
            self.pipe.close()
        except BrokenPipeError:
            pass


def packet(index):
    return 2 * index, capture.ethernet(capture.udp())


def index_of(row):
    return int(datetime.datetime.fromisoformat(row["timestamp"]).timestamp()) // 2


class Killed(SpoolCase):
    """kill -9 at random moments, again and again, with one spool and one server. Whatever the server does: the rows that it
    has acknowledged and those in the spool are together all rows up to a moment shortly before the kill. In particular
    those which a plain file had when it was looked at, at most 0.3 s before."""
    BATCH = 40
    KILLS = 25 if FULL else 2

    def kept(self):
        """The rows in the spool that are not acknowledged. The meter may rename the files meanwhile."""
        while True:
            try:
                rows = []
                for name in self.files():
                    if name.endswith(".ndjson"):
                        with open(name, "rb") as file:
                            text = file.read()[int(name.rsplit("-", 1)[1].removesuffix(".ndjson")):]
                        self.assertTrue(text == b"" or text.endswith(b"}\n"), name)
                        rows += [index_of(json.loads(line)) for line in text.splitlines()]
                return rows
            except FileNotFoundError:
                continue

    def acknowledged(self, service):
        with service.lock:
            return [index_of(row) for row in service.acknowledged]

    def written(self, path):
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as file:
            text = file.read()
        return [index_of(row) for row in meter.rows_of(text[:text.rfind("\n") + 1])]

    def options(self, service, batch=BATCH):
        return ("-u", service.url(), "--spool", self.spool, "--url-batch", str(batch), "--fields", "timestamp",
                "--idle-timeout", "1", "--url-timeout", "600")

    def kill_once(self, service, first, chance):
        """Returns the number of the first row that the next run has to write."""
        path = self.path("x.csv")
        if os.path.exists(path):
            os.remove(path)
        process = subprocess.Popen([cases.meter_path, "-f", "-", "-c", path, "--output-buffer", "4", "--spool-sync",
                                    chance.choice(("batch", "none")), *self.options(service)],
                                   stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT,
                                   preexec_fn=meter.die_with_parent)
        feed = Feed(process.stdin, first)
        try:
            meter.wait_for("rows", lambda: process.poll() is not None or len(self.written(path)) > 2000)
            self.assertIsNone(process.poll())
            seen = set(self.written(path))
            # In the spool first: what leaves it is acknowledged by then.
            meter.wait_for("the rows are safe", lambda: seen <= set(self.kept()) | set(self.acknowledged(service)))
            time.sleep(chance.uniform(0, 0.3))
        finally:
            process.kill()
            process.wait()
            feed.end()
        safe = set(self.kept()) | set(self.acknowledged(service))
        self.assertLessEqual(seen, safe)
        safe = {index for index in safe if index >= first}
        self.assertEqual(safe, set(range(first, first + len(safe))), "no row is missing between others")
        return first + len(safe)

    def check(self, plan):
        signal.alarm(600)
        seed = random.randrange(1 << 32)
        print(f"seed {seed}", flush=True)
        chance = random.Random(seed)
        service = Service(self)
        rows = 0
        for _ in range(self.KILLS):
            start = len(service.requests)
            service.plan = lambda n, start=start: plan(n - start)
            rows = self.kill_once(service, rows, chance)
        service.plan = lambda n: 200
        done = self.run_meter("-f", "-", *self.options(service, 1000), stdin=capture.pcap([packet(rows)]))
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertEqual(self.files(), [])
        times = collections.Counter(self.acknowledged(service))
        self.assertEqual(set(times), set(range(rows + 1)))
        again = [index for index, count in times.items() if count > 1]
        self.assertLessEqual(len(again), self.KILLS * self.BATCH, "a kill repeats one request")
        self.assertLessEqual(max(times.values()), 1 + self.KILLS)

    def test_a_server_that_is_fine(self):
        self.check(lambda n: 200)

    def test_a_server_that_hangs(self):
        self.check(lambda n: 200 if n < 4 else SILENT)

    def test_a_server_that_is_overloaded(self):
        self.check(lambda n: 200 if n % 7 < 3 else 503)

    def test_a_server_that_resets(self):
        self.check(lambda n: 200 if n % 9 < 5 else RESET)
