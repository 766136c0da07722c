# SPDX-License-Identifier: BSD-3-Clause
"""--metrics: the numbers are those of the account, whatever comes and goes; the socket, the health, and who may hold the
server up (nobody)."""
import os
import pwd
import re
import signal
import socket
import time

import http_server
import interface_cases
import live_cases
import meter
import metrics
import metrics_cases
import namespaces
import restart_cases
from namespaces import B4

NOBODY = pwd.getpwnam("nobody")
PORT = 9464


class Law(metrics_cases.Metered):
    def check(self, *arguments):
        pair = self.pair()
        live = self.metering(pair.a, "--idle-timeout", "1000", *arguments)
        before = self.scrape()
        for port in range(9, 19):
            self.send(pair.a, 5, port=port)
        pair.wait_quiet()
        with pair.a.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
            s.bind(("veth0", 0))
            s.send(bytes.fromhex("02000000000202000000000188b5") + bytes(46))  # an EtherType for experiments
        kernel = "kernel" in arguments

        def done():
            found = self.scrape()
            more = {name: found.of("flowmeter_packets_total", **{"class": name})
                    - before.of("flowmeter_packets_total", **{"class": name}) for name in ("metered", "not_ip")}
            return more["metered"] >= 50 and more["not_ip"] >= 1 and (kernel or found.unwritten() == 0) and found

        last = meter.wait_for("all packets are shown", done)
        end = live.stop()
        self.assertEqual((end.code, end.errors), (0, []), end.err)
        meter.assert_balanced(self, end.account)
        self.assertEqual(last.by("flowmeter_packets_total", "class"), {name: end.account[name] for name in meter.REASONS})
        self.assertEqual(last.of("flowmeter_open_flows") + last.of("flowmeter_flows_ended_total"), end.account["flows"])
        hooks = interface_cases.hooks(end)
        for hook in ("ingress", "egress"):
            for name in meter.REASONS:
                self.assertEqual(last.of("flowmeter_interface_packets_total", interface="veth0", hook=hook,
                                         **{"class": name}), hooks["veth0", hook][name])
        return last, end

    def test_equals_the_account(self):
        last, end = self.check()
        self.assertEqual(last.of("flowmeter_row_packets_total") + last.of("flowmeter_open_flow_packets"),
                         end.account["in_rows"])
        self.assertEqual(last.of("flowmeter_flow_limit"), 120_000)
        self.assertGreater(last.of("process_cpu_seconds_total"), 0)

    def test_equals_the_account_with_timing_in_the_kernel(self):
        self.check("--datapath", "kernel")

    def test_flows_that_end_are_counted_by_reason_and_as_rows(self):
        for datapath in ("events", "kernel"):
            with self.subTest(datapath):
                pair = self.pair()
                live = self.metering(pair.a, "--idle-timeout", "0.3", "--datapath", datapath, name=datapath)
                self.send(pair.a, 3)
                self.send(pair.a, 4, port=10)

                def ended():
                    found = self.scrape()
                    return found.of("flowmeter_row_packets_total") >= 7 and found

                found = meter.wait_for("the flows have ended", ended)
                self.assertGreaterEqual(found.of("flowmeter_flows_ended_total", reason="idle"), 2)
                rows = found.of("flowmeter_flows_ended_total")
                self.assertEqual(found.of("flowmeter_output_rows_total", output=live.csv, result="written")
                                 + found.of("flowmeter_output_waiting_rows", output=live.csv), rows)
                self.assertEqual(found.of("flowmeter_output_rows_total", result="dropped"), 0)
                self.assertEqual(found.of("flowmeter_output_up", output=live.csv), 1)
                live.stop_clean()

    def test_with_rows_of_another_program(self):
        pair = self.pair()
        live = self.metering(pair.a, "--compat", "python")
        self.send(pair.a, 3)
        meter.wait_for("the packets are shown",
                       lambda: self.scrape().of("flowmeter_packets_total", **{"class": "metered"}) >= 3)
        self.assertEqual(list(self.scrape().by("flowmeter_output_up", "output")), [live.csv])
        self.assertEqual(live.stop().code, 0)


