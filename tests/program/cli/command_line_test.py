# SPDX-License-Identifier: BSD-3-Clause
"""Command lines and bad input of the whole program, without an interface: exit status, exactly one line of error that
names the file or option, and outputs that stay whole."""
import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import capture  # noqa: E402
import cases  # noqa: E402
import meter  # noqa: E402

OK, FAILED, USAGE = 0, 1, 2
NOBODY = 65534


class CommandLine(cases.Case):
    def setUp(self):
        super().setUp()
        self.output = self.path("flows.csv")
        self.capture = self.write("x.pcap", capture.pcap(capture.conversation()))

    def write(self, name, octets):
        with open(self.path(name), "wb") as file:
            file.write(octets)
        return self.path(name)

    def text(self, path=None):
        with open(path or self.output, encoding="utf-8") as file:
            return file.read()

    def assert_fails(self, done, code, *words):
        """This exit status, and one error line that holds these words."""
        self.assertEqual(done.code, code, done.err)
        self.assertEqual(len(done.errors), 1, done.err)
        for word in words:
            self.assertIn(word, done.errors[0])
        unlabelled = [line for line in done.err.splitlines() if not line.startswith("flowmeter-ebpf: ")]
        self.assertEqual(unlabelled, [], "lines without a level")

    def assert_replayed(self, done, rows=3, metered=7):
        self.assertEqual(done.code, OK, done.err)
        self.assertEqual(done.errors, [])
        meter.assert_balanced(self, done.account)
        self.assertEqual(done.account["metered"], metered, done.err)
        self.assertEqual(done.account["flows"], rows, done.err)


