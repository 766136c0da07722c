# SPDX-License-Identifier: BSD-3-Clause
"""Options that choose the columns: --fields, --features with its file, and the command line of the Python tool."""
import csv
import json
import os
import resource
import signal
import subprocess

import capture
import cases
import meter
from command_line_cases import CommandLine, FAILED, OK, USAGE


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

    def test_columns_of_owners_need_attribution(self):
        live = ("-i", "lo", "-c", self.output)
        for options, words in (
                (("--fields", "src_ip,dst_pod_name"), ("--fields", "dst_pod_name", "--attribute container or process")),
                (("--extra", "src_comm"), ("--extra", "src_comm", "--attribute process")),
                (("--extra", "dst_pid", "--attribute", "container"), ("--extra", "dst_pid", "--attribute process")),
                (("--attribute", "pod"), ("--attribute", "container", "process")),
                (("--attribute", "container", "--compat", "python"), ("--attribute", "--compat")),
                (("--engine", "unix:///run/docker.sock"), ("--engine", "--attribute")),
                (("--engine", "tcp://127.0.0.1:2375", "--attribute", "container"), ("--engine", "unix:///")),
                (("--engine", "unix:///" + 107 * "x", "--attribute", "container"), ("--engine", "107 bytes"))):
            with self.subTest(options):
                self.assert_fails(meter.run(*live, *options), USAGE, *words)
        self.assert_fails(meter.run("-f", self.capture, "--attribute", "process"), USAGE, "--attribute", "not in a capture")
        self.assertFalse(os.path.exists(self.output))

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

    def test_formats_of_times(self):
        """Packets at 1 s and later: the first flow starts then."""
        iso, plain = "1970-01-01T00:00:01.000000", "1970-01-01 00:00:01.000000"
        formats = {None: (plain, iso + "Z"), "python": (plain, plain), "iso": (iso + "Z", iso + "Z"),
                   "epoch": ("1.000000", 1.0), "epoch-us": ("1000000", 1000000)}
        for name, (in_csv, in_json) in formats.items():
            with self.subTest(name):
                chosen = ("--fields", "timestamp", *(("--time-format", name) if name else ()))
                self.assertIn(in_csv, meter.run("-f", self.capture, *chosen).out.splitlines())
                lines = meter.run("-f", self.capture, *chosen, "--json", "-").out.splitlines()
                found = [json.loads(line)["timestamp"] for line in lines]
                self.assertIn((in_json, type(in_json)), [(each, type(each)) for each in found])
        precise = ("--features", "realtime97", "--fields", "Timestamp")
        for more, text in (((), "1.000000000"), (("--time-format", "iso"), iso + "000Z")):
            self.assertIn(text, meter.run("-f", self.capture, *precise, "-c", "-", *more).out.splitlines())
        self.assertIn('{"Timestamp":"' + iso + '000Z"}',
                      meter.run("-f", self.capture, *precise, "--json", "-").out.splitlines())
        self.assert_fails(meter.run("-f", self.capture, "--time-format", "rfc"), USAGE, "--time-format", "epoch-us")

    def test_style_of_rows_that_cannot_be(self):
        for text in ("fixed:65", "fixed:-1", "fixed:", "fixed:2x", "4", ""):
            self.assert_fails(meter.run("-f", self.capture, "--float-format", text), USAGE, "--float-format", "fixed:64")
        self.assert_fails(meter.run("-f", self.capture, "--label", "a\nb"), USAGE, "--label", "one line")
        for option in (("--label", "x"), ("--float-format", "fixed:2"), ("--lowercase-columns",),
                       ("--time-format", "iso")):
            self.assert_fails(meter.run("-f", self.capture, "--compat", "python", "-c", "-", *option), USAGE, option[0])

    def test_live_options_need_an_interface(self):
        for option in (("--netns", "x"), ("--hook", "tcx"), ("--attach-order", "last"), ("--datapath", "kernel"),
                       ("--flow-map", "lru"),
                       ("--per-interface",), ("--pin", "/x"), ("--unpin",), ("--batch", "5000"), ("--event-memory", "4")):
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

    def test_tables_of_a_database(self):
        done = meter.run("features", "realtime97", "--ddl", "clickhouse", "--table", "net.rows", "--kafka", "a:9092/flows")
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        for part in ("CREATE TABLE IF NOT EXISTS net.rows\n", "`Flow Bytes/s` Float64", "net.rows_1m", "net.rows_once",
                     "kafka_topic_list = 'flows'"):
            self.assertIn(part, done.out)
        self.assertNotIn("Kafka", meter.run("features", "cic82", "--ddl", "clickhouse-18").out)
        for arguments, word in ((("cic82", "--ddl", "mysql"), "clickhouse-18"), (("--ddl", "clickhouse"), "SET"),
                                (("cic82", "--ddl", "clickhouse", "--json"), "--json"), (("cic82", "--table", "x"), "--ddl"),
                                (("cic82", "--ddl", "clickhouse", "--table", "a b"), "--table"),
                                *((("cic82", "--ddl", "clickhouse", "--kafka", target), "--kafka")
                                  for target in ("a:9092", "/t", "a:1/", "a'/t", "a:1/t'", "a/b/t", "a b/t"))):
            self.assert_fails(meter.run("features", *arguments), USAGE, word)
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
        """Gaps of 50 s and 150 s: the set's threshold is 100 s; an explicit value takes precedence, before or after
        --features."""
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
        again = self.run_here()
        self.assert_replayed(again)
        self.assertIn(f"appending to {self.DEFAULT}, 3 rows there", again.err)
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
            done = self.run_here()
            self.assert_replayed(done)
            whole = cut[:cut.rindex("\n") + 1]
            self.assertEqual(self.text(self.default), whole + once.split("\n", 1)[1])
            self.assertIn(f"cut {len(cut) - len(whole)} bytes at its end (an incomplete row)", done.err)

    def test_header_that_was_cut_is_completed(self):
        self.run_here()
        once = self.text(self.default)
        for size in (1, once.index("\n")):
            with open(self.default, "w", encoding="utf-8") as file:
                file.write(once[:size])
            self.assert_replayed(self.run_here())
            self.assertEqual(self.text(self.default), once)

    def test_other_file_is_left_alone(self):
        self.run_here()
        header = self.lines()[0]
        for other in (",,,\n" * 80, "x", "\n" + header + "\n", header + ",more\n", header.lower() + "\n"):
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
        for arguments, word in ((("--datapath", "kernel"), "--datapath kernel"), (("--compat", "python"), "--features")):
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