class Interfaces(metrics_cases.Metered, interface_cases.Interfaces):
    def test_come_and_go(self):
        """Each scrape holds, whatever happens beside it; the number of series is bounded, and (other) never falls."""
        here, there = namespaces.Namespace(self, "here"), namespaces.Namespace(self, "there")
        live = self.start_on(here, ["wire*"], "--metrics", self.socket, "--metrics-interfaces", "2", "-v").wait_attached()
        self.wait_ready(live)
        other = 0
        for number in range(1, 6):
            interface_cases.wire(number, here, f"wire{number}", there, f"end{number}")
            meter.wait_for("it is metered", lambda name=f"metering wire{number}": name in live.err())
            self.send(here, 10 * number, source=interface_cases.address(number, 1),
                      target=interface_cases.address(number, 2))
            if number in (3, 5):  # one with a series, and one in (other)
                here.ip("link", "del", f"wire{number - 2 if number == 3 else 4}")
            found = meter.wait_for("it is shown", lambda: self.shown(found_interfaces=number - (number > 2) - (number > 4)))
            names = found.by("flowmeter_interface_packets_total", "interface")
            self.assertLessEqual(len(set(names) - {"(other)"}), 2)
            self.assertGreaterEqual(names.get("(other)", 0), other)
            other = names.get("(other)", 0)
        meter.wait_for("all packets are shown",
                       lambda: self.scrape().of("flowmeter_seen_packets_total") >= 10 + 20 + 30 + 40 + 50)
        found = self.scrape()
        self.assertGreaterEqual(found.by("flowmeter_gone_interface_packets_total", "hook")["egress"], 10)
        end = live.stop()
        self.assertEqual((end.code, end.errors), (0, []), end.err)

    def shown(self, found_interfaces):
        found = self.scrape()
        return found.of("flowmeter_interfaces") == found_interfaces and found


class Server(metrics_cases.Metered):
    def test_a_port_in_the_sandbox(self):
        pair = self.pair()
        live = self.start(pair.a, "--metrics", f"127.0.0.1:{PORT}", "--sandbox", "require", "--user", "nobody",
                          "--bpf-stats").wait_attached()
        self.send(pair.a, 3)
        address = ("127.0.0.1", PORT)
        found = meter.wait_for("the packets are shown", lambda: self.sent(pair.a, address))
        self.assertGreaterEqual(found.of("flowmeter_bpf_runs_total", program="fm_egress"), 3)
        self.assertGreater(found.of("flowmeter_bpf_run_seconds_total", program="fm_egress"), 0)
        self.assertEqual(found.of("process_threads"), 2)
        self.assertGreater(found.of("process_open_fds"), 5)
        done = self.start(pair.a, "--metrics", f"127.0.0.1:{PORT}", name="second").wait()
        self.one_error(done, f"--metrics 127.0.0.1:{PORT}: another program listens there")
        live.stop_clean()
        self.assertNotIn("warning", live.err())

    def sent(self, namespace, address):
        try:
            found = self.scrape(address, namespace)
            return found.of("flowmeter_packets_total", **{"class": "metered"}) >= 3 and found
        except (AssertionError, OSError):
            return None  # it has not started yet, or others wait to be accepted

    def test_all_addresses_of_its_own_network_namespace(self):
        """Not of the one whose interfaces it meters."""
        pair = self.pair()
        live = self.start(pair.b, "--netns", pair.a.name, "--metrics", f":{PORT}").wait_attached()
        for address in ("127.0.0.1", "::1", B4):
            meter.wait_for("it answers", lambda where=(address, PORT): self.answers(where, pair.b))
        with self.assertRaises(ConnectionRefusedError):
            metrics.get(("127.0.0.1", PORT), namespace=pair.a)
        live.stop_clean()
        with self.assertRaises(ConnectionRefusedError):
            metrics.get(("127.0.0.1", PORT), namespace=pair.b)

    def answers(self, address, namespace):
        return metrics.get(address, "/readyz", namespace)[0] == 200

    def test_a_unix_socket_of_the_user(self):
        pair = self.pair()
        ours = self.path("ours")
        os.mkdir(ours)
        os.chown(ours, NOBODY.pw_uid, NOBODY.pw_gid)
        self.socket = ours + "/x.sock"
        for attempt in ("first", "after a kill", "last"):
            with self.subTest(attempt):
                live = self.metering(pair.a, "--sandbox", "require", "--user", "nobody", name=attempt)
                status = os.stat(self.socket)
                self.assertEqual((status.st_uid, status.st_gid, status.st_mode & 0o777),
                                 (NOBODY.pw_uid, NOBODY.pw_gid, 0o660))
                if attempt == "first":
                    live.process.kill()
                    live.process.wait()
                    self.assertTrue(os.path.exists(self.socket), "it was left")
                else:
                    live.stop_clean()
                    self.assertFalse(os.path.exists(self.socket))

    def test_what_is_in_its_place(self):
        pair = self.pair()
        with open(self.socket, "w", encoding="ascii") as file:
            file.write("text")
        done = self.start(pair.a, "--metrics", self.socket).wait()
        self.one_error(done, f"--metrics {self.socket}: this is a file, and not a socket")
        os.remove(self.socket)
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(self.socket)
        os.chown(self.socket, NOBODY.pw_uid, NOBODY.pw_gid)
        done = self.start(pair.a, "--metrics", self.socket).wait()
        self.one_error(done, "this socket was left by another user: remove it")
        self.assertTrue(os.path.exists(self.socket))

    def test_a_directory_that_is_not_the_user_s(self):
        pair = self.pair()
        ours = self.path("ours")
        os.mkdir(ours)
        done = self.start(pair.a, "--metrics", ours + "/x.sock", "--user", "nobody").wait()
        self.one_error(done, f"--metrics {ours}/x.sock: user nobody cannot make and remove files in {ours} (chown it,")
        self.assertEqual(os.listdir(ours), [])

    def test_idle_clients_hold_nobody_up(self):
        pair = self.pair()
        live = self.metering(pair.a)
        clients = []
        for _ in range(100):
            client = socket.socket(socket.AF_UNIX)
            self.addCleanup(client.close)
            client.connect(self.socket)
            client.send(b"GET /metrics HTTP/1.1\r\nX: ")
            clients.append(client)
        self.send(pair.a, 3)
        found = meter.wait_for("the packets are shown", lambda: self.sent(None, self.socket))
        self.assertLess(found.of("process_open_fds"), 100)
        live.stop_clean()