class Usage(CommandLine):
    def test_neither_capture_nor_interface(self):
        self.assert_fails(meter.run("-c", self.output), USAGE, "-f", "-i")
        self.assertFalse(os.path.exists(self.output))

    def test_both_capture_and_interface(self):
        self.assert_fails(meter.run("-f", self.capture, "-i", "lo", "-c", self.output), USAGE, "-f", "-i")
        self.assertFalse(os.path.exists(self.output))

    def test_no_arguments(self):
        self.assert_fails(meter.run(), USAGE, "-f", "-i", "--help")

    def test_unknown_option_and_argument(self):
        self.assert_fails(meter.run("-f", self.capture, "--fast"), USAGE, "--fast")
        self.assert_fails(meter.run("-f", self.capture, "-c", self.output, "stray"), USAGE, "stray")

    def test_option_without_its_value(self):
        for option in ("-f", "-i", "--fields", "--idle-timeout", "--packets"):
            with self.subTest(option):
                self.assert_fails(meter.run("-c", self.output, option), USAGE)
        self.assert_fails(meter.run("-f", self.capture, "-c"), USAGE, "-c")

    def test_absurd_seconds(self):
        for option in ("--idle-timeout", "--icmp-idle-timeout", "--tcp-linger", "--active-timeout", "--activity-gap",
                       "--subflow-gap", "--bulk-max-gap", "--fragment-memory"):
            for value in ("-1", "x", "", "1e300", "nan", "inf", "0x10", "5s", "1,5", " 1", "-0.5"):
                with self.subTest(f"{option} {value}"):
                    done = meter.run("-f", self.capture, "-c", self.output, f"{option}={value}")
                    self.assert_fails(done, USAGE, option)

    def test_seconds_to_the_nanosecond(self):
        """Years, too: a gap of exactly the time-out ends no flow, one of a nanosecond more does."""
        frame = capture.ethernet(capture.udp())
        path = self.write("gap.pcap", capture.pcap([(t, frame) for t in (0, 315360000)]))
        for timeout, rows in (("315360000", 1), ("315359999.999999999", 2)):
            with self.subTest(timeout):
                done = meter.run("-f", path, "--fields", "src_ip", "--idle-timeout", timeout,
                                 "--active-timeout", "315360000")
                self.assertEqual((done.code, len(done.out.splitlines()[1:])), (OK, rows), done.err)

    def test_absurd_numbers(self):
        for option in ("--packets", "--max-flows", "--max-fragments", "--ring-size", "--bulk-min-packets"):
            for value in ("-1", "0", "x", "", "1.5", "1e3", "99999999999999999999999"):
                with self.subTest(f"{option} {value}"):
                    done = meter.run("-f", self.capture, "-c", self.output, f"{option}={value}")
                    self.assert_fails(done, USAGE, option)
        self.assertFalse(os.path.exists(self.output))

    def test_absurd_duration(self):
        for value in ("-1", "x", "nan", "1e300"):
            with self.subTest(value):
                self.assert_fails(meter.run("-i", "lo", f"--duration={value}"), USAGE, "--duration")

    def test_duration_goes_with_an_interface(self):
        self.assert_fails(meter.run("-f", self.capture, "--duration", "1"), USAGE, "--duration")

    def test_unknown_column_lists_near_names(self):
        self.write("flows.csv", b"kept\n")
        done = meter.run("-f", self.capture, "-c", self.output, "--fields", "src_ip,tot_fwd_pkt")
        self.assert_fails(done, USAGE, "--fields", "\"tot_fwd_pkt\"", "tot_fwd_pkts")
        done = meter.run("-f", self.capture, "-c", self.output, "--fields", "src_ip,,dst_ip")
        self.assert_fails(done, USAGE, "--fields")
        done = meter.run("-f", self.capture, "-c", self.output, "--fields", "qqqqqqqqqq")
        self.assert_fails(done, USAGE, "--list-fields")
        self.assertEqual(self.text(), "kept\n", "wrong usage must not touch the output")

    def test_output_that_is_also_the_input(self):
        before = open(self.capture, "rb").read()
        self.assert_fails(meter.run("-f", self.capture, "-c", self.capture), USAGE, self.capture)
        link = self.path("link.pcap")
        os.symlink(self.capture, link)
        self.assert_fails(meter.run("-f", self.capture, "-c", link), USAGE, link)
        self.assertEqual(open(self.capture, "rb").read(), before)

    def test_help_and_version(self):
        done = meter.run("--help")
        self.assertEqual((done.code, done.err), (OK, ""))
        for word in ("Input:", "Output:", "--idle-timeout", "--fields", "-c,--csv", "Exit status"):
            self.assertIn(word, done.out)
        done = meter.run("--version")
        self.assertEqual((done.code, done.err), (OK, ""))
        self.assertRegex(done.out, r"^flowmeter-ebpf \d+\.\d+\.\d+\n$")

    def test_list_fields(self):
        done = meter.run("--list-fields")
        self.assertEqual((done.code, done.err), (OK, ""))
        columns, further = done.out.split("\n\n")
        self.assertEqual(len(columns.splitlines()), 82)
        self.assertIn("end_reason", further)


