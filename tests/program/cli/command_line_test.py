# SPDX-License-Identifier: BSD-3-Clause
"""Command lines and bad input of the whole program, without an interface: exit status, exactly one error line that
names the file or option, and outputs that stay whole."""
import os
import pathlib
import resource
import signal
import subprocess
import time

import capture
import cases
import meter
from command_line_cases import CommandLine, FAILED, NOBODY, OK, USAGE

SANITIZED = True


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
        """A time-out of years also works: a gap of exactly the time-out ends no flow, one that is a nanosecond longer
        does."""
        frame = capture.ethernet(capture.udp())
        path = self.write("gap.pcap", capture.pcap([(t, frame) for t in (0, 315360000)]))
        for timeout, rows in (("315360000", 1), ("315359999.999999999", 2)):
            with self.subTest(timeout):
                done = meter.run("-f", path, "--fields", "src_ip", "--idle-timeout", timeout,
                                 "--active-timeout", "315360000")
                self.assertEqual((done.code, len(done.out.splitlines()[1:])), (OK, rows), done.err)

    def test_absurd_numbers(self):
        for option in ("--packets", "--max-flows", "--max-fragments", "--event-memory", "--bulk-min-packets"):
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
        before = pathlib.Path(self.capture).read_bytes()
        self.assert_fails(meter.run("-f", self.capture, "-c", self.capture), USAGE, self.capture)
        link = self.path("link.pcap")
        os.symlink(self.capture, link)
        self.assert_fails(meter.run("-f", self.capture, "-c", link), USAGE, link)
        self.assertEqual(pathlib.Path(self.capture).read_bytes(), before)

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
    """Inputs that cannot be read, or only in part."""

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
        data = capture.pcap(capture.conversation())
        for cut in (1, 20, 60):
            with self.subTest(cut):
                short = self.write("cut.pcap", data[:-cut])
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
        data = capture.pcap(capture.conversation()) + b"\xff" * 64
        done = meter.run("-f", self.write("odd.pcap", data), "-c", self.output)
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
        data = pathlib.Path(self.capture).read_bytes()
        self.assert_replayed(meter.run("-f", "-", "-c", self.output, stdin=data))
        piped = self.text()
        self.assert_replayed(meter.run("-f", self.capture, "-c", self.output))
        self.assertEqual(piped, self.text())

    def test_empty_pipe(self):
        done = meter.run("-f", "-", "-c", self.output, stdin=b"")
        self.assert_fails(done, FAILED, "-")

    def test_pipe_in_small_pieces(self):
        data = pathlib.Path(self.capture).read_bytes()
        process = self.start("-f", "-")
        for i in range(0, len(data), 7):
            process.stdin.write(data[i:i + 7])
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
        """A signal while the pipe stays open: the flows so far are written, and the exit status says that some are
        missing."""
        process = self.start("-f", "-")
        process.stdin.write(pathlib.Path(self.capture).read_bytes())
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
        """A limit on the file's size stands for a disk that fills up in the middle of a row."""
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
