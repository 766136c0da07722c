# SPDX-License-Identifier: BSD-3-Clause
"""Flows written to files: NDJSON, compressed, rotated, several at once; a run that is killed, a full file system, a
directory without permission. A file with a final name is complete."""
import csv
import gzip
import io
import json
import os
import re
import shutil
import signal
import subprocess
import time

import capture
import cases
import meter

OK, FAILED, USAGE = 0, 1, 2
NOBODY = "65534"

SANITIZED = True


class Files(cases.Case):
    def flows(self, count):
        path = self.path("x.pcap")
        with open(path, "wb") as file:
            file.write(capture.pcap([(1 + i / 1000, capture.ethernet(
                capture.udp(ports=(1000 + i % 50000, 53 + i // 50000)))) for i in range(count)]))
        return path

    def conversation(self):
        path = self.path("x.pcap")
        with open(path, "wb") as file:
            file.write(capture.pcap(capture.conversation()))
        return path

    def content(self, path):
        """The content of the file, decompressed. An incomplete compressed file is an error."""
        if path.endswith(".zst"):
            return subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True, timeout=60).stdout
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
            return file.read()

    def needs_zstd(self):
        if not shutil.which("zstd"):
            self.skipTest("needs zstd to unpack")

    def needs_mounts(self):
        if subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL, timeout=60).returncode != 0:
            self.skipTest("needs root to mount a tmpfs")

    def assert_whole_csv(self, data):
        """There must be a header, and whole rows with as many cells. Returns the rows."""
        self.assertTrue(data.endswith(b"\n"))
        rows = list(csv.reader(io.StringIO(data.decode())))
        self.assertEqual(rows[0][:3], ["src_ip", "dst_ip", "src_port"])
        self.assertEqual({len(row) for row in rows}, {82})
        return rows[1:]

    def one_error(self, done, *words):
        self.assertEqual(done.code, FAILED, done.err)
        self.assertEqual(len(done.errors), 1, done.err)
        for word in words:
            self.assertIn(word, done.errors[0])


class Formats(Files):
    def test_json_has_the_cells_of_the_csv(self):
        for features in ("cic82", "netflowmeter114"):
            with self.subTest(features):
                done = meter.run("-f", self.conversation(), "--features", features, "-c", self.path("x.csv"), "--json",
                                 self.path("x.json"), "--extra", "interface,end_reason", "--time-format", "python")
                self.assertEqual((done.code, done.errors), (OK, []), done.err)
                rows = meter.rows_of(self.content(self.path("x.csv")).decode())
                # Keeps the text of numbers, because the way they are written is compared, too.
                objects = [json.loads(line, parse_float=str, parse_int=lambda n: int(n))
                           for line in self.content(self.path("x.json")).decode().splitlines()]
                self.assertEqual(len(objects), 3)
                self.assertEqual([{name: str(value) for name, value in each.items()} for each in objects], rows)
                self.assertEqual(list(objects[0]), list(rows[0]))
                texts = {name for name, value in objects[1].items() if isinstance(value, str) and not re.match(r"-?\d+(\.|e)", value)}
                self.assertLessEqual(texts, {"src_ip", "dst_ip", "timestamp", "flow_id", "protocol", "interface",
                                             "end_reason", "label"})

    def test_json_to_standard_output(self):
        done = meter.run("-f", self.conversation(), "--json", "-")
        self.assertEqual(done.code, OK, done.err)
        self.assertEqual([json.loads(line)["tot_fwd_pkts"] for line in done.out.splitlines()], [1, 2, 1])

    def test_tables_of_arrow_are_refused(self):
        """Nothing is created under a name that promises another format."""
        for option in ("-c", "--json"):
            for name, writer in (("x.parquet", "write_parquet"), ("x.feather", "write_feather"), ("x.arrow", "write_feather"),
                                 ("x.ipc", "write_feather"), ("x.parquet.gz", "write_parquet")):
                with self.subTest(option=option, name=name):
                    done = meter.run("-f", self.conversation(), option, self.path(name))
                    self.assertEqual((done.code, len(done.errors)), (USAGE, 1), done.err)
                    for word in (self.path(name), ".csv", f"flowmeter.{writer}()"):
                        self.assertIn(word, done.errors[0])
                    self.assertFalse(os.path.exists(self.path(name)))
        for name in ("parquet", "x.parquet.csv", "x_parquet"):
            self.assertEqual(meter.run("-f", self.conversation(), "-c", self.path(name)).code, OK)

    def test_fields(self):
        done = meter.run("-f", self.conversation(), "--json", "-", "--fields", "dst_port,src_ip")
        self.assertEqual(done.out.splitlines()[0], '{"dst_port":53,"src_ip":"192.0.2.1"}')

    def test_compressed_by_the_name(self):
        self.needs_zstd()
        names = ("x.csv", "x.csv.gz", "x.csv.zst", "y.json", "y.json.gz", "y.json.zst")
        arguments = [part for name in names for part in ("-c" if "csv" in name else "--json", self.path(name))]
        done = meter.run("-f", self.flows(3000), *arguments)
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        for plain in ("x.csv", "y.json"):
            expected = self.content(self.path(plain))
            self.assertEqual(expected.count(b"\n"), 3000 + (plain == "x.csv"))
            for suffix in (".gz", ".zst"):
                self.assertEqual(self.content(self.path(plain + suffix)), expected, plain + suffix)
        self.assertEqual([name for name in os.listdir(self.directory) if name.endswith(".part")], [])

    def test_two_runs_at_once(self):
        """The second run is refused: one file is written by one run."""
        os.mkfifo(self.path("pipe"))
        pcap, output = self.flows(20), self.path("x.csv.gz")
        first = meter.Meter(self, "first", "-f", self.path("pipe"), "-c", output)
        with open(self.path("pipe"), "wb") as pipe:
            meter.wait_for("the first writes", lambda: os.path.exists(output + ".part"))
            with open(pcap, "rb") as file:
                data = file.read()
            pipe.write(data[:len(data) // 2])
            pipe.flush()
            done = meter.run("-f", pcap, "-c", output, "--json", self.path("y.json"))
            self.one_error(done, output, f"by process {first.process.pid}")
            pipe.write(data[len(data) // 2:])
        self.assertEqual(first.wait().code, OK, first.err())
        self.assertEqual(len(self.assert_whole_csv(self.content(output))), 20)
        self.assertEqual(meter.run("-f", pcap, "-c", output).code, OK)

    def is_locked(self, path):
        with open("/proc/locks", encoding="ascii") as locks:
            return f":{os.stat(path).st_ino} " in locks.read()

    def test_two_runs_with_one_plain_file(self):
        """By any of its names, as CSV or JSON. The first has all its rows, and a free file is written again."""
        os.mkfifo(self.path("pipe"))
        pcap, output = self.flows(20), self.path("x.csv")
        with open(output, "w", encoding="ascii") as file:
            file.write("old\n")
        os.link(output, self.path("hard.csv"))
        os.symlink("x.csv", self.path("soft.csv"))
        first = meter.Meter(self, "first", "-f", self.path("pipe"), "-c", output)
        with open(self.path("pipe"), "wb") as pipe:
            meter.wait_for("the first has it", lambda: self.is_locked(output))
            for option, name in (("-c", "x.csv"), ("--json", "x.csv"), ("-c", "hard.csv"), ("--json", "soft.csv")):
                with self.subTest(f"{option} {name}"):
                    done = meter.run("-f", pcap, option, self.path(name))
                    self.one_error(done, self.path(name), f"by process {first.process.pid}", "name another")
                    self.assertEqual(self.content(output), b"old\n")
            with open(pcap, "rb") as file:
                pipe.write(file.read())
        self.assertEqual(first.wait().code, OK, first.err())
        self.assertEqual(len(self.assert_whole_csv(self.content(output))), 20)
        self.assertEqual(meter.run("-f", pcap, "-c", output).code, OK)

    def test_a_run_that_fails_at_its_start_leaves_files_alone(self):
        for name in ("x.csv.gz", "x.csv"):
            with open(self.path(name), "w", encoding="ascii") as file:
                file.write("kept")
        done = meter.run("-f", self.conversation(), "-c", self.path("x.csv"), "-c", self.path("x.csv.gz"),
                         "--json", self.path("absent/x.json"))
        self.one_error(done, "absent/x.json")
        for name in ("x.csv.gz", "x.csv"):
            with open(self.path(name), encoding="ascii") as file:
                self.assertEqual(file.read(), "kept")
        self.assertEqual(sorted(os.listdir(self.directory)), ["x.csv", "x.csv.gz", "x.pcap"])

    def test_without_flows(self):
        with open(self.path("x.pcap"), "wb") as file:
            file.write(capture.pcap([]))
        done = meter.run("-f", self.path("x.pcap"), "-c", self.path("x.csv.gz"), "--json", self.path("x.json.gz"))
        self.assertEqual(done.code, OK, done.err)
        self.assertEqual(self.assert_whole_csv(self.content(self.path("x.csv.gz"))), [])
        self.assertEqual(self.content(self.path("x.json.gz")), b"")


class Account(Files):
    def test_every_output_has_one(self):
        done = meter.run("-f", self.flows(30), "-c", self.path("x.csv"), "--json", self.path("x.json.gz"), "--json", "-")
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        lines = [line.partition("info: output ")[2] for line in done.err.splitlines() if "info: output " in line]
        self.assertEqual(sorted(lines), [f"{name}: rows=30 written=30 waiting=0 dropped=0{more}" for name, more in (
            ("-", ""), (self.path("x.csv"), ""), (self.path("x.json.gz"), " files=1"))])
        for mode in ("python", "java"):
            done = meter.run("-f", self.conversation(), "-c", self.path("x.csv"), "--compat", mode)
            rows = self.content(self.path("x.csv")).count(b"\n") - 1
            self.assertIn(f"output {self.path('x.csv')}: rows={rows} written={rows} waiting=0 dropped=0", done.err)
        self.assertNotIn("output", meter.run("-f", self.conversation(), "-c", self.path("x.csv"), "-q").err)


class Several(Files):
    def test_one_fails(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full here")
        done = meter.run("-f", self.flows(3000), "-c", "/dev/full", "-c", self.path("x.csv"), "--json",
                         self.path("x.json.gz"))
        self.one_error(done, "/dev/full", "No space left", "3000 are lost")
        self.assertEqual(len(self.assert_whole_csv(self.content(self.path("x.csv")))), 3000)
        self.assertEqual(self.content(self.path("x.json.gz")).count(b"\n"), 3000)

    def test_standard_output_is_one_output_s(self):
        x = self.conversation()
        for arguments in (("-c", "-", "--json", "-"), ("--table", "-c", "-"), ("--table", "--json", "-"),
                          ("-c", "-", "-c", "-")):
            done = meter.run("-f", x, *arguments)
            self.assertEqual((done.code, len(done.errors)), (USAGE, 1), done.err)
            self.assertIn("standard output", done.errors[0])

    def test_a_file_named_twice(self):
        done = meter.run("-f", self.conversation(), "-c", self.path("x"), "--json", self.path("x"))
        self.assertEqual((done.code, len(done.errors)), (USAGE, 1), done.err)
        self.assertIn("named twice", done.errors[0])
        self.assertFalse(os.path.exists(self.path("x")))

    def test_a_file_by_two_names(self):
        with open(self.path("x.csv"), "w", encoding="ascii") as file:
            file.write("kept")
        os.symlink("x.csv", self.path("link"))
        pcap = self.conversation()
        for other in (".//x.csv", "../" + os.path.basename(self.directory) + "/x.csv", self.path("link")):
            done = meter.run("-f", pcap, "-c", "x.csv", "--json", other, cwd=self.directory)
            self.assertEqual((done.code, len(done.errors)), (USAGE, 1), (other, done.err))
            self.assertIn("x.csv is named twice", done.errors[0])
            self.assertEqual(self.content(self.path("x.csv")), b"kept")

    def test_an_output_that_is_an_input(self):
        x = self.conversation()
        done = meter.run("-f", x, "-c", self.path("x.csv"), "--json", x)
        self.assertEqual((done.code, len(done.errors)), (USAGE, 1), done.err)
        self.assertIn("also an input", done.errors[0])


class Rotated(Files):
    def files(self, suffix):
        return sorted(self.path(name) for name in os.listdir(self.directory)
                      if name.startswith("flows-") and name.endswith(suffix))


class Rotation(Rotated):
    def test_by_size(self):
        done = meter.run("-f", self.flows(3000), "-c", self.path("flows.csv"), "--rotate", "100KB")
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        files = self.files(".csv")
        self.assertGreater(len(files), 5)
        ports = []
        for path in files:
            self.assertRegex(os.path.basename(path), r"^flows-\d{8}T\d{6}Z-\d{6}\.csv$")
            self.assertLessEqual(os.path.getsize(path), 100_000)
            ports += [int(row[2]) for row in self.assert_whole_csv(self.content(path))]
        self.assertEqual(ports, list(range(1000, 4000)))
        for path in files[:-1]:
            self.assertGreater(os.path.getsize(path), 99_000, "ended early")
        self.assertFalse(os.path.exists(self.path("flows.csv")))

    def test_a_row_longer_than_the_limit(self):
        done = meter.run("-f", self.flows(5), "--json", self.path("flows.json"), "--rotate", "1KB")
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertEqual([self.content(path).count(b"\n") for path in self.files(".json")], [1] * 5)

    def test_compressed(self):
        self.needs_zstd()
        for suffix in (".json.gz", ".json.zst"):
            done = meter.run("-f", self.flows(20000), "--json", self.path("flows" + suffix), "--rotate", "50KB")
            self.assertEqual((done.code, done.errors), (OK, []), done.err)
            files = self.files(suffix)
            self.assertGreater(len(files), 1)
            ports = [json.loads(line)["src_port"] for path in files for line in self.content(path).splitlines()]
            self.assertEqual(ports, list(range(1000, 21000)))

    def test_replaces_nothing(self):
        for _ in range(2):
            done = meter.run("-f", self.flows(500), "-c", self.path("flows.csv"), "--rotate", "100KB")
            self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertEqual(sum(len(self.assert_whole_csv(self.content(path))) for path in self.files(".csv")), 1000)

    def test_killed(self):
        """At any moment, files with final names are whole, and hold the first rows without a gap."""
        self.needs_zstd()
        x = self.flows(40000)
        moments = 0
        for attempt in range(6):
            for name in os.listdir(self.directory):
                if name.startswith("flows-"):
                    os.unlink(self.path(name))
            process = subprocess.Popen([cases.meter_path, "-f", x, "-c", self.path("flows.csv"), "--json",
                                        self.path("flows.json.zst"), "--rotate", "20KB"], stderr=subprocess.DEVNULL,
                                       preexec_fn=meter.die_with_parent)
            try:
                meter.wait_for("files", lambda: len(self.files(".csv")) > attempt * 7 or process.poll() is not None, 60)
                time.sleep(0.002 * attempt)
            finally:
                running = process.poll() is None
                process.send_signal(signal.SIGKILL)
                process.wait()
            moments += running
            ports = [int(row[2]) + 50000 * (int(row[3]) - 53) for path in self.files(".csv")
                     for row in self.assert_whole_csv(self.content(path))]
            self.assertEqual(ports, list(range(1000, 1000 + len(ports))))
            for path in self.files(".zst"):
                for line in self.content(path).splitlines():
                    json.loads(line)
        self.assertGreater(moments, 2, "it had mostly ended before it was killed")


class Kept(Rotated):
    """--keep: the oldest rotated files are removed."""

    def run_keeping(self, count, keep, *more, **options):
        done = meter.run("-f", self.flows(count), "-c", self.path("flows.csv"), "--rotate", "100KB", "--keep", keep, *more,
                         **options)
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        return done

    def ports(self):
        return [int(row[2]) for path in self.files(".csv") for row in self.assert_whole_csv(self.content(path))]

    def test_the_newest_files_stay(self):
        others = ["flows-b-20200101T000000Z-000001.csv", "flows-20200101T000000Z-000001.csv.part", "flows.csv"]
        for name in others:
            with open(self.path(name), "w", encoding="ascii"):
                pass
        done = self.run_keeping(3000, "3")
        self.assertLessEqual(set(others), set(os.listdir(self.directory)))
        for name in others:
            os.unlink(self.path(name))
        ports = self.ports()
        self.assertEqual(len(self.files(".csv")), 3)
        self.assertEqual(ports, list(range(4000 - len(ports), 4000)))
        self.assertEqual(done.warnings, [])

    def test_by_size(self):
        self.run_keeping(3000, "250KB")
        self.assertEqual(len(self.files(".csv")), 3 if os.path.getsize(self.files(".csv")[-1]) < 50_000 else 2)
        self.assertLessEqual(sum(map(os.path.getsize, self.files(".csv"))), 250_000)
        self.assertEqual(self.ports()[-1], 3999)

    def test_also_those_of_earlier_runs(self):
        for _ in range(3):
            self.run_keeping(300, "100")
        self.assertGreater(len(self.files(".csv")), 2)
        self.run_keeping(0, "2")
        self.assertEqual(len(self.files(".csv")), 2)

    def test_each_output_has_its_own(self):
        self.run_keeping(1000, "2", "--json", self.path("flows.json"))
        self.assertEqual((len(self.files(".csv")), len(self.files(".json"))), (2, 2))

    def test_what_cannot_be_removed_is_reported_once(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to become another user")
        program, output = self.path("meter"), self.path("output")
        shutil.copy(cases.meter_path, program)
        os.mkdir(output)
        os.chmod(output, 0o1777)  # where only the owner of a file may remove it
        old = [f"flows-2020010{day}T000000Z-000001.csv" for day in (1, 2)]
        for name in old:
            with open(os.path.join(output, name), "w", encoding="ascii"):
                pass
        done = meter.run(program, "-f", self.flows(3000), "-c", output + "/flows.csv", "--rotate", "100KB", "--keep", "2",
                         prefix=("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "sh", "-c",
                                 'shift; exec "$@"', "sh"))
        self.assertEqual((done.code, done.errors, len(done.warnings)), (OK, [], 1), done.err)
        self.assertIn(f"{output}/{old[0]} (Operation not permitted)", done.warnings[0])
        self.assertEqual(len(os.listdir(output)), 4, "the new ones are removed nevertheless")

    def test_it_needs_files_that_rotate(self):
        done = meter.run("-f", self.flows(1), "-c", self.path("flows.csv"), "--keep", "2")
        self.assertEqual((done.code, len(done.errors)), (USAGE, 1), done.err)
        self.assertIn("--rotate", done.errors[0])


class ForcedEnd(Files):
    def give_up(self, *arguments):
        """Two signals while a reader accepts nothing. Returns the lines on standard error; the rows that they give up,
        with those in the pipe, are all."""
        path = self.path("twice.pcap")
        frames = [capture.ethernet(capture.udp(ports=(1000 + i, 53))) for i in range(3000)]
        with open(path, "wb") as file:  # two packets per flow, because Java writes no flow of one
            file.write(capture.pcap([(1 + i / 10000, frame) for i, frame in enumerate(frames + frames)]))
        process = subprocess.Popen([cases.meter_path, "-f", path, "-c", "-", *arguments], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=meter.die_with_parent)
        with process:
            self.addCleanup(process.kill)
            meter.wait_for("the pipe is full", lambda: meter.bytes_in_pipe(process.stdout) > 60000)
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(timeout=60), FAILED)
            in_pipe = process.stdout.read().count(b"\n") - 1
            err = process.stderr.read().decode()
        flows, rows = meter.given_up(err)
        self.assertGreaterEqual(in_pipe + flows + rows, 3000, err)
        self.assertLess(in_pipe + flows, 3000, err)
        return err.splitlines()

    def test_says_what_is_given_up(self):
        for compat in ((), ("--compat", "python"), ("--compat", "java")):
            with self.subTest(compat):
                line, = self.give_up(*compat)
                self.assertTrue(line.startswith("flowmeter-ebpf: error: ended by a second signal: "), line)

    def test_in_the_format_of_the_log(self):
        line, = self.give_up("--log-format", "json")
        self.assertEqual(json.loads(line)["level"], "error")
        line, = self.give_up("--log-format", "logfmt")
        self.assertRegex(line, r'^time=\S+ level=error msg="ended by a second signal: [^"]*"$')


class Failing(Files):
    def test_full_file_system(self):
        """The outputs are on a tiny tmpfs in a mount namespace, and are copied out of it at the end."""
        self.needs_mounts()
        script = ('mount -t tmpfs -o size=256k none "$0" && "$@"; status=$?; mkdir "$0.out"; cp "$0"/* "$0.out/"; '
                  "exit $status")
        x = self.flows(3000)
        for name, arguments in (("flows.csv", ()), ("flows.csv", ("--rotate", "64KB")), ("flows.json", ()),
                                ("flows.json", ("--rotate", "100KB"))):
            with self.subTest(f"{name} {arguments}"):
                disk = self.path("disk")
                shutil.rmtree(disk + ".out", ignore_errors=True)
                os.makedirs(disk, exist_ok=True)
                option = "-c" if name.endswith(".csv") else "--json"
                done = meter.run("-f", x, option, f"{disk}/{name}", *arguments, "-c", self.path("other.csv"),
                                 prefix=("unshare", "-m", "sh", "-c", script, disk))
                self.one_error(done, disk + "/flows", "No space left", "rows are in it")
                ports = []
                for each in sorted(os.listdir(disk + ".out")):
                    text = self.content(f"{disk}.out/{each}")
                    if each.endswith(".csv"):
                        ports += [int(row[2]) for row in self.assert_whole_csv(text)]
                    elif each.endswith(".json"):
                        ports += [json.loads(line)["src_port"] for line in text.splitlines()]
                self.assertGreater(len(ports), 80)
                self.assertEqual(ports, list(range(1000, 1000 + len(ports))), "earlier rows are intact")
                # With --rotate the other file is rotated as well.
                others = [self.path(each) for each in os.listdir(self.directory) if each.startswith("other")]
                rows = [row for path in others for row in self.assert_whole_csv(self.content(path))]
                self.assertEqual(len(rows), 3000, "the other output has all rows")
                for path in others:
                    os.unlink(path)

    def test_full_file_system_compressed(self):
        """A compressed file that is incomplete gets no final name."""
        self.needs_mounts()
        script = 'mount -t tmpfs -o size=16k none "$0" && "$@"; status=$?; ls "$0" >"$0.ls"; exit $status'
        disk = self.path("disk")
        os.mkdir(disk)
        done = meter.run("-f", self.flows(20000), "--json", disk + "/flows.json.gz",
                         prefix=("unshare", "-m", "sh", "-c", script, disk))
        self.one_error(done, disk + "/flows.json.gz.part", "No space left")
        # Where already the first rows do not fit, which depends on how many the writer takes at once, nothing is left.
        self.assertIn(self.content(disk + ".ls"), (b"flows.json.gz.part\n", b""))

    def test_closed_directory(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to become another user")
        closed = self.path("closed")
        os.mkdir(closed, 0o755)
        program = self.path("meter")
        shutil.copy(cases.meter_path, program)
        os.chmod(program, 0o755)
        x = self.conversation()
        os.chmod(x, 0o644)
        for name, arguments in (("x.csv", ()), ("x.csv.gz", ()), ("x.csv", ("--rotate", "1h"))):
            done = meter.run(program, "-f", x, "-c", f"{closed}/{name}", *arguments, prefix=(
                "setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "sh", "-c", 'shift; exec "$@"', "sh"))
            self.one_error(done, closed + "/x", "Permission denied")
            self.assertEqual(os.listdir(closed), [])

    def test_compressed_to_what_is_no_file(self):
        os.mkfifo(self.path("x.gz"))
        done = meter.run("-f", self.conversation(), "-c", self.path("x.gz"))
        self.one_error(done, "x.gz", "not a regular file")