class Captures(CommandLine):
    """Inputs that cannot be read, or not whole."""

    def test_missing_capture_leaves_the_output_alone(self):
        self.write("flows.csv", b"kept\n")
        missing = self.path("missing.pcap")
        self.assert_fails(meter.run("-f", missing, "-c", self.output), FAILED, missing, "No such file")
        self.assertEqual(self.text(), "kept\n")

    def test_missing_second_capture_leaves_the_output_alone(self):
        self.write("flows.csv", b"kept\n")
        missing = self.path("missing.pcap")
        self.assert_fails(meter.run("-f", self.capture, "-f", missing, "-c", self.output), FAILED, missing)
        self.assertEqual(self.text(), "kept\n")

    def test_directory(self):
        self.assert_fails(meter.run("-f", self.directory, "-c", self.output), FAILED, self.directory, "directory")
        self.assertFalse(os.path.exists(self.output))

    def test_unreadable_capture(self):
        os.chmod(self.capture, 0)
        prefix = ()
        if os.geteuid() == 0:
            prefix = ("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")
            program = self.path("meter")  # the build directory may be closed to other users
            subprocess.run(["cp", cases.meter_path, program], check=True)
            self.run_copy(program)
        done = meter.run("-f", self.capture, "-c", self.output, prefix=prefix)
        self.assert_fails(done, FAILED, self.capture, "Permission denied")

    def run_copy(self, program):
        before, cases.meter_path = cases.meter_path, program
        self.addCleanup(setattr, cases, "meter_path", before)

    def test_empty_file(self):
        empty = self.write("empty.pcap", b"")
        self.assert_fails(meter.run("-f", empty, "-c", self.output), FAILED, empty)

    def test_text_file(self):
        text = self.write("notes.txt", b"this is no capture, but a text of some length\n" * 20)
        self.assert_fails(meter.run("-f", text, "-c", self.output), FAILED, text)

    def test_header_cut_short(self):
        for size in (1, 4, 23):
            with self.subTest(size):
                short = self.write("short.pcap", capture.pcap_header()[:size])
                self.assert_fails(meter.run("-f", short, "-c", self.output), FAILED, short)

    def test_truncated_capture_gives_its_flows(self):
        octets = capture.pcap(capture.conversation())
        for cut in (1, 20, 60):
            with self.subTest(cut):
                short = self.write("cut.pcap", octets[:-cut])
                done = meter.run("-f", short, "-c", self.output)
                self.assert_replayed(done, 2, 6)
                self.assertEqual(len(done.warnings), 1, done.err)
                self.assertIn(short, done.warnings[0])
                self.assertEqual(len(meter.rows_of(self.text())), 2)

    def test_truncated_capture_fails_if_strict(self):
        short = self.write("cut.pcap", capture.pcap(capture.conversation())[:-1])
        done = meter.run("-f", short, "-c", self.output, "--strict")
        self.assert_fails(done, FAILED, short)
        self.assertEqual(len(meter.rows_of(self.text())), 2, "its flows are written all the same")

    def test_absurd_record_length(self):
        octets = capture.pcap(capture.conversation()) + b"\xff" * 64
        done = meter.run("-f", self.write("odd.pcap", octets), "-c", self.output)
        self.assert_replayed(done)
        self.assertEqual(len(done.warnings), 1, done.err)

    def test_unknown_link_type_is_named_once(self):
        frames = [(i, capture.udp()) for i in range(3)]
        done = meter.run("-f", self.write("wifi.pcap", capture.pcap(frames, 105)), "-c", self.output)
        self.assertEqual(done.code, OK, done.err)
        self.assertEqual(done.account["not_ip"], 3)
        self.assertEqual(len(done.warnings), 1, done.err)
        self.assertIn("IEEE802_11", done.warnings[0])

    def test_capture_without_packets_gives_only_a_header(self):
        done = meter.run("-f", self.write("none.pcap", capture.pcap([])), "-c", self.output)
        self.assert_replayed(done, 0, 0)
        self.assertEqual(done.warnings, [])
        self.assertEqual(self.text().count("\n"), 1)
        self.assertEqual(len(self.text().split(",")), 82)

    def test_capture_without_flows_gives_only_a_header(self):
        arp = [(1, capture.ethernet(bytes(28), 0x0806))]
        done = meter.run("-f", self.write("arp.pcap", capture.pcap(arp)), "-c", self.output)
        self.assertEqual((done.code, done.account["not_ip"]), (OK, 1), done.err)
        self.assertTrue(self.text().startswith("src_ip,dst_ip,"))
        self.assertEqual(self.text().count("\n"), 1)

    def test_several_captures_are_one_stream(self):
        frames = capture.conversation()
        first = self.write("1.pcap", capture.pcap(frames[:4]))
        second = self.write("2.pcap", capture.pcap(frames[4:]))
        self.assert_replayed(meter.run("-f", self.capture, "-c", self.output))
        whole = self.text()
        for arguments in (("-f", first, "-f", second), ("-r", first, "--read", second), ("--file", first, "-f", second)):
            with self.subTest(arguments):
                self.assert_replayed(meter.run(*arguments, "-c", self.output))
                self.assertEqual(self.text(), whole)

    def test_packets_limit(self):
        done = meter.run("-f", self.capture, "-c", self.output, "--packets", "3")
        self.assertEqual((done.code, done.account["seen"]), (OK, 3), done.err)
        self.assertEqual(len(meter.rows_of(self.text())), 1)


