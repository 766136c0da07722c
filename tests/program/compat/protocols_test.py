# SPDX-License-Identifier: BSD-3-Clause
"""Both compatibility modes against their independent models on random captures of whole protocols; the same packets
give the same rows from every kind of file."""
import os
import random

import cases
import meter
import protocol_captures
from flowmeter.models import java_cicflowmeter, python_cicflowmeter


class Protocols(cases.Case):
    CAPTURES = int(os.environ.get("FLOWMETER_CAPTURES", 12))

    def of_all_files(self, mode, model, least_rows):
        os.environ["TZ"] = "UTC"
        first = int(os.environ.get("FLOWMETER_SEED", random.SystemRandom().randrange(1 << 32)))
        rows = 0
        for seed in range(first, first + self.CAPTURES):
            files = protocol_captures.files(seed)
            expected = model(files["pcap"])
            rows += max(0, expected.count(b"\n") - 1)
            for name, data in files.items():
                done = meter.run("-f", "-", "--compat", mode, "-c", self.path("out.csv"), stdin=data)
                self.assertEqual((done.code, done.errors), (0, []), done.err)
                with open(self.path("out.csv"), "rb") as file:
                    found = file.read()
                if found != expected:
                    pairs = zip(found.split(b"\n"), expected.split(b"\n"))
                    self.fail(f"FLOWMETER_SEED={seed} {name}: first different rows "
                              f"{next((pair for pair in pairs if pair[0] != pair[1]), 'none: one is longer')}")
        print(f"{rows} rows of {self.CAPTURES} captures from FLOWMETER_SEED={first}")
        self.assertGreater(rows, least_rows * self.CAPTURES)

    def test_python(self):
        self.of_all_files("python", python_cicflowmeter.csv_of, 15)

    def test_java(self):
        self.of_all_files("java", lambda data: java_cicflowmeter.rows(data).encode(), 15)
