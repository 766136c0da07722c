# SPDX-License-Identifier: BSD-3-Clause
"""Flows sent to a real HTTP or HTTPS server that refuses, delays, fails and recovers: what arrives, how often, in which
order, and what the program says."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

import capture
import cases
import http_server
import meter
from http_server import CUT, CUT_ANSWER, LATE, SILENT, Service

OK, FAILED, USAGE = 0, 1, 2
# Without the machine's proxy settings, because the server is on the loopback interface.
ENVIRONMENT = {**{k: v for k, v in os.environ.items() if "proxy" not in k.lower()}, "no_proxy": "*"}


class Http(cases.Case):
    def flows(self, name, count, first_port=1000):
        """A capture of this many flows, which differ in src_port."""
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(capture.pcap([(1 + i / 1000, capture.ethernet(
                capture.udp(ports=(first_port + i % 50000, 53 + i // 50000)))) for i in range(count)]))
        return path

    def run_meter(self, *arguments, **options):
        return meter.run(*arguments, **{"env": ENVIRONMENT, **options})

    def account(self, done):
        line = [line for line in done.err.splitlines() if "info: output http" in line]
        self.assertEqual(len(line), 1, done.err)
        return {name: int(number) for name, number in re.findall(r" (\w+)=(\d+)", line[0])}

    def assert_account(self, done, **expected):
        account = self.account(done)
        for name, number in {"dropped": 0, "refused": 0, "lost": 0, "spooled": 0, **expected}.items():
            self.assertEqual(account[name], number, f"{name}: {done.err}")

    def ports(self, rows):
        return [row["src_port"] for row in rows]

    def assert_each_once(self, service, count, first_port=1000):
        """Every row is acknowledged, once and in order."""
        self.assertEqual(self.ports(service.acknowledged), list(range(first_port, first_port + count)))


class Delivery(Http):
    def test_one_object_per_flow(self):
        service = Service(self)
        done = self.run_meter("-f", self.flows("x.pcap", 20), "-u", service.url(), "--json", self.path("x.json"))
        self.assertEqual((done.code, done.errors, done.warnings), (OK, [], []), done.err)
        with open(self.path("x.json"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual([request.body.decode() for request in service.requests], lines)
        self.assertEqual(len(lines), 20)
        self.assertIsInstance(json.loads(service.requests[0].body), dict)
        self.assertEqual({request.path for request in service.requests}, {"/flows"})
        self.assertEqual({request.headers["Content-Type"] for request in service.requests}, {"application/json"})
        self.assertEqual(len({request.connection for request in service.requests}), 1, "the connection is kept")
        self.assert_account(done, rows=20, sent=20)

    def test_batches_are_arrays(self):
        service = Service(self)
        done = self.run_meter("-f", self.flows("x.pcap", 20), "-u", service.url(), "--url-batch", "8")
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertEqual([len(json.loads(request.body)) for request in service.requests], [8, 8, 4])
        self.assert_each_once(service, 20)

    def test_two_servers_and_files(self):
        one, two = Service(self), Service(self)
        done = self.run_meter("-f", self.flows("x.pcap", 20), "-u", one.url(), "-u", two.url(), "-c", self.path("x.csv"))
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assert_each_once(one, 20)
        self.assert_each_once(two, 20)
        with open(self.path("x.csv"), encoding="utf-8") as file:
            self.assertEqual(len(meter.rows_of(file.read())), 20)

    def test_many(self):
        """Many times what the queue holds: replay waits for the server."""
        service = Service(self)
        done = self.run_meter("-f", self.flows("x.pcap", 4000), "-u", service.url(), "--url-batch", "500",
                              "--output-queue", "1")
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assert_each_once(service, 4000)


class Failures(Http):
    def test_recovers_from_each_failure(self):
        for failure in (500, 503, 408, 429, CUT, LATE, SILENT):
            with self.subTest(failure):
                service = Service(self, lambda n, failure=failure: failure if n == 3 else 200)
                done = self.run_meter("-f", self.flows("x.pcap", 6), "-u", service.url(), "--url-timeout", "0.5")
                self.assertEqual((done.code, done.errors), (OK, []), done.err)
                self.assert_each_once(service, 6)
                self.assertEqual(len(service.requests), 7)
                self.assertEqual(service.requests[2].body, service.requests[3].body)
                # A kept connection that the server has closed is opened again without a warning.
                if failure != CUT:
                    self.assertEqual(len(done.warnings), 1, done.err)
                    self.assertIn("answers again", done.err)
                service.stop()

    def test_pauses_grow(self):
        service = Service(self, lambda n: 503 if n <= 4 else 200)
        done = self.run_meter("-f", self.flows("x.pcap", 1), "-u", service.url())
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        times = [request.time for request in service.requests]
        pauses = [after - before for before, after in zip(times, times[1:])]
        self.assertEqual(len(pauses), 4)
        # 0.5, 1, 2, 4 s, of which jitter takes up to a half. The end of input shortens at most the first pause.
        for pause, least in zip(pauses[1:], (0.5, 1, 2)):
            self.assertGreater(pause, least * 0.95, pauses)

    def test_retry_after(self):
        service = Service(self, lambda n: (429, {"Retry-After": "2"}) if n == 2 else 200)
        # The queue holds less than all rows, so that the end does not cut the pause.
        done = self.run_meter("-f", self.flows("x.pcap", 1500), "-u", service.url(), "--url-batch", "100",
                              "--output-queue", "1")
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assert_each_once(service, 1500)
        self.assertGreater(service.requests[2].time - service.requests[1].time, 1.9)

    def test_answer_cut_in_the_middle_is_an_answer(self):
        """The status has arrived, so the server has the row. It is not sent again."""
        service = Service(self, lambda n: CUT_ANSWER if n % 2 else 200)
        done = self.run_meter("-f", self.flows("x.pcap", 6), "-u", service.url())
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertEqual(len(service.requests), 6)
        self.assert_each_once(service, 6)

    def test_refused_rows_are_not_repeated(self):
        for status in (400, 401, 404, 413):
            with self.subTest(status):
                service = Service(self, lambda n, status=status: status if n in (2, 5) else 200)
                done = self.run_meter("-f", self.flows("x.pcap", 6), "-u", service.url())
                self.assertEqual(done.code, FAILED)
                self.assertEqual(len(done.errors), 1, done.err)
                self.assertIn(f"2 rows refused (HTTP {status})", done.errors[0])
                self.assertEqual(len(service.requests), 6)
                self.assertEqual(self.ports(service.acknowledged), [1000, 1002, 1003, 1005])
                self.assert_account(done, sent=4, refused=2)
                service.stop()

    def test_batches_that_are_too_large_are_halved(self):
        """Requests stay smaller from then on. A single flow that is too large is refused."""
        service = Service(self, lambda n: 413 if len(service.requests[n - 1].rows()) > 3 else 200)
        done = self.run_meter("-f", self.flows("x.pcap", 8), "-u", service.url(), "--url-batch", "7")
        self.assertEqual([self.ports(request.rows()) for request in service.requests],
                         [[*range(1000, 1007)], [1000, 1001, 1002], [1003, 1004, 1005], [1006, 1007]])
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertEqual(len(done.warnings), 1, done.err)
        self.assertIn("at most 3", done.warnings[0])
        service.plan = lambda n: 413 if 1004 in self.ports(service.requests[n - 1].rows()) else 200
        done = self.run_meter("-f", self.flows("x.pcap", 8), "-u", service.url(), "--url-batch", "7")
        self.assertEqual(done.code, FAILED)
        self.assertEqual(self.ports(service.acknowledged[8:]), [1000, 1001, 1002, 1003, 1005, 1006, 1007])
        self.assert_account(done, sent=7, refused=1)

    def test_redirects_are_not_followed(self):
        other = Service(self)
        service = Service(self, lambda n: (307, {"Location": other.url()}))
        done = self.run_meter("-f", self.flows("x.pcap", 2), "-u", service.url())
        self.assertEqual(done.code, FAILED)
        self.assertIn("HTTP 307", done.errors[0])
        self.assertEqual(other.requests, [])

    def test_dead_server_does_not_hold_up_for_ever(self):
        """More rows than the queue holds, and no server: the run ends and counts them, and the other output is
        complete."""
        service = Service(self, start=False)
        start = time.monotonic()
        done = self.run_meter("-f", self.flows("x.pcap", 5000), "-u", service.url(), "--url-retry", "1", "--drain", "1",
                              "--output-queue", "1", "-c", self.path("x.csv"))
        self.assertLess(time.monotonic() - start, 20)
        self.assertEqual(done.code, FAILED)
        self.assertEqual(len(done.errors), 1, done.err)
        self.assertIn("5000 rows lost", done.errors[0])
        self.assertIn(service.url(), done.errors[0])
        self.assert_account(done, lost=5000, sent=0)
        with open(self.path("x.csv"), encoding="utf-8") as file:
            self.assertEqual(len(meter.rows_of(file.read())), 5000)

    def test_silent_server_at_the_end(self):
        service = Service(self, lambda n: SILENT)
        start = time.monotonic()
        done = self.run_meter("-f", self.flows("x.pcap", 3), "-u", service.url(), "--drain", "1")
        self.assertLess(time.monotonic() - start, 8)
        self.assertEqual(done.code, FAILED)
        self.assert_account(done, lost=3)

    def test_slow_server_in_replay_is_waited_for(self):
        """--drain limits the time without progress: a server that answers, however slowly, gets all rows."""
        def slow(_):
            time.sleep(0.4)
            return 200
        service = Service(self, slow)
        done = self.run_meter("-f", self.flows("x.pcap", 6), "-u", service.url(), "--drain", "1")
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assert_each_once(service, 6)


class Spool(Http):
    def setUp(self):
        super().setUp()
        self.spool = self.path("spool")

    def files(self):
        return sorted(os.path.join(where, name) for where, _, names in os.walk(self.spool) for name in names)

    def send(self, service, pcap, *arguments, **options):
        return self.run_meter("-f", pcap, "-u", service.url(), "--url-spool", self.spool, *arguments, **options)

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
        process = subprocess.Popen([cases.meter_path, "-f", self.flows("x.pcap", 40000), "-u", service.url(), "--url-spool",
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
        done = self.send(service, self.flows("x.pcap", 4000), "--url-spool-limit", "2", "--output-queue", "1")
        self.assertEqual(done.code, FAILED)
        self.assertTrue(any("--url-spool-limit" in each for each in done.errors), done.err)
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
            "unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=64k none "$0" && exec "$@"', self.spool))
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
        os.chmod(self.spool, 0o755)
        inner = os.path.dirname(self.files()[0])
        os.chmod(inner, 0o755)
        for file in self.files() + [pcap]:
            os.chmod(file, 0o644)
        service.start()
        program = self.path("meter")
        shutil.copy(cases.meter_path, program)
        os.chmod(program, 0o755)
        done = self.send(service, pcap, prefix=("setpriv", "--reuid", "65534", "--clear-groups", "sh", "-c",
                                                'shift; exec "$0" "$@"', program))
        self.assertEqual((done.code, len(done.errors)), (FAILED, 1), done.err)
        self.assertIn(f"the spool {inner} must be writable", done.errors[0])
        self.assertEqual(service.requests, [])

    def test_one_process_at_a_time(self):
        service = Service(self, lambda n: SILENT)
        first = subprocess.Popen([cases.meter_path, "-f", self.flows("x.pcap", 3), "-u", service.url(), "--url-spool",
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


class Secure(Http):
    def setUp(self):
        super().setUp()
        if not shutil.which("openssl"):
            self.skipTest("needs openssl for a certificate")
        self.certificate = http_server.make_certificate(self, "server", "IP:127.0.0.1")

    def test_trusted(self):
        service = Service(self, certificate=self.certificate)
        done = self.run_meter("-f", self.flows("x.pcap", 5), "-u", service.url(), "--url-ca", self.certificate[0])
        self.assertEqual((done.code, done.errors, done.warnings), (OK, [], []), done.err)
        self.assert_each_once(service, 5)

    def test_not_trusted(self):
        service = Service(self, certificate=self.certificate)
        done = self.run_meter("-f", self.flows("x.pcap", 5), "-u", service.url(), "--url-retry", "0.5")
        self.assertEqual(done.code, FAILED)
        self.assertIn("certificate", done.errors[0])
        self.assertEqual(service.requests, [])
        self.assert_account(done, lost=5)

    def test_another_name(self):
        certificate = http_server.make_certificate(self, "other", "DNS:other.example")
        service = Service(self, certificate=certificate)
        done = self.run_meter("-f", self.flows("x.pcap", 5), "-u", service.url(), "--url-ca", certificate[0],
                              "--drain", "0.5")
        self.assertEqual(done.code, FAILED)
        self.assertEqual(service.requests, [])

    def test_ca_file_that_is_none(self):
        service = Service(self, certificate=self.certificate)
        for path, words in ((self.path("absent"), "No such file"), (self.flows("x.pcap", 1), "no certificate")):
            done = self.run_meter("-f", self.flows("x.pcap", 1), "-u", service.url(), "--url-ca", path)
            self.assertEqual(done.code, FAILED)
            self.assertIn(words, done.errors[0])
            self.assertIn(path, done.errors[0])


class Authorization(Http):
    secret = "Bearer s3cr3t-t0ken"

    def file(self, text, mode=0o600):
        with open(self.path("auth"), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path("auth"), mode)
        return self.path("auth")

    def assert_sent(self, service, done):
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertEqual([request.headers.get("Authorization") for request in service.requests], [self.secret])
        self.assertNotIn("s3cr3t", done.err)

    def test_from_a_file(self):
        service = Service(self)
        done = self.run_meter("-f", self.flows("x.pcap", 1), "-u", service.url(), "-v", "--url-auth-file",
                              self.file(self.secret + "\n"))
        self.assert_sent(service, done)
        self.assertEqual(len(done.warnings), 1, "of http without encryption: " + done.err)

    def test_from_the_environment(self):
        service = Service(self)
        done = self.run_meter("-f", self.flows("x.pcap", 1), "-u", service.url(), "-v",
                              env={**ENVIRONMENT, "FLOWMETER_URL_AUTH": self.secret})
        self.assert_sent(service, done)

    def test_file_that_everyone_can_read(self):
        service = Service(self)
        done = self.run_meter("-f", self.flows("x.pcap", 1), "-u", service.url(), "--url-auth-file",
                              self.file(self.secret, 0o644))
        self.assert_sent(service, done)
        self.assertTrue(any("can be read by everyone" in each for each in done.warnings), done.err)

    def test_wrong_files(self):
        service = Service(self)
        for text, words in ((None, "No such file"), ("", "empty"), ("Bearer a\r\nHost: b", "one line")):
            path = self.path("absent") if text is None else self.file(text)
            done = self.run_meter("-f", self.flows("x.pcap", 1), "-u", service.url(), "--url-auth-file", path)
            self.assertEqual((done.code, len(done.errors)), (FAILED, 1), done.err)
            self.assertIn(words, done.errors[0])
        self.assertEqual(service.requests, [])


class Usage(Http):
    def test_urls(self):
        x = self.flows("x.pcap", 1)
        for url in ("", "example.org", "ftp://example.org/", "ftp://example.org/?secret", "http://[/?secret",
                    "file:///etc/passwd", "http://", "http://u:p@example.org/", "http://exa mple.org/",
                    "http://example.org:99999/"):
            with self.subTest(url):
                done = self.run_meter("-f", x, "-u", url, "-c", self.path("x.csv"))
                self.assertEqual((done.code, len(done.errors)), (USAGE, 1), done.err)
                self.assertNotIn("secret", done.err)
                self.assertIn("-u", done.errors[0])
                self.assertFalse(os.path.exists(self.path("x.csv")))

    def test_without_a_usable_libcurl(self):
        """It is loaded only for a URL. A file that is no library, and a library that is not libcurl, stand in its place."""
        for name in ("libcurl.so.4", "libcurl-gnutls.so.4"):
            with open(self.path(name), "w", encoding="utf-8") as file:
                file.write("no library")
        linked = subprocess.run(["ldd", cases.meter_path], check=True, capture_output=True, text=True, timeout=60).stdout
        environment = {**ENVIRONMENT, "LD_LIBRARY_PATH": self.directory}
        x = self.flows("x.pcap", 1)
        done = self.run_meter("-f", x, "-c", self.path("x.csv"), env=environment)
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        for reason in ("file too short", "has no curl_version_info"):
            done = self.run_meter("-f", x, "-u", "http://127.0.0.1:1/", env=environment)
            self.assertEqual((done.code, len(done.errors)), (USAGE, 1), done.err)
            self.assertIn("-u needs libcurl 7.85 or newer, with TLS (Debian's package libcurl4)", done.errors[0])
            self.assertIn(reason, done.errors[0])
            os.remove(self.path("libcurl.so.4"))
            os.symlink(re.search(r"libz\.so\S* => (\S+)", linked)[1], self.path("libcurl.so.4"))

    def test_options_without_a_url(self):
        x = self.flows("x.pcap", 1)
        for option in (("--url-batch", "2"), ("--url-timeout", "2"), ("--url-spool", self.directory),
                       ("--url-ca", x), ("--url-auth-file", x), ("--url-retry", "1")):
            done = self.run_meter("-f", x, *option)
            self.assertEqual((done.code, len(done.errors)), (USAGE, 1), done.err)
            self.assertIn(option[0], done.errors[0])

    def test_values(self):
        x = self.flows("x.pcap", 1)
        for option in (("--url-batch", "0"), ("--url-timeout", "0"), ("--drain", "-1"), ("--on-full", "wait"),
                       ("--output-queue", "0"), ("--rotate", "1"), ("--rotate", "0s"), ("--rotate", "5x")):
            done = self.run_meter("-f", x, "-u", "http://127.0.0.1:1/", *option)
            self.assertEqual((done.code, len(done.errors)), (USAGE, 1), done.err)
            self.assertIn(option[0], done.errors[0])

    def test_a_query_is_not_logged(self):
        service = Service(self, start=False)
        done = self.run_meter("-f", self.flows("x.pcap", 1), "-u", service.url("/flows?key=s3cr3t"), "--drain", "0.2")
        self.assertEqual(done.code, FAILED)
        self.assertNotIn("s3cr3t", done.err)
