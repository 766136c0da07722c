# SPDX-License-Identifier: BSD-3-Clause
"""--pin: a version whose maps have other layouts is followed by this one, under load. What the earlier version has metered
becomes rows, the account goes on, and every packet is in exactly one row."""
import os
import random
import time

import cases
import meter
import namespaces
import other_version
from namespaces import A4, B4
from restart_cases import Pinned
from restart_load_test import Load, by_flow, packets_by_flow

LABEL = "chaos"  # it compiles the program once more
SIZES = {"--max-flows": "200000", "--event-memory": "64", "--idle-timeout": "30"}
RATE = 500


class Versions(Pinned):
    def setUp(self):
        super().setUp()
        self.other = other_version.build(cases.meter_path)
        self.csv = self.path("rows.csv")

    def meters(self, name, *arguments, **options):
        sizes = [word for size in SIZES.items() if size[0] not in arguments for word in size]
        return self.pinned(name, *sizes, "-c", self.csv, "--quality", *arguments, **options)

    def earlier(self, *arguments, name="earlier"):
        return self.meters(name, *arguments, program=self.other)

    def rows(self):
        with open(self.csv, encoding="utf-8") as file:
            return meter.rows_of(file.read())

    def account_holds(self, done, load, told=True):
        """The account of the last meter, which covers all of them, agrees with the rows and with what was sent. told: what
        is lost was lost by the earlier version alone."""
        rows = self.rows()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        meter.assert_balanced(self, done.account)
        self.assertEqual(meter.packets_in(rows), done.account["in_rows"], done.err)
        self.assertEqual(done.account["in_rows"] + done.account["lost"], done.account["metered"], done.err)
        counted = packets_by_flow(rows)
        missing = {ports: packets - counted.get(ports, 0) for ports, packets in load.by_ports().items()}
        self.assertEqual([each for each in missing.items() if each[1] < 0], [], "in two rows")
        # Only the earlier program knows a packet for which it found its flow locked.
        self.assertLessEqual(sum(missing.values()), done.account["lost"], done.err)
        self.assertLess(done.account["lost"], 20, done.err)
        if told and done.account["lost"]:
            self.assertIn(f"{done.account['lost']} packets that another version has metered", done.err)
        self.assertFalse(os.path.exists(self.pins), "the pins must be gone")
        return rows


class Upgrade(Versions):
    def upgrade(self, end, *arguments, later=()):
        earlier = self.earlier(*arguments).wait_attached()
        with Load(self, RATE) as load:
            time.sleep(1)
            end(earlier)
            time.sleep(0.5)
            live = self.meters("later", "--unpin", *(later or arguments)).wait_attached()
            time.sleep(0.5)
        self.pair.wait_quiet()
        done = live.stop()
        rows = self.account_holds(done, load)
        ends = {row["end_reason"] for row in rows}
        self.assertEqual(ends, {"upgrade", "end"})
        # Flows that go on have a row of each version.
        for ports, each in by_flow(rows).items():
            if ports[1] == "50000":
                self.assertEqual([row["end_reason"] for row in each], ["upgrade", "end"], ports)
        return rows

    def have_times(self, rows):
        ended = [row for row in rows if row["end_reason"] == "upgrade"]
        self.assertEqual({row["timing_estimated"] for row in ended}, {"0"})
        several = [row for row in ended if int(row["tot_fwd_pkts"]) > 1]
        self.assertTrue(several and all(float(row["flow_iat_max"]) > 0 for row in several))

    def test_stopped(self):
        self.upgrade(self.stop)

    def test_stopped_datapath_kernel(self):
        self.have_times(self.upgrade(self.stop, "--datapath", "kernel"))

    def test_killed(self):
        self.upgrade(self.kill)

    def test_killed_datapath_kernel(self):
        self.have_times(self.upgrade(self.kill, "--datapath", "kernel"))

    def test_other_options(self):
        self.upgrade(self.kill, "--flow-map", "lru", "--event-memory", "32",
                     later=("--datapath", "kernel", "--max-flows", "100000", "--event-memory", "16"))

    def test_rows_of_others_stay(self):
        """Those that follow the last row of a program that has ended in order."""
        earlier = self.earlier().wait_attached()
        self.udp(self.pair.a, A4, 42000).sendto(b"x", (B4, 1000))
        self.stop(earlier)
        with open(self.csv, "r+", encoding="utf-8") as file:
            others = ",".join(["9"] * len(file.readline().split(","))) + "\n"
            file.seek(0, os.SEEK_END)
            file.write(others)
        done = self.meters("later", "--unpin").wait_attached().stop()
        self.assertEqual((done.code, done.errors), (0, []), done.err)
        with open(self.csv, encoding="utf-8") as file:
            self.assertIn(others, file.readlines()[1:])

    def moments(self):
        """Conditions that become true one after the other, while the maps of both versions are pinned."""
        exists = lambda name: os.path.exists(f"{self.pins}/{name}")  # noqa: E731
        yield lambda: exists("earlier")
        yield lambda: exists("earlier/streams")
        yield lambda: exists("earlier/journal")
        yield lambda: not exists("journal")
        yield lambda: exists("earlier/journal") and exists("layouts")
        yield lambda: exists("earlier/journal") and exists("journal")

    def killed_during_the_upgrade(self, *arguments):
        earlier = self.earlier(*arguments).wait_attached()
        with Load(self, RATE) as load:
            time.sleep(1)
            self.kill(earlier)
            for condition in self.moments():
                live = self.meters("killed", *arguments)
                end = time.monotonic() + 2  # the moment may pass unseen
                while live.process.poll() is None and not condition() and time.monotonic() < end:
                    pass
                self.kill(live)
                self.assertEqual(meter.lines_of(live.err(), "error"), [])
            delays = [random.uniform(0, 0.5) for _ in range(20 if os.environ.get("TEST_FULL") else 5)]
            for delay in delays:
                live = self.meters("killed", *arguments)
                time.sleep(delay)
                self.kill(live)
            live = self.meters("later", "--unpin", *arguments).wait_attached()
        self.pair.wait_quiet()
        done = live.stop()
        with self.subTest(delays=delays):
            self.account_holds(done, load, told=False)

    def test_killed_during_the_upgrade(self):
        self.killed_during_the_upgrade()

    def test_killed_during_the_upgrade_datapath_kernel(self):
        self.killed_during_the_upgrade("--datapath", "kernel")