class Health(metrics_cases.Metered):
    """/healthz: the loop runs. /readyz: it meters, and all outputs take rows."""

    def test_an_output_is_down(self):
        pair = self.pair()
        with pair.a.inside():
            service = http_server.Service(self, start=False)
        environment = {**{k: v for k, v in os.environ.items() if "proxy" not in k.lower()}, "no_proxy": "*"}
        live = self.metering(pair.a, "-u", service.url() + "?secret=1", "--url-spool", self.path("spool"),
                             "--idle-timeout", "0.2", env=environment)
        self.send(pair.a, 3)
        meter.wait_for("the output is down", lambda: self.ready()[0] == 503)
        name = service.url()
        self.assertEqual(self.ready(), (503, f"output {name} is down\n"))
        self.assertEqual(self.ready("/healthz"), (200, "ok\n"))
        found = self.scrape()
        self.assertEqual((found.of("flowmeter_output_up", output=name), found.of("flowmeter_output_up", output=live.csv)),
                         (0, 1))
        meter.wait_for("a spooled row", lambda: self.scrape().of("flowmeter_output_spooled_rows", output=name) > 0)
        with pair.a.inside():
            service.start()
        meter.wait_for("the output is up", lambda: self.ready()[0] == 200)
        meter.wait_for("the row is sent", lambda: self.scrape().of(
            "flowmeter_output_delivered_rows_total", output=name, result="sent") > 0)
        done = live.stop()
        self.assertEqual((done.code, done.errors), (0, []), done.err)

    def test_a_run_that_ends(self):
        pair = self.pair()
        with pair.a.inside():
            service = http_server.Service(self, start=False)
        environment = {**{k: v for k, v in os.environ.items() if "proxy" not in k.lower()}, "no_proxy": "*"}
        live = self.metering(pair.a, "-u", service.url(), "--drain", "100", env=environment)
        self.send(pair.a, 3)
        meter.wait_for("the packets are shown", lambda: self.scrape().of("flowmeter_open_flow_packets") >= 3)
        live.process.send_signal(signal.SIGINT)
        meter.wait_for("it ends", lambda: self.ready()[1].startswith("ending"))
        self.assertEqual((self.ready()[0], self.ready("/healthz")), (503, (200, "ok\n")))
        meter.wait_for("all flows are rows", lambda: self.scrape().of("flowmeter_row_packets_total") >= 3)
        self.assertEqual(self.scrape().of("flowmeter_open_flows"), 0)
        live.process.send_signal(signal.SIGINT)
        self.assertEqual(live.wait().code, 1)


