# SPDX-License-Identifier: BSD-3-Clause
"""scripts/soak: what it takes for growth, and short runs of it."""
import csv
import glob
import importlib.machinery
import importlib.util
import os
import random
import re
import subprocess
import sys

import cases
import meter
import namespaces

SCRIPT = os.path.join(cases.ROOT, "scripts", "soak")


def script():
    loader = importlib.machinery.SourceFileLoader("soak", SCRIPT)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("soak", loader))
    loader.exec_module(module)
    return module


class Growth(cases.Case):
    LABEL = "unit"

    def setUp(self):
        super().setUp()
        self.soak = script()

    def grown(self, minutes, every_s=60, **columns):
        """The columns that grow. Those that are not given have noise only."""
        noise = random.Random(1)
        steady = {"rss_kib": (50_000, 500), "descriptors": (26, 1), "map_entries": (20_000, 300), "unread_units": (200, 200),
                  "answer_s": (0.05, 0.05), "row_age_s": (0.1, 0.1), "kernel_only": (10, 10)}
        samples = []
        for i in range(int(minutes * 60 / every_s)):
            time_s = (i + 1) * every_s
            sample = {name: mean + noise.uniform(-spread, spread) for name, (mean, spread) in steady.items()}
            samples.append({"seconds": time_s, **sample,
                            **{name: value(time_s / 3600) + sample[name] - steady[name][0] for name, value in columns.items()}})
        return [re.match(r"\w+", line)[0] for line in self.soak.grown(samples)]

    def test_noise_is_no_growth(self):
        for minutes in (10, 60, 600):
            self.assertEqual(self.grown(minutes), [])
        self.assertEqual(self.grown(0.5, every_s=2), [], "in a short run noise is steep")

    def test_a_leak_is_growth(self):
        for name, per_hour in (("rss_kib", 20_000), ("descriptors", 12), ("map_entries", 10_000), ("unread_units", 200_000),
                               ("answer_s", 4), ("row_age_s", 20), ("kernel_only", 40_000)):
            with self.subTest(name):
                self.assertEqual(self.grown(60, **{name: lambda hours, n=per_hour: 100 + n * hours}), [name])

    def test_a_slow_leak_is_growth_in_a_long_run(self):
        leak = {"rss_kib": lambda hours: 50_000 + 5000 * hours}
        self.assertEqual(self.grown(30, **leak), [])
        self.assertEqual(self.grown(600, **leak), ["rss_kib"])

    def test_what_grows_at_the_start_only_is_no_leak(self):
        self.assertEqual(self.grown(60, rss_kib=lambda hours: 50_000 + 100_000 * min(hours, 0.3),
                                    map_entries=lambda hours: 20_000 * min(hours, 0.3)), [])

    def test_less_over_time_is_no_growth(self):
        self.assertEqual(self.grown(60, rss_kib=lambda hours: 90_000 - 30_000 * hours), [])


class ShortSoak(cases.Case):
    LABEL = "chaos"
    LOCK = "cpu"

    def setUp(self):
        super().setUp()
        if missing := namespaces.missing_here():
            self.skipTest(missing)
        with open(cases.meter_path, "rb") as program:
            if b"__asan_init" in program.read():
                self.skipTest("a sanitizer keeps freed memory")

    def start(self, *arguments):
        process = subprocess.Popen([sys.executable, "-B", SCRIPT, "--program", cases.meter_path, "--output",
                                    self.path("soak"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   preexec_fn=meter.die_with_parent)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def end(self, process):
        """(status, standard error); nothing of it is left."""
        with process:
            _, err = process.communicate(timeout=120)
        self.assertEqual(glob.glob(f"/run/netns/fmbench{process.pid}*"), [])
        with open("/proc/mounts", encoding="utf-8") as mounts:
            self.assertNotIn("/fmsoak-", mounts.read())
        return process.returncode, err

    def nothing_grows(self, *arguments):
        self.assertEqual(self.end(self.start("--seconds", "24", *arguments)), (0, ""))
        with open(self.path("soak/samples.csv"), newline="", encoding="utf-8") as file:
            samples = list(csv.DictReader(file))
        self.assertGreaterEqual(len(samples), 9)
        self.assertGreater(int(samples[-1]["in_rows"]), 1000)
        self.assertGreater(int(samples[-1]["map_entries"]), 100)

    def test_one_daemon(self):
        self.nothing_grows()

    def test_restarts(self):
        self.nothing_grows("--restart-every", "7")

    def test_a_meter_that_ends_early(self):
        process = self.start("--seconds", "60")
        self.assertIn("rss_kib=", process.stdout.readline())
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as children:
            for child in children.read().split():
                with open(f"/proc/{child}/comm", encoding="ascii") as name:
                    if name.read().strip() == os.path.basename(cases.meter_path)[:15]:
                        os.kill(int(child), 9)
        status, err = self.end(process)
        self.assertEqual(status, 1)
        self.assertIn("soak: the meter ended with status -9", err)