class StandardInput(CommandLine):
    def test_pipe(self):
        octets = open(self.capture, "rb").read()
        self.assert_replayed(meter.run("-f", "-", "-c", self.output, stdin=octets))
        piped = self.text()
        self.assert_replayed(meter.run("-f", self.capture, "-c", self.output))
        self.assertEqual(piped, self.text())

    def test_empty_pipe(self):
        done = meter.run("-f", "-", "-c", self.output, stdin=b"")
        self.assert_fails(done, FAILED, "-")

    def test_pipe_in_small_pieces(self):
        octets = open(self.capture, "rb").read()
        process = self.start("-f", "-")
        for i in range(0, len(octets), 7):
            process.stdin.write(octets[i:i + 7])
            process.stdin.flush()
        self.assertEqual(self.end(process).code, OK)
        self.assertEqual(len(meter.rows_of(self.text())), 3)

    def start(self, *arguments):
        process = subprocess.Popen([cases.meter_path, *arguments, "-c", self.output], stdin=subprocess.PIPE,
                                   stderr=subprocess.PIPE, preexec_fn=meter.die_with_parent)
        self.addCleanup(lambda: (process.kill(), process.wait(), process.stderr.close()))
        return process

    def end(self, process, close=True):
        if close:
            process.stdin.close()
        process.wait(timeout=60)
        return meter.Finished(process.returncode, "", process.stderr.read().decode())

    def stop_while_waiting_for_input(self, number):
        """A signal while the pipe stays open: the flows so far are written, and the status tells that it is not all."""
        process = self.start("-f", "-")
        process.stdin.write(open(self.capture, "rb").read())
        process.stdin.flush()
        time.sleep(0.5)
        process.send_signal(number)
        done = self.end(process, close=False)
        process.stdin.close()
        self.assert_fails(done, FAILED, "signal")
        meter.assert_balanced(self, done.account)
        self.assertEqual(done.account["seen"], 8, done.err)
        self.assertEqual(len(meter.rows_of(self.text())), 3)

    def test_sigint(self):
        self.stop_while_waiting_for_input(signal.SIGINT)

    def test_sigterm(self):
        self.stop_while_waiting_for_input(signal.SIGTERM)


class Outputs(CommandLine):
    def test_full_disk(self):
        done = meter.run("-f", self.capture, "-c", "/dev/full")
        self.assert_fails(done, FAILED, "/dev/full", "No space left")

    def test_full_standard_output(self):
        for arguments in (("-f", self.capture, "-c", "-"), ("--help",), ("--version",), ("--list-fields",),
                          ("--print-config",), ("features",), ("features", "--help"), ("doctor", "--help")):
            with self.subTest(arguments), open("/dev/full", "wb") as full:
                done = meter.run(*arguments, stdout=full)
                self.assert_fails(done, FAILED, "No space left")

    def test_file_size_limit_leaves_whole_rows(self):
        """A disk that fills up in the middle of a row, played by a limit on the file's size."""
        frames = [(i / 1000, capture.ethernet(capture.udp(ports=(1024 + i, 53)))) for i in range(5000)]
        big = self.write("big.pcap", capture.pcap(frames))
        limit = 500_000

        def limited():
            meter.die_with_parent()
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        process = subprocess.run([cases.meter_path, "-f", big, "-c", self.output], stderr=subprocess.PIPE,
                                 preexec_fn=limited, timeout=60)
        done = meter.Finished(process.returncode, "", process.stderr.decode())
        self.assert_fails(done, FAILED, self.output, "File too large")
        text = self.text()
        self.assertTrue(text.endswith("\n"), "the last row is cut")
        lines = text.splitlines()
        self.assertGreater(len(lines), 100)
        self.assertEqual({line.count(",") for line in lines}, {81})

    def test_output_in_a_missing_directory(self):
        output = self.path("no/such/flows.csv")
        self.assert_fails(meter.run("-f", self.capture, "-c", output), FAILED, output, "No such file")

    def test_output_is_a_directory(self):
        self.assert_fails(meter.run("-f", self.capture, "-c", self.directory), FAILED, self.directory, "directory")

    def test_standard_output_is_the_default(self):
        self.assert_replayed(meter.run("-f", self.capture, "-c", self.output))
        for arguments in ((), ("-c", "-"), ("--csv", "-"), ("-c", "/dev/stdout")):
            with self.subTest(arguments):
                done = meter.run("-f", self.capture, *arguments)
                self.assert_replayed(done)
                self.assertEqual(done.out, self.text())

    def test_reader_of_standard_output_goes_away(self):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb") as closed:
            done = meter.run("-f", self.capture, stdout=closed)
        self.assert_fails(done, FAILED, "Broken pipe")

    def test_closed_standard_output(self):
        process = subprocess.run(["sh", "-c", '"$0" -f "$1" >&-', cases.meter_path, self.capture],
                                 stderr=subprocess.PIPE, timeout=60)
        self.assert_fails(meter.Finished(process.returncode, "", process.stderr.decode()), FAILED)

    def test_quiet(self):
        done = meter.run("-f", self.capture, "-c", self.output, "-q")
        self.assertEqual((done.code, done.err), (OK, ""))

    def test_no_progress_without_a_terminal(self):
        done = meter.run("-f", self.capture, "-c", self.output)
        self.assertNotIn("\r", done.err)