class Restarts(restart_cases.Pinned, metrics_cases.Metered):
    def test_the_kernels_counters_go_on(self):
        first = self.pinned("first", "--metrics", self.socket, "--idle-timeout", "0.2").wait_attached()
        self.wait_ready(first)
        self.send(self.pair.a, 5)
        meter.wait_for("they are in a row", lambda: self.scrape().of("flowmeter_row_packets_total") >= 5)
        before = self.scrape()
        self.stop(first)
        second = self.pinned("second", "--metrics", self.socket, "--idle-timeout", "0.2", "--unpin").wait_attached()
        self.wait_ready(second)
        after = self.scrape()
        for (name, labels), value in before.values.items():
            if re.search("packets_total$|_lost_total$", name):
                self.assertGreaterEqual(after.values[name, labels], value, (name, labels))
        self.assertGreaterEqual(after.of("flowmeter_row_packets_total"), 5)
        self.assertEqual(second.stop().code, 0)

    def test_other_begins_at_zero(self):
        """It has what the interfaces without a series add from now on; the law (scrape) holds all the time."""
        options = ("--metrics", self.socket, "--metrics-interfaces", "0")

        def other():
            return self.scrape().of("flowmeter_interface_packets_total", interface="(other)")

        first = self.pinned("first", *options).wait_attached()
        self.wait_ready(first)
        self.send(self.pair.a, 100)
        meter.wait_for("they are shown", lambda: other() >= 100)
        self.stop(first)
        second = self.pinned("second", *options, "--unpin").wait_attached()
        self.wait_ready(second)
        self.assertLess(other(), 100)
        self.assertGreaterEqual(self.scrape().of("flowmeter_gone_interface_packets_total"), 100)
        self.send(self.pair.a, 5)
        meter.wait_for("they are shown", lambda: other() >= 5)
        self.assertEqual(second.stop().code, 0)


    def test_the_next_one_waits_for_a_full_disk(self):
        """It is killed while its disk is full. The next one mostly has to take over more than there is room for, and then waits
        for the disk before it meters. Its metrics say what is wrong in either case."""
        disk = self.path("disk")
        os.mkdir(disk)
        namespaces.run("mount", "-t", "tmpfs", "-o", "size=2m", "none", disk)
        self.addCleanup(namespaces.run, "umount", "-l", disk)
        output = disk + "/flows.csv"
        options = ("-c", output, "--metrics", self.socket, "--idle-timeout", "1", "--event-memory", "1", "--max-flows", "20000",
                   "--drain", "100", "--unpin")
        first = self.pinned("first", *options).wait_attached()
        self.wait_ready(first)
        self.send_flows()
        meter.wait_for("the disk is full", lambda: self.ready() == (503, f"output {output} is down\n"))
        before = self.scrape()
        self.kill(first)
        second = self.pinned("second", *options)
        meter.wait_for("it says what it waits for", lambda: self.answers() and self.ready() == (503, f"output {output} is down\n"))
        found = metrics.scrape(self.socket)
        self.assertGreaterEqual(found.of("flowmeter_packets_total"), before.of("flowmeter_packets_total"))
        self.assertEqual(found.of("flowmeter_packets_total"), found.of("flowmeter_seen_packets_total"))
        self.assertEqual(found.of("flowmeter_output_up", output=output), 0)
        self.assertLess(found.of("flowmeter_update_age_seconds"), 15)
        self.assertEqual(self.ready("/healthz"), (200, "ok\n"))
        namespaces.run("mount", "-o", "remount,size=100m", disk)
        self.wait_ready(second)
        self.scrape()
        done = second.stop()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        meter.assert_balanced(self, done.account)

    def send_flows(self):
        """More new flows than an event stream has room for."""
        with self.pair.a.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for port in range(1024, 30000):
                s.sendto(b"x", (B4, port))
                if port % 100 == 0:
                    time.sleep(0.01)

    def answers(self):
        try:
            return self.ready()
        except OSError:
            return None


class Refused(live_cases.Live):
    def test_addresses_and_combinations(self):
        csv = ("-c", self.path("x.csv"))
        for arguments, words in (
                (("-i", "lo", "--metrics", "example.com:80"), '--metrics: "example.com:80" is not an address'),
                (("-i", "lo", "--metrics", "127.0.0.1"), '--metrics: "127.0.0.1" is not an address'),
                (("-i", "lo", "--metrics", "unix:x"), "--metrics: the path of a socket is absolute"),
                (("-f", "x.pcap", "--metrics", ":9464"), "--metrics can only be used with -i"),
                (("-i", "lo", "--bpf-stats"), "--bpf-stats can only be used with --metrics"),
                (("-i", "lo", "--metrics-interfaces", "3"), "--metrics-interfaces can only be used with --metrics")):
            done = meter.run(*arguments, *csv)
            self.assertEqual((done.code, len(done.errors)), (2, 1), done.err)
            self.assertIn(words, done.errors[0])
        done = meter.run("-i", "lo", "--metrics", "192.0.2.1:9464", *csv)
        self.one_error(done, "--metrics 192.0.2.1:9464: no interface has this address")
        done = meter.run("-i", "lo", "--metrics", self.path("no/x.sock"), *csv)
        self.one_error(done, f"--metrics {self.path('no/x.sock')}: cannot listen: No such file or directory")

    def test_without_the_library(self):
        with open(self.path("libmicrohttpd.so.12"), "wb"):
            pass
        done = meter.run("-i", "lo", "--metrics", self.path("x.sock"), "-c", self.path("x.csv"),
                         env={**os.environ, "LD_LIBRARY_PATH": self.directory})
        self.assertEqual((done.code, len(done.errors)), (2, 1), done.err)
        self.assertIn("Debian's package libmicrohttpd", done.errors[0])
