# SPDX-License-Identifier: BSD-3-Clause
"""Shared by the tests of --compat java: captures, and their rows."""
import csv
import io
import os

import cases
import meter
from packets import A, B, pcap, ethernet, ipv4, tcp

SECOND = 1000000
START = 1600000000 * SECOND  # 13/09/2020 12:26:40 PM UTC


class JavaCase(cases.Case):
    def setUp(self):
        super().setUp()
        zone = os.environ.get("TZ")
        self.addCleanup(lambda: os.environ.pop("TZ") if zone is None else os.environ.update(TZ=zone))
        os.environ["TZ"] = "UTC"

    def run_on(self, data, *arguments, name="x.pcap"):
        with open(self.path(name), "wb") as file:
            file.write(data)
        done = meter.run("--compat", "java", "-f", self.path(name), *arguments)
        self.assertEqual(done.code, 0, done.err)
        return done

    def rows(self, records, **options):
        return list(csv.DictReader(io.StringIO(self.run_on(pcap(records, **options)).out)))

    def row(self, records, **options):
        rows = self.rows(records, **options)
        self.assertEqual(len(rows), 1, rows)
        return rows[0]

    def check(self, row, **cells):
        """Compares cells, whose names have _ for a space and per for /."""
        names = {name.replace(" ", "_").replace("/", "_per_"): name for name in row}
        self.assertEqual({name: row[names[name]] for name in cells}, {name: str(text) for name, text in cells.items()})

    def identity(self, frame, wire=None, **options):
        """Flow, header and payload length of a frame, from a row of two copies; None if it is no packet."""
        rows = self.rows([(START, frame, wire), (START + 1, frame, wire)], **options)
        if not rows:
            return None
        self.assertEqual(len(rows), 1)
        row = rows[0]
        return row["Flow ID"], int(row["Fwd Seg Size Min"]), float(row["Fwd Packet Length Max"])


def fwd(flags, size=0, **options):
    return ethernet(ipv4(6, tcp(flags, bytes(size), 4000, 80, **options)))


def bwd(flags, size=0, **options):
    return ethernet(ipv4(6, tcp(flags, bytes(size), 80, 4000, **options), B, A))


def steps(*packets):
    """(microseconds after START, frame), …"""
    return [(START + us, frame) for us, frame in packets]


TCP_ID, UDP_ID, OTHER_ID = "10.0.0.1-10.0.0.2-4000-80-6", "10.0.0.1-10.0.0.2-4000-53-17", "10.0.0.1-10.0.0.2-0-0-0"


def struct_vlans(tags):
    return b"\0\1\x81\0" * tags


# Ports of 14 flows 10.0.0.1-10.0.0.2-PORT-53-17, in the order of java.util.HashMap.keySet().
JAVA_ORDER = [1010, 1000, 1006, 1005, 1011, 1001, 1013, 1009, 1012, 1004, 1008, 1002, 1007, 1003]