class Fields(CommandLine):
    def test_selection_and_order(self):
        done = meter.run("-f", self.capture, "--fields", "dst_port, protocol,tot_fwd_pkts")
        self.assert_replayed(done)
        self.assertEqual(sorted(done.out.splitlines()[1:]), ["53,17,1", "53,17,1", "80,6,2"])
        self.assertEqual(done.out.splitlines()[0], "dst_port,protocol,tot_fwd_pkts")

    def test_all_columns_by_default(self):
        names = [line.split()[0] for line in meter.run("--list-fields").out.split("\n\n")[0].splitlines()]
        self.assertEqual(meter.run("-f", self.capture).out.splitlines()[0].split(","), names)


    def test_further_columns(self):
        done = meter.run("-f", self.capture, "--fields", "dst_port", "--extra", "end_reason, interface")
        self.assertEqual(done.out.splitlines()[0], "dst_port,end_reason,interface")
        self.assertTrue(all(line.endswith(",end,") for line in done.out.splitlines()[1:]), done.out)
        header = meter.run("-f", self.capture, "--quality").out.splitlines()[0].split(",")
        self.assertEqual((len(header), header[82]), (86, "end_reason"))
        self.assertEqual(meter.run("-f", self.capture, "--fields", "evictions").out.splitlines()[0], "evictions")
        self.assert_fails(meter.run("-f", self.capture, "--extra", "end_reasons"), USAGE, "--extra", "end_reason")

    def test_style_of_rows(self):
        style = ("--fields", "dst_ip,flow_duration,tot_fwd_pkts", "--label", 'scan, "slow"', "--float-format", "fixed:3")
        header, *rows = csv.reader(meter.run("-f", self.capture, *style).out.splitlines())
        self.assertEqual(header, ["dst_ip", "flow_duration", "tot_fwd_pkts", "label"])
        self.assertGreater(len(rows), 0)
        for _, duration, packets, label in rows:
            self.assertRegex(duration, r"^\d+\.\d{3}$")
            self.assertRegex(packets, r"^\d+$")
            self.assertEqual(label, 'scan, "slow"')
        objects = [json.loads(line) for line in meter.run("-f", self.capture, *style, "--json", "-").out.splitlines()]
        self.assertEqual({o["label"] for o in objects}, {'scan, "slow"'})
        of_reals = meter.run("-f", self.capture, "--features", "realtime97", "--lowercase-columns", "-c", "-")
        names = [column["name"] for column in json.loads(meter.run("features", "realtime97", "--json").out)["columns"]]
        self.assertEqual(of_reals.out.splitlines()[0], ",".join(names).lower())

    def test_style_of_rows_that_cannot_be(self):
        for text in ("fixed:65", "fixed:-1", "fixed:", "fixed:2x", "4", ""):
            self.assert_fails(meter.run("-f", self.capture, "--float-format", text), USAGE, "--float-format", "fixed:64")
        self.assert_fails(meter.run("-f", self.capture, "--label", "a\nb"), USAGE, "--label", "one line")
        for option in (("--label", "x"), ("--float-format", "fixed:2"), ("--lowercase-columns",)):
            self.assert_fails(meter.run("-f", self.capture, "--compat", "python", "-c", "-", *option), USAGE, option[0])

    def test_live_options_need_an_interface(self):
        for option in (("--netns", "x"), ("--hook", "tcx"), ("--attach-order", "last"), ("--datapath", "kernel"),
                       ("--flow-map", "lru"),
                       ("--per-interface",), ("--pin", "/x"), ("--unpin",), ("--batch", "5000"), ("--ring-size", "4")):
            self.assert_fails(meter.run("-f", self.capture, *option), USAGE, option[0], "-i")

    def test_wrong_live_options(self):
        for arguments, word in ((("--hook", "kprobe"), "--hook"), (("--attach-order", "middle"), "--attach-order"),
                                (("--datapath", "both"), "--datapath"), (("--unpin",), "--pin"),
                                (("--flow-map", "lru", "--datapath", "kernel"), "--flow-map"),
                                (("--pin", "/x", "--hook", "tc"), "--hook")):
            self.assert_fails(meter.run("-i", "lo", *arguments), USAGE, word)
        self.assert_fails(meter.run("-i", "/(/"), USAGE, "/(/")