class Refused(Versions):
    def left(self):
        return {name: namespaces.run("bpftool", "-j", "map", "show", "pinned", f"{self.pins}/{name}")
                for name in os.listdir(self.pins) if not name.startswith("link-")}

    def test_what_cannot_be_read(self):
        """Nothing has changed: the earlier version goes on."""
        earlier = self.earlier().wait_attached()
        with Load(self, RATE) as load:
            self.kill(earlier)
            before = self.left()
            for name in ("layouts", "flows", "interfaces", "streams", "stream_units"):
                pin, kept = f"{self.pins}/{name}", f"{self.pins}/kept"
                os.rename(pin, kept)
                with self.subTest(missing=name):
                    self.one_error(self.meters("refused").wait(), "--pin", self.pins, "incompatible version", name)
                namespaces.run("bpftool", "map", "create", pin, "type", "array", "key", "4", "value", "64", "entries", "1",
                               "name", name)
                with self.subTest(other=name):
                    self.one_error(self.meters("refused").wait(), "--pin", self.pins, "incompatible version")
                os.remove(pin)
                os.rename(kept, pin)
            self.assertEqual(self.left(), before)
            live = self.earlier("--unpin", name="again").wait_attached()
        self.pair.wait_quiet()
        self.account_holds(live.stop(), load)

    def test_an_upgrade_that_is_not_finished(self):
        """Some of its rows found no room. Only the version that has begun it can go on."""
        small = self.path("small")
        os.mkdir(small)
        namespaces.run("mount", "-t", "tmpfs", "-o", "size=1m", "none", small)
        self.addCleanup(namespaces.run, "umount", "-l", small)
        self.csv = small + "/rows.csv"
        earlier = self.earlier().wait_attached()
        with Load(self, 3000) as load:
            meter.wait_for("flows", lambda: len(load.sent) > 5000)
            self.kill(earlier)
            live = self.meters("full").wait_attached()
            meter.wait_for("the disk is full", lambda: "No space" in live.err())
            self.kill(live)
            self.assertTrue(os.path.exists(self.pins + "/earlier/journal"))
            self.one_error(self.earlier(name="back").wait(), "--pin", self.pins, "start that version once more")
            namespaces.run("mount", "-o", "remount,size=64m", small)
            live = self.meters("later", "--unpin").wait_attached()
            self.assertRegex(live.err(), r"appending to .*, [1-9]\d* rows there")
        self.pair.wait_quiet()
        self.account_holds(live.stop(), load)
