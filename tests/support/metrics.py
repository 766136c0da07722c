# SPDX-License-Identifier: BSD-3-Clause
"""Scrapes a meter that runs with --metrics, and reads the text strictly: what this parser refuses, Prometheus might."""
import contextlib
import http.client
import pathlib
import re
import socket

import cases
import meter

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
SUFFIXES = {"counter": "_total", "info": "_info", "gauge": ""}
SAMPLE = re.compile(r"([a-z_][a-z0-9_]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)')


def families():
    """{family: (type, labels)} of the table in the code."""
    text = (pathlib.Path(cases.ROOT) / "user/metrics/families.h").read_text(encoding="utf-8")
    body = re.search(r"#define FM_METRIC_LIST\(X\)(.*?)\n\n", text, re.S)[1].replace("\\\n", "\n")
    return {name: (kind.lower(), set(filter(None, labels.split(", "))))
            for name, kind, labels in re.findall(r'X\(\w+, "(\w+)", k(\w+), "\w*", "([^"]*)"', body)}


def samples():
    """The names of all samples of the table."""
    return {name + SUFFIXES[kind] for name, (kind, _) in families().items()}


def labels_of(text):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match and match[1] not in labels, text
        labels[match[1]] = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), match[2])
        at = match.end()
    return labels


class Scrape:
    """{(name, labels): value}"""

    def __init__(self, text, open_metrics=False):
        self.values, self.types = {}, {}
        table = families()
        lines = text.split("\n")
        assert lines.pop() == "", "the last line has no end"
        if open_metrics:
            assert lines.pop() == "# EOF"
        family = kind = None
        for line in lines:
            if line.startswith("# "):
                _, keyword, name, value = line.split(" ", 3)
                if keyword == "TYPE":
                    assert name not in self.types, f"{name} is there twice"
                    family, kind, self.types[name] = name, value, value
                assert name == family and keyword in ("TYPE", "HELP", "UNIT"), line
                continue
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels = match[1], labels_of(match[2] or "")
            assert name == family + (SUFFIXES[kind] if open_metrics else ""), f"{line}: in the family {family}"
            of_table = next(f for f, (k, _) in table.items() if f + SUFFIXES[k] == name)
            assert set(labels) == table[of_table][1], line
            key = (name, frozenset(labels.items()))
            assert key not in self.values, f"{line} is there twice"
            self.values[key] = float(match[3]) if re.search("[.e]", match[3]) else int(match[3])

    def of(self, name, **labels):
        """The value of one sample; the sum of those that have these labels."""
        found = [value for (each, own), value in self.values.items() if each == name and own >= labels.items()]
        assert found, (name, labels)
        return sum(found)

    def by(self, name, label):
        """{value of the label: sum}"""
        sums = {}
        for (each, labels), value in self.values.items():
            if each == name:
                own = dict(labels)[label]
                sums[own] = sums.get(own, 0) + value
        return sums

    def unwritten(self):
        """Metered packets that are neither in rows nor in open flows."""
        return (self.of("flowmeter_packets_total", **{"class": "metered"}) - self.of("flowmeter_row_packets_total")
                - self.of("flowmeter_open_flow_packets"))

    def assert_holds(self, case):
        """What holds in every scrape."""
        case.assertEqual(self.of("flowmeter_packets_total"), self.of("flowmeter_seen_packets_total"))
        classes = self.by("flowmeter_packets_total", "class")
        case.assertEqual(set(classes), set(meter.REASONS))
        interfaces = self.by("flowmeter_interface_packets_total", "class") if any(
            name == "flowmeter_interface_packets_total" for name, _ in self.values) else {}
        gone = self.by("flowmeter_gone_interface_packets_total", "class")
        case.assertEqual({name: interfaces.get(name, 0) + gone[name] for name in classes}, classes)
        case.assertGreaterEqual(self.unwritten(), 0)


class Connection(http.client.HTTPConnection):
    """To a Unix socket, or to a port of a namespace."""

    def __init__(self, address, namespace=None):
        super().__init__("localhost", timeout=30)
        self.address, self.namespace = address, namespace

    def connect(self):
        with self.namespace.inside() if self.namespace else contextlib.nullcontext():
            if isinstance(self.address, str):
                self.sock = socket.socket(socket.AF_UNIX)
            else:
                self.sock = socket.socket(socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self.address)
        except OSError:
            self.sock.close()
            raise


def get(address, path="/metrics", namespace=None, accept="*/*"):
    """(status, text)"""
    connection = Connection(address, namespace)
    try:
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def scrape(address, namespace=None):
    """The same in both formats."""
    status, text = get(address, namespace=namespace, accept=OPEN_METRICS)
    assert status == 200, text
    return Scrape(text, open_metrics=True)