class FeatureSets(CommandLine):
    def header(self, *arguments):
        return meter.run("-f", self.capture, "-c", "-", *arguments).out.splitlines()[0].split(",")

    def test_each_set_has_its_columns(self):
        sets = json.loads(meter.run("features", "--json").out)["sets"]
        self.assertEqual([s["name"] for s in sets], ["cic82", "netflowmeter114", "realtime97"])
        self.assertEqual([len(s["columns"]) for s in sets], [82, 7 + 114, 97])
        self.assertEqual(self.header(), [c["name"] for c in sets[0]["columns"]])
        for each in sets:
            names = [c["name"] for c in each["columns"]]
            self.assertEqual(self.header("--features", each["name"]), names)
            for listing in (meter.run("features", each["name"]).out,
                            meter.run("--list-fields", "--features", each["name"]).out.split("\n\n")[0]):
                lines = listing.splitlines()
                self.assertEqual(len(lines), len(names))
                for line, c in zip(lines, each["columns"]):  # names may hold blanks
                    self.assertEqual([line[:len(c["name"])], *line[len(c["name"]):].split(maxsplit=1)],
                                     [c["name"], c["unit"], c["definition"]])
            one = meter.run("features", "--json", each["name"])
            self.assertEqual((one.code, one.err, json.loads(one.out)), (OK, "", each))

    def test_list_of_sets(self):
        done = meter.run("features")
        self.assertEqual((done.code, done.err), (OK, ""))
        self.assertEqual([line.split()[:2] for line in done.out.splitlines()], 
                         [["cic82", "82"], ["netflowmeter114", "121"], ["realtime97", "97"]])

    def test_wrong_sets(self):
        self.assert_fails(meter.run("-f", self.capture, "--features", "cic83"), USAGE, "--features", "cic83", "netflowmeter114")
        self.assert_fails(meter.run("features", "cic83"), USAGE, "cic83", "netflowmeter114")
        self.assert_fails(meter.run("features", ""), USAGE, "netflowmeter114")
        self.assert_fails(meter.run("features", "cic82", "more"), USAGE)
        self.assert_fails(meter.run("-f", self.capture, "--compat", "python", "--features", "cic82"), USAGE, "--features")

    def test_rows(self):
        done = meter.run("-f", self.capture, "--features", "netflowmeter114", "--fields",
                         "flow_id,total_payload_bytes,payload_bytes_std,total_header_bytes", "--extra", "end_reason")
        self.assert_replayed(done)
        self.assertEqual(done.out.splitlines()[1:], [
            "192.0.2.1_4000_192.0.2.2_53_UDP_1970-01-01 00:00:01.000000,40,10,16,end",
            "192.0.2.1_4000_192.0.2.2_80_TCP_1970-01-01 00:00:02.000000,5,2.165063509461097,80,end",
            "192.0.2.1_4001_192.0.2.2_53_UDP_1970-01-01 00:00:03.000000,10,0,8,end"])
        self.assert_fails(meter.run("-f", self.capture, "--features", "netflowmeter114", "--fields", "tot_fwd_pkts"),
                          USAGE, "tot_fwd_pkts")

    def test_own_defaults_and_explicit_options(self):
        """Gaps of 50 s and 150 s: the set's threshold is 100 s; what is given holds, before or behind --features."""
        frame = capture.ethernet(capture.udp())
        path = self.write("gaps.pcap", capture.pcap([(t, frame) for t in (1.0, 51.0, 201.0)]))
        chosen = ("--features", "netflowmeter114")
        for arguments, idle in ((chosen, "150,150"), ((*chosen, "--activity-gap", "20"), "50,150"),
                                (("--activity-gap", "20", *chosen), "50,150"),
                                (("--activity-gap", "160", *chosen), "0,0"), ((), "50,150")):
            with self.subTest(arguments):
                done = meter.run("-f", path, "--fields", "idle_min,idle_max", *arguments)
                self.assertEqual((done.code, done.warnings), (OK, []), done.err)
                self.assertEqual(done.out.splitlines()[1:], [idle])

    def test_idle_timeout_that_leaves_no_idle_periods(self):
        for timeout, warnings in (("100", 1), ("101", 0)):
            done = meter.run("-f", self.capture, "--features", "netflowmeter114", "--idle-timeout", timeout)
            self.assertEqual((done.code, len(done.warnings)), (OK, warnings), done.err)
            self.assertTrue(all("--idle-timeout" in line for line in done.warnings))


