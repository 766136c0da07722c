# SPDX-License-Identifier: BSD-3-Clause
"""Flows sent to a real HTTP or HTTPS server that refuses, delays, fails and recovers: what arrives, how often, in which
order, and what the program says."""
import json
import os
import re
import shutil
import ssl
import subprocess
import time
import warnings

import cases
import http_server
import meter
from http_case import ENVIRONMENT, FAILED, OK, USAGE, Http
from http_server import CUT, CUT_ANSWER, LATE, SILENT, Service

SANITIZED = True


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
                self.assertIn(f"2 rows refused (HTTP {status}: ok)", done.errors[0])
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
        done = self.run_meter("-f", self.flows("x.pcap", 5000), "-u", service.url(), "--output-retry", "1", "--drain", "1",
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
        done = self.run_meter("-f", self.flows("x.pcap", 5), "-u", service.url(), "--output-retry", "0.5")
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


    def test_oldest_protocol(self):
        """TLS 1.1 is refused even where the system's OpenSSL is told to allow it."""
        def only(version):
            def adjust(context):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    context.set_ciphers("DEFAULT@SECLEVEL=0")
                    context.minimum_version = context.maximum_version = version
            return adjust

        with open(self.path("openssl.cnf"), "w", encoding="utf-8") as file:
            file.write("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n"
                       "[c]\nMinProtocol = TLSv1\nCipherString = DEFAULT@SECLEVEL=0\n")
        for version, code in ((ssl.TLSVersion.TLSv1_2, OK), (ssl.TLSVersion.TLSv1_1, FAILED)):
            service = Service(self, certificate=self.certificate, tls=only(version))
            done = self.run_meter("-f", self.flows("x.pcap", 5), "-u", service.url(), "--url-ca", self.certificate[0],
                                  "--drain", "0.5", env={**ENVIRONMENT, "OPENSSL_CONF": self.path("openssl.cnf")})
            self.assertEqual(done.code, code, done.err)
            self.assertEqual(len(service.requests), 5 if code == OK else 0)


class Proxy(Http):
    """A service plays the proxy: what comes through it has a whole URL for its path."""

    def send(self, *arguments, prefix=(), **environment):
        service, proxy = Service(self), Service(self)
        environment = {name: proxy.url("") for name in environment}
        done = self.run_meter("-f", self.flows("x.pcap", 1), "-u", service.url(), *(
            proxy.url("") if each == "PROXY" else each for each in arguments), prefix=prefix, env={
                **{name: value for name, value in ENVIRONMENT.items() if name != "no_proxy"}, **environment})
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertEqual(len(service.requests) + len(proxy.requests), 1)
        if proxy.requests:
            self.assertEqual(proxy.requests[0].path, service.url())
        return len(proxy.requests) == 1

    def test_of_the_environment(self):
        """It is used, but not by root, and not with more rights than those of the user who started the program."""
        if os.geteuid() != 0:
            self.assertTrue(self.send(http_proxy=True))
            return
        self.assertFalse(self.send(http_proxy=True))
        self.assertTrue(self.send(prefix=self.as_nobody(), http_proxy=True))
        if not shutil.which("setcap"):
            self.skipTest("needs setcap for a program with capabilities")
        self.assertFalse(self.send(prefix=self.as_nobody("cap_net_raw"), http_proxy=True))

    def test_by_option(self):
        self.assertTrue(self.send("--url-proxy", "PROXY"))
        self.assertTrue(self.send(FLOWMETER_URL_PROXY=True))


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
        for reason in ("file too short", "has no curl_"):
            done = self.run_meter("-f", x, "-u", "http://127.0.0.1:1/", env=environment)
            self.assertEqual((done.code, len(done.errors)), (USAGE, 1), done.err)
            self.assertIn("-u needs libcurl 7.85 or newer, with TLS (Debian's package libcurl4)", done.errors[0])
            self.assertIn(reason, done.errors[0])
            os.remove(self.path("libcurl.so.4"))
            os.symlink(re.search(r"libz\.so\S* => (\S+)", linked)[1], self.path("libcurl.so.4"))

    def test_options_without_a_url(self):
        x = self.flows("x.pcap", 1)
        for option in (("--url-batch", "2"), ("--url-timeout", "2"), ("--spool", self.directory),
                       ("--url-ca", x), ("--url-auth-file", x), ("--output-retry", "1")):
            done = self.run_meter("-f", x, *option)
            self.assertEqual((done.code, len(done.errors)), (USAGE, 1), done.err)
            self.assertIn(option[0], done.errors[0])

    def test_one_url_in_two_spellings(self):
        done = self.run_meter("-f", self.flows("x.pcap", 1), "-u", "http://127.0.0.1:1/?q=a b c", "-u", "http://127.0.0.1:1/?q=a%20b c")
        self.assertEqual((done.code, len(done.errors)), (USAGE, 1), done.err)
        self.assertIn("named twice", done.errors[0])

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