class RealTimeFile(CommandLine):
    """realtime97 without -c: output/live_flow_features.csv below the current directory."""

    DEFAULT = os.path.join("output", "live_flow_features.csv")

    def setUp(self):
        super().setUp()
        self.default = self.path(self.DEFAULT)

    def run_here(self, *arguments, **options):
        return meter.run("-f", self.capture, "--features", "realtime97", *arguments, cwd=self.directory, **options)

    def lines(self):
        return self.text(self.default).splitlines()

    def test_is_made_and_announced(self):
        previous = os.umask(0o022)
        self.addCleanup(os.umask, previous)
        done = self.run_here()
        self.assert_replayed(done)
        self.assertIn(self.DEFAULT, done.err)
        self.assertEqual(done.out, "")
        self.assertEqual(os.stat(self.path("output")).st_mode & 0o7777, 0o755)
        self.assertEqual(len(self.lines()), 1 + 3)
        self.assertTrue(self.lines()[0].startswith("Flow ID,Src IP,"))
        self.assertEqual(meter.packets_in(meter.rows_of(self.text(self.default))), 7)

    def test_is_appended_to(self):
        self.run_here()
        once = self.text(self.default)
        self.assert_replayed(self.run_here())
        self.assertEqual(self.text(self.default), once + once.split("\n", 1)[1])

    def test_empty_file_gets_a_header(self):
        os.mkdir(self.path("output"))
        open(self.default, "w", encoding="utf-8").close()
        self.assert_replayed(self.run_here())
        self.assertEqual(len(self.lines()), 1 + 3)

    def test_row_that_was_cut_is_taken_back(self):
        self.run_here()
        once = self.text(self.default)
        for cut in (once[:-1], once + "192.0.2.1-192"):
            with open(self.default, "w", encoding="utf-8") as file:
                file.write(cut)
            self.assert_replayed(self.run_here())
            whole = cut[:cut.rindex("\n") + 1]
            self.assertEqual(self.text(self.default), whole + once.split("\n", 1)[1])

    def test_other_file_is_left_alone(self):
        self.run_here()
        header = self.lines()[0]
        for other in (",,,\n" * 80, "x", "\n" + header + "\n", header, header + ",more\n", header.lower() + "\n"):
            with self.subTest(other[:20]):
                with open(self.default, "w", encoding="utf-8") as file:
                    file.write(other)
                done = self.run_here()
                self.assert_fails(done, FAILED, self.DEFAULT, "--overwrite")
                self.assertEqual(self.text(self.default), other)
                self.assert_replayed(self.run_here("--overwrite"))
                self.assertEqual(len(self.lines()), 1 + 3)

    def test_rows_with_other_columns_are_not_mixed(self):
        self.run_here()
        before = self.text(self.default)
        self.assert_fails(self.run_here("--fields", "Flow ID, Src IP"), FAILED, self.DEFAULT)
        self.assertEqual(self.text(self.default), before)

    def test_overwrite_replaces_rows_too(self):
        self.run_here()
        once = self.text(self.default)
        self.assert_replayed(self.run_here("--overwrite"))
        self.assertEqual(self.text(self.default), once)

    def test_directory_that_cannot_be_made(self):
        with open(self.path("output"), "w", encoding="utf-8"):
            pass
        self.assert_fails(self.run_here(), FAILED, self.DEFAULT)

    def test_nothing_is_made_if_the_input_is_wrong(self):
        done = meter.run("-f", self.path("missing.pcap"), "--features", "realtime97", cwd=self.directory)
        self.assert_fails(done, FAILED, "missing.pcap")
        self.assertFalse(os.path.exists(self.path("output")))

    def test_named_output_is_replaced_as_ever(self):
        with open(self.output, "w", encoding="utf-8") as file:
            file.write("something else\n")
        self.assert_replayed(self.run_here("-c", self.output))
        self.assertEqual(len(self.text().splitlines()), 1 + 3)
        self.assertEqual(len(self.run_here("-c", "-").out.splitlines()), 1 + 3)
        self.assertFalse(os.path.exists(self.path("output")))

    def test_other_sets_write_to_standard_output(self):
        for name in ("cic82", "netflowmeter114"):
            done = meter.run("-f", self.capture, "--features", name, cwd=self.directory)
            self.assertEqual(len(done.out.splitlines()), 1 + 3)
            self.assertFalse(os.path.exists(self.path("output")))

    def test_full_disk_leaves_whole_rows(self):
        self.run_here()
        size = os.path.getsize(self.default)

        def limit():
            meter.die_with_parent()
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 500, size + 500))

        done = subprocess.run([cases.meter_path, "-f", self.capture, "--features", "realtime97"], cwd=self.directory,
                              stderr=subprocess.PIPE, preexec_fn=limit, timeout=60)
        self.assertEqual(done.returncode, FAILED, done.stderr)
        self.assertTrue(self.text(self.default).endswith("\n"))
        for line in self.lines():
            self.assertEqual(line.count(","), 96)

    def test_what_it_does_not_go_with(self):
        for arguments, word in ((("--datapath", "kernel"), "--datapath kernel"), (("--pin", "/x"), "--pin"),
                                (("--compat", "python"), "--features")):
            done = meter.run("-i", "lo", "--features", "realtime97", *arguments, cwd=self.directory)
            self.assert_fails(done, USAGE, word)
        self.assert_fails(self.run_here("--print"), USAGE, "--print")
        self.assert_fails(meter.run("-i", "lo", "--compat", "python", "--print"), USAGE, "--print")
        self.assertFalse(os.path.exists(self.path("output")))


class PythonTool(CommandLine):
    """The command lines of nqmn/cicflowmeter work unchanged but for the program's name."""

    def test_file_and_csv(self):
        self.assert_replayed(meter.run("-f", self.capture, "-c", self.output))
        self.assertEqual(len(meter.rows_of(self.text())), 3)

    def test_csv_as_a_flag(self):
        self.assert_replayed(meter.run("-c", "-f", self.capture, self.output))
        self.assertEqual(len(meter.rows_of(self.text())), 3)

    def test_csv_as_a_flag_last(self):
        self.assert_replayed(meter.run("-f", self.capture, "--csv", self.output))
        self.assert_replayed(meter.run("-f", self.capture, self.output, "-c"))
        self.assertEqual(len(meter.rows_of(self.text())), 3)

    def test_fields_and_verbose(self):
        done = meter.run("-f", self.capture, "-c", self.output, "--fields", "src_ip,dst_ip", "-v")
        self.assert_replayed(done)
        self.assertEqual(self.text().splitlines(), ["src_ip,dst_ip"] + ["192.0.2.1,192.0.2.2"] * 3)
        self.assertIn("packets/s", done.err)


if __name__ == "__main__":
    cases.main()
