# SPDX-License-Identifier: BSD-3-Clause
"""scripts/diff: each rule explains the cell that it predicts and no other value; boundaries of flows; reports; files that it
refuses. The cells of each rule are worked out by hand; those of random captures come from the independent models."""
import csv
import gzip
import os
import pathlib
import struct
import subprocess
import sys
import xml.etree.ElementTree

import cases
from flowmeter.diff import columns, comparison, rules, table
from flowmeter.models import cic82, java_cicflowmeter, python_cicflowmeter
from java_captures import random_capture
from packets import (ACK, A, B, FIN, PSH, RST, SYN, URG, ethernet, icmp, ipv4, ipv6, pcap, tcp, udp, vlan)

DIFF = os.path.join(cases.ROOT, "scripts", "diff")
SECOND = 1000000
START = 1600000000 * SECOND + 250000  # 2020-09-13 12:26:40.25


def fwd(flags, size=0, **options):
    return ethernet(ipv4(6, tcp(flags, bytes(size), 4000, 80, **options)))


def bwd(flags, size=0, **options):
    return ethernet(ipv4(6, tcp(flags, bytes(size), 80, 4000, **options), B, A))


def ufwd(size):
    return ethernet(ipv4(17, udp(bytes(size), 4000, 53)))


def ubwd(size):
    return ethernet(ipv4(17, udp(bytes(size), 53, 4000), B, A))


def at(*records):
    """records: (seconds after START, frame[, wire length])"""
    return [(START + round(seconds * SECOND), *rest) for seconds, *rest in records]


# Lengths are 54, 54, 154 forward and 54, 100 backward; gaps are .1, .1, .1, 1.7.
VECTOR = at((0, fwd(SYN)), (.1, bwd(SYN | ACK)), (.2, fwd(ACK)), (.3, fwd(PSH | ACK, 100)), (2, bwd(PSH | ACK, 46)))
TWO_DATAGRAMS = at((0, ufwd(10)), (.5, ufwd(20)))
ICMP = {"correct": (A, B, -1, -1, 1), "java": (A, B, 0, 0, 0)}
INNER_TCP = ipv4(6, tcp(SYN, b"", 7, 9), B, A)
UNREACHABLE = ethernet(ipv4(1, icmp(3, INNER_TCP)))

# rule, program that has it, packets, (forward, backward), duration in s (or both durations), column, correct cell, its cell
QUIRKS = [
    ("java-walk", "java", at((0, UNREACHABLE), (1, UNREACHABLE)), (2, 0), 1, "syn_flag_cnt", -1, 2),
    ("microseconds", "python", [((1600000000, 250000000), fwd(ACK)), ((1600000000, 250001999), fwd(ACK))], (2, 0), (1.999e-06, 1e-06),
     "fwd_iat_max", 1.999e-06, 1e-06),
    ("raw-gaps-python", "python", at((1, fwd(ACK)), (0, fwd(ACK))), (2, 0), 0, "fwd_iat_min", 0, -1.0),
    ("raw-gaps-java", "java", at((1, fwd(ACK)), (0, fwd(ACK))), (2, 0), (0, -1), "flow_iat_min", 0, -1000000.0),
    ("segment-is-frame", "python", VECTOR, (3, 2), 2, "fwd_seg_size_avg", 33.333333333333336, 79.0),
    ("least-header", "python", VECTOR, (3, 2), 2, "fwd_seg_size_min", 0, 20),
    ("least-header", "java", VECTOR, (3, 2), 2, "fwd_seg_size_min", 0, 20),
    ("captured-length", "python", at((0, fwd(ACK, 6), 100), (1, fwd(ACK, 6), 100)), (2, 0), 1, "fwd_pkt_len_max", 100, 60),
    ("padding-is-payload", "python", at((0, fwd(ACK).ljust(60, b"\0"))), (1, 0), 0, "fwd_act_data_pkts", 0, 2),
    ("captured-payload", "java", at((0, vlan(ipv4(6, tcp(ACK))).ljust(64, b"\0")), (1, vlan(ipv4(6, tcp(ACK))).ljust(64, b"\0"))),
     (2, 0), 1, "totlen_fwd_pkts", 128, 12.0),
    ("payload-length", "java", VECTOR, (3, 2), 2, "totlen_fwd_pkts", 262, 100.0),
    ("ip-header", "python", VECTOR, (3, 2), 2, "bwd_header_len", 80, 40),
    ("transport-header", "java", VECTOR, (3, 2), 2, "bwd_header_len", 80, 40),
    ("first-packet-twice", "python", VECTOR, (3, 2), 2, "totlen_fwd_pkts", 262, 316),
    ("first-packet-twice", "python", VECTOR, (3, 2), 2, "syn_flag_cnt", 2, 3),
    ("first-payload-twice", "java", TWO_DATAGRAMS, (2, 0), .5, "pkt_len_mean", 57, 13.333333333333334),
    ("sample-deviation", "java", TWO_DATAGRAMS, (2, 0), .5, "fwd_pkt_len_std", 5, 7.0710678118654755),
    ("short-lists-zero", "python", VECTOR, (3, 2), 2, "bwd_iat_tot", 1.9, 0),
    ("active-idle-zero", "python", VECTOR, (3, 2), 2, "active_max", 2, 0),
    ("last-active-left-out", "java", VECTOR, (3, 2), 2, "active_max", 2, 0),
    ("bulk-by-time", "python", at((0, ufwd(10)), (0, ubwd(10)), (0, ufwd(10)), (0, ufwd(10)), (0, ufwd(10))), (4, 1), 0,
     "fwd_byts_b_avg", 0, 40.0),
    ("bulk-all-backward", "java", at((0, ufwd(10)), (.1, ufwd(10)), (.2, ubwd(10)), (.3, ufwd(10))), (3, 1), .3,
     "bwd_byts_b_avg", 0, 40),
    ("subflow-totals", "python", VECTOR, (3, 2), 2, "subflow_bwd_pkts", 1, 2),
    ("subflow-per-gap", "java", VECTOR, (3, 2), 2, "subflow_fwd_pkts", 1.5, 3),
    ("integer-quotients", "java", VECTOR, (3, 2), 2, "down_up_ratio", 0.6666666666666666, 0.0),
    ("rates-without-duration", "java", at((0, ufwd(10)), (0, ufwd(10))), (2, 0), 0, "flow_pkts_s", 0, "Infinity"),
    ("first-flags-only", "java", VECTOR, (3, 2), 2, "bwd_psh_flags", 1, 0),
    ("cwr-is-urg", "python", at((0, fwd(URG))), (1, 0), 0, "cwr_flag_count", 0, 2),
    ("window-not-zero", "python", at((0, fwd(ACK, window=0)), (1, fwd(ACK, window=500))), (2, 0), 1, "init_fwd_win_byts", 0, 500),
    ("last-backward-window", "java", at((0, fwd(SYN)), (.1, bwd(SYN | ACK, window=100)), (.2, bwd(ACK, window=200))), (1, 2), .2,
     "init_bwd_win_byts", 100, 200),
    ("data-without-first", "java", TWO_DATAGRAMS, (2, 0), .5, "fwd_act_data_pkts", 2, 1),
    ("protocol-0", "java", at((0, ethernet(ipv4(1, icmp(8)))), (1, ethernet(ipv4(1, icmp(8))))), (2, 0), 1, "rst_flag_cnt", -1, 0),
    ("microseconds-unit", "java", VECTOR, (3, 2), 2, "flow_iat_max", 1.7, 1700000.0),
]

# boundary, the other program, packets with this boundary, packets without it (just within the limit).
_LATE = at((0, fwd(ACK)), (1, fwd(ACK)))
BOUNDARIES = [
    ("idle", "java", at((0, ethernet(ipv4(1, icmp(8)))), (60.000001, ethernet(ipv4(1, icmp(8))))),
     at((0, ethernet(ipv4(1, icmp(8)))), (60, ethernet(ipv4(1, icmp(8)))))),
    ("linger", "python", at((0, fwd(RST)), (5.000001, fwd(ACK))), at((0, fwd(RST)), (5, fwd(ACK)))),
    ("reopened", "python", at((0, fwd(RST)), (1, fwd(SYN))), at((0, fwd(RST)), (1, fwd(SYN | ACK)))),
    ("active", "python", at(*((i * 80, ufwd(1)) for i in range(24))), at(*((i * 80, ufwd(1)) for i in range(22)))),
    ("other_protocol", "java", at((0, ethernet(ipv4(47, bytes(8)))), (1, ethernet(ipv4(47, bytes(8))))), _LATE),
    ("malformed", "java", at((0, ethernet(ipv4(17, udp(), total=99))), (1, ethernet(ipv4(17, udp(), total=99)))), _LATE),
    ("not_ip", "java", at((0, ethernet(b"", 0x0806, b"\xff" * 6).ljust(60, b"\6")), (1, ethernet(b"", 0x0806, b"\xff" * 6).ljust(60, b"\6"))), _LATE),
    ("unattributed_fragment", "java", at((0, ethernet(ipv4(17, bytes(8), fragment=5))), (1, ethernet(ipv4(17, bytes(8), fragment=5)))), _LATE),
    ("python-timeout", "python", at((0, fwd(ACK)), (240.000001, bwd(ACK)), (241, fwd(ACK))), at((0, fwd(ACK)), (240, bwd(ACK)), (241, fwd(ACK)))),
    ("python-collection", "python", at(*((i * 40, ufwd(1)) for i in range(6))), at(*((i * 40, ufwd(1)) for i in range(3)))),
    ("python-key", "python", at((0, fwd(ACK)), (1, ethernet(ipv4(17, udp(b"", 4000, 80))))), _LATE),
    ("python-no-forward", "python", at((0, fwd(ACK)), (1, fwd(ACK)), (242, bwd(ACK))), at((0, fwd(ACK)), (1, fwd(ACK)), (242, fwd(ACK)))),
    ("python-later-fragment", "python", at((0, ethernet(ipv4(17, udp(bytes(16)), fragment=0x2000))), (1, ethernet(ipv4(17, bytes(8), fragment=3)))), _LATE),
    ("python-ipv4-only", "python", at((0, vlan(ipv4(17, udp())))), _LATE),
    ("java-fin", "java", at((0, fwd(ACK)), (1, bwd(FIN | ACK)), (2, fwd(ACK)), (2.1, fwd(ACK))), at((0, fwd(ACK)), (1, fwd(FIN | ACK)), (2, fwd(ACK)))),
    ("java-rst", "java", at((0, fwd(ACK)), (1, fwd(RST)), (2, fwd(ACK)), (3, fwd(ACK))), at((0, fwd(ACK)), (1, fwd(ACK)), (2, fwd(ACK)))),
    ("java-120s", "java", at((0, ufwd(1)), (1, ufwd(1)), (120.000001, ufwd(1)), (121, ufwd(1))), at((0, ufwd(1)), (1, ufwd(1)), (120, ufwd(1)))),
    ("java-repeated-fin", "java", at((0, fwd(ACK)), (1, fwd(FIN)), (2, fwd(FIN))), at((0, fwd(ACK)), (1, fwd(FIN)), (2, fwd(ACK)))),
    ("java-one-packet", "java", at((0, fwd(ACK))), _LATE),
    ("java-wire-length", "java", at((0, fwd(ACK, 6), 59), (1, fwd(ACK, 6), 59)), _LATE),
    ("java-key", "java", at((0, ethernet(ipv4(1, icmp(8)))), (1, ethernet(ipv4(1, icmp(11))))), at((0, ethernet(ipv4(1, icmp(8)))), (1, ethernet(ipv4(1, icmp(8)))))),
    ("java-not-ipv4", "java", at((0, ethernet(ipv6(17, udp()), 0x86DD)), (1, ethernet(ipv6(17, udp()), 0x86DD))), _LATE),
]
ELSEWHERE = {"whole-seconds", "python-link-type", "python-undissected", "other-collection", "python-without-icmp", "own-quotient",
             "parts-add-up", "repeated-row"}  # these have their own cases


def csv_of(program, data):
    """The rows of a capture, from the independent models."""
    if program == "python":
        return python_cicflowmeter.csv_of(data).decode()
    if program == "java":
        return java_cicflowmeter.rows(data)
    lines = [",".join(cic82.COLUMNS_82)]
    for flow in cic82.meter(data)[0]:
        of_flow = cic82.columns(flow)
        lines.append(",".join(cic82.cell_text(of_flow[name]) for name in cic82.COLUMNS_82))
    return "\n".join(lines) + "\n"


class DiffCase(cases.Case):
    def setUp(self):
        super().setUp()
        zone = os.environ.get("TZ")
        self.addCleanup(lambda: os.environ.pop("TZ") if zone is None else os.environ.update(TZ=zone))
        os.environ["TZ"] = "UTC"

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        return self.path(name)

    def compared(self, a, b, data=None):
        tables = [table.read(self.write(name, content)) for name, content in (("a.csv", a), ("b.csv", b))]
        return comparison.compare(*tables, table.capture(self.write("x.pcap", data)) if data else None)

    def run_diff(self, *arguments):
        return subprocess.run([sys.executable, "-B", DIFF, *arguments], capture_output=True, text=True, timeout=120, check=False)


def hand_row(program, identity, counts, duration, column=None, cell=None, stamp=None):
    """A CSV with one row: the columns needed to match it, and one more."""
    names = ["src_ip", "dst_ip", "src_port", "dst_port", "protocol", "timestamp", "flow_duration", "tot_fwd_pkts", "tot_bwd_pkts"]
    forward, backward = counts
    stamps = {"correct": "2020-09-13 12:26:40.250000", "python": "2020-09-13 12:26:40", "java": "13/09/2020 12:26:40 PM"}
    row = [*identity, stamp or stamps[program], duration, forward + (program == "python"), backward]
    if program == "java":
        row[6] = round(duration * 1000000)
    if column in names:
        row[names.index(column)] = cell
    elif column:
        names, row = [*names, column], [*row, cell]
    if program == "java":
        names = [columns.COLUMNS[name].java for name in names]
    return ",".join(names) + "\n" + ",".join(map(str, row)) + "\n"


class DiffQuirks(DiffCase):
    def both(self, case, cell, correct=None):
        rule, program, records, counts, duration, column, cell_of_correct, _ = case
        correct = cell_of_correct if correct is None else correct
        durations = duration if isinstance(duration, tuple) else (duration, duration)
        tagged = records[0][1][12:14] == b"\x81\x00"
        protocol = records[0][1][27 if tagged else 23]
        identity = ICMP if protocol == 1 else {"correct": (A, B, 4000, {6: 80, 17: 53}[protocol], protocol)}
        stamp = None
        if rule == "java-walk":
            identity = {**ICMP, "java": (A, B, 7, 9, 6)}
        if records[0][0] == START + SECOND:  # starts a second later
            stamp = {"correct": "2020-09-13 12:26:41.250000", "python": "2020-09-13 12:26:41", "java": "13/09/2020 12:26:41 PM"}
        data = pcap(records, nanoseconds=rule == "microseconds")
        of = lambda who, length, value: hand_row(who, identity.get(who, identity["correct"]), counts, length, column, value,
                                                 stamp and stamp[who])
        return self.compared(of("correct", durations[0], correct), of(program, durations[1], cell), data)

    def test_each_explains_its_cell_and_not_another(self):
        for case in QUIRKS:
            rule, column, cell = case[0], case[5], case[7]
            with self.subTest(rule=rule, column=column):
                result = self.both(case, cell)
                self.assertEqual((len(result.pairs), result.sides, result.not_in_capture), (1, [], {"A": 0, "B": 0}))
                self.assertEqual(result.columns[column].unexplained, [])
                (names,) = result.columns[column].explained
                self.assertIn(rule, names)
                self.assertTrue(all(name not in rules.QUIRK or rules.QUIRK[name].touches(column) for name in names), names)
                wrong = 7 if cell == "Infinity" else cell + 1 if cell + 1 != case[6] else cell + 2
                wrong = self.both(case, wrong)
                self.assertEqual(len(wrong.columns[column].unexplained), 1)
                self.assertEqual(sum(wrong.columns[column].explained.values()), 0)
                # Nor is its own cell explained if the correct cell is wrong.
                wrong = self.both(case, cell, correct=case[6] + 13)
                self.assertEqual(len(wrong.columns[column].unexplained), 1)

    def test_time_stamp_in_whole_seconds(self):
        correct = hand_row("correct", (A, B, 4000, 80, 6), (2, 0), 1)
        for stamp, explained in (("2020-09-13 12:26:40", ("whole-seconds",)), ("2020-09-13 12:26:41", None)):
            column = self.compared(correct, hand_row("python", (A, B, 4000, 80, 6), (2, 0), 1, stamp=stamp)).columns["timestamp"]
            self.assertEqual(list(column.explained), [explained] if explained else [])
            self.assertEqual(len(column.unexplained), explained is None)

    def test_every_rule_has_a_case(self):
        cased = {case[0] for case in QUIRKS} | {case[0] for case in BOUNDARIES} | ELSEWHERE
        self.assertEqual(cased, set(rules.QUIRK) | set(rules.BOUNDARIES) | set(rules.ROW_RULES))


class DiffBoundaries(DiffCase):
    def result_of(self, records, program, **options):
        data = pcap(records, **options)
        return self.compared(csv_of("correct", data), csv_of(program, data), data)

    def test_each_is_named_where_it_holds_and_only_there(self):
        for rule, program, records, others in BOUNDARIES:
            with self.subTest(rule=rule):
                result = self.result_of(records, program)
                self.assertIn(rule, result.rules)
                self.assertEqual(result.unexplained(), 0)
                other = self.result_of(others, program)
                self.assertNotIn(rule, other.rules)
                self.assertEqual((other.unexplained(), other.not_in_capture), (0, {"A": 0, "B": 0}))

    def test_link_type_that_python_does_not_read(self):
        data = bytearray(pcap(at((0, b"\xff\x03\0\x21" + ipv4(17, udp())))))
        data[20:24] = struct.pack("<I", 9)
        result = self.compared(csv_of("correct", bytes(data)), "", bytes(data))
        self.assertEqual([side.rules for side in result.sides], [("python-link-type",)])

    def test_icmp_that_python_cannot_dissect(self):
        # A timestamp message has 20 bytes. The correct mode needs only 8 of them, but the Python program cannot dissect 9.
        data = pcap(at((0, ethernet(ipv4(1, icmp(13, b"\0"))))))
        result = self.compared(csv_of("correct", data), "", data)
        self.assertEqual([side.rules for side in result.sides], [("python-undissected",)])

    def test_rows_that_were_collected_at_another_moment(self):
        data = pcap(at((0, ufwd(1)), (1, ufwd(1)), (2, ubwd(1)), (3, ufwd(1))))
        correct = hand_row("correct", (A, B, 4000, 53, 17), (3, 1), 3)
        first = hand_row("python", (A, B, 4000, 53, 17), (2, 0), 1)
        for identity, counts, left in (((B, A, 53, 4000, 17), (1, 1), 0), ((B, A, 53, 4000, 17), (2, 1), 1),
                                       ((A, B, 4000, 53, 17), (1, 1), 1)):
            second = hand_row("python", identity, counts, 1, stamp="2020-09-13 12:26:42").splitlines()[1]
            result = self.compared(correct, first + second + "\n", data)
            self.assertEqual(result.not_in_capture, {"A": 0, "B": left})
            self.assertEqual(result.columns["tot_fwd_pkts"].unexplained, [])
            if not left:
                self.assertEqual(set(result.columns["flow_duration"].explained), {("other-collection",)})
                self.assertEqual([side.rules for side in result.sides], [("other-collection",)])

    def test_a_packet_is_in_one_row(self):
        data = pcap(at((0, ufwd(1)), (1, ufwd(1)), (0, ufwd(1)), (1, ufwd(1))))  # the same stamps twice
        row = hand_row("python", (A, B, 4000, 53, 17), (2, 0), 1)
        again = row.splitlines(keepends=True)[1]
        for rows, left in ((row + again, 0), (row + again * 2, 1)):
            result = self.compared(hand_row("correct", (A, B, 4000, 53, 17), (4, 0), 1), rows, data)
            self.assertEqual(result.not_in_capture, {"A": 0, "B": left})
            self.assertEqual([side.rules for side in result.sides][1:], [("repeated-row",)] * left)

    def test_a_file_without_icmp(self):
        data = pcap(at((0, ufwd(1)), (1, ethernet(ipv4(1, icmp(8))))))
        lines = csv_of("python", data).splitlines(keepends=True)
        for python, sides in (("".join(lines), []), ("".join(lines[:2]), [("python-without-icmp",)]),
                              ("".join(lines[::2]), [()])):  # a missing row of another protocol has no reason
            result = self.compared(csv_of("correct", data), python, data)
            self.assertEqual([side.rules for side in result.sides], sides)

    def test_a_row_that_the_capture_does_not_give_is_not_explained(self):
        data = pcap(VECTOR)
        other = java_cicflowmeter.rows(data).splitlines()
        cells = other[1].split(",")
        cells[8] = "4"  # one forward packet too many
        result = self.compared(csv_of("correct", data), other[0] + "\n" + ",".join(cells) + "\n", data)
        self.assertEqual(result.not_in_capture, {"A": 0, "B": 1})
        self.assertEqual(len(result.columns["tot_fwd_pkts"].unexplained), 1)


class DiffRows(DiffCase):
    """Without a capture."""

    def test_rows_explain_what_they_tell_and_no_other_cell(self):
        data = pcap(VECTOR)
        for program, expected in (
                ("python", {"tot_fwd_pkts": "first-packet-twice", "flow_iat_mean": "first-packet-twice", "flow_iat_std": "first-packet-twice",
                            "fwd_iat_min": "first-packet-twice", "bwd_iat_tot": "short-lists-zero", "active_max": "active-idle-zero",
                            "subflow_bwd_pkts": "subflow-totals", "bwd_seg_size_avg": "segment-is-frame", "fwd_header_len": "ip-header",
                            "fwd_seg_size_min": "least-header", "timestamp": "whole-seconds", "bwd_iat_max": "short-lists-zero",
                            "flow_pkts_s": "first-packet-twice"}),
                ("java", {"flow_duration": "microseconds-unit", "totlen_fwd_pkts": "payload-length", "bwd_header_len": "transport-header",
                          "flow_iat_std": "sample-deviation", "down_up_ratio": "integer-quotients", "active_max": "last-active-left-out",
                          "subflow_fwd_pkts": "subflow-per-gap", "bwd_psh_flags": "first-flags-only", "flow_byts_s": "payload-length"})):
            correct, other = csv_of("correct", data), csv_of(program, data)
            result = self.compared(correct, other)
            for column, rule in expected.items():
                with self.subTest(program=program, column=column):
                    (names,) = result.columns[column].explained
                    self.assertIn(rule, names)
            # If each explained cell is changed by 1, none is explained.
            head, row = (line.split(",") for line in other.splitlines())
            for column, cell in result.columns.items():
                if cell.explained and column not in columns.KEY:
                    i = head.index(columns.COLUMNS[column].java if program == "java" else column)
                    changed = [*row[:i], str(float(row[i]) + 1), *row[i + 1:]]
                    again = self.compared(correct, ",".join(head) + "\n" + ",".join(changed) + "\n").columns[column]
                    self.assertEqual((len(again.unexplained) + again.equal, again.explained), (1, {}), column)

    def test_a_list_that_is_not_short(self):
        for more, explained in (((), 1), ([(2.5, bwd(ACK))], 0)):
            data = pcap([*VECTOR, *at(*more)])
            head, row = (line.split(",") for line in csv_of("python", data).splitlines())
            row[head.index("bwd_iat_tot")] = "0"
            column = self.compared(csv_of("correct", data), ",".join(head) + "\n" + ",".join(row) + "\n").columns["bwd_iat_tot"]
            self.assertEqual((column.explained[("short-lists-zero",)], len(column.unexplained)), (explained, 1 - explained))

    def test_a_quotient_of_its_own_row(self):
        key = "src_ip,dst_ip,src_port,dst_port,protocol,timestamp,flow_duration,tot_fwd_pkts,tot_bwd_pkts,flow_pkts_s\n"
        start = f"{A},{B},1,2,17,2020-09-13 12:26:40.25,2,"
        self.assertEqual(set(self.compared(key + start + "3,1,2\n", key + start + "5,1,3\n").columns["flow_pkts_s"].explained),
                         {("own-quotient",)})
        self.assertEqual(len(self.compared(key + start + "3,1,2\n", key + start + "5,1,3.5\n").columns["flow_pkts_s"].unexplained), 1)

    def test_a_flow_in_parts(self):
        head = "src_ip,dst_ip,src_port,dst_port,protocol,timestamp,flow_duration,tot_fwd_pkts\n"
        whole = head + f"{A},{B},1,2,17,2020-09-13 12:26:40.0,10,7\n"
        parts = head + f"{A},{B},1,2,17,2020-09-13 12:26:40.0,4,3\n{A},{B},1,2,17,2020-09-13 12:26:45.0,5,%d\n"
        for second, explained in ((4, 1), (5, 0)):
            result = self.compared(whole, parts % second)
            self.assertEqual((len(result.pairs), [(s.side, s.whole) for s in result.sides]), (1, [("B", False)]))
            column = result.columns["tot_fwd_pkts"]
            self.assertEqual((column.explained[("parts-add-up",)], len(column.unexplained)), (explained, 1 - explained))

    def test_exchanged_ends_match_and_other_ends_do_not(self):
        head = "src_ip,dst_ip,src_port,dst_port,protocol,timestamp,tot_fwd_pkts\n"
        row = f"{A},{B},1,2,17,2020-09-13 12:26:40.0,7\n"
        exchanged = f"{B},{A},2,1,17,2020-09-13 12:26:40.0,7\n"
        self.assertEqual(len(self.compared(head + row, head + exchanged).pairs), 1)
        for other in (row.replace(",1,2,", ",1,3,"), row.replace(",17,", ",6,"), row.replace("12:26:40", "12:26:42")):
            result = self.compared(head + row, head + other)
            self.assertEqual((result.pairs, len(result.sides), result.unexplained()), ([], 2, 2), other)


class DiffRandom(DiffCase):
    SEEDS = 12

    def test_random_captures_leave_nothing_unexplained(self):
        explained = captures = 0
        for seed in range(self.SEEDS):
            data = random_capture(seed)
            if any(time >= 2**31 * 10**9 for time, *_ in cic82.frames(data)):
                continue  # the Java program's seconds are signed
            captures += 1
            texts = {program: csv_of(program, data) for program in ("correct", "python", "java")}
            for first, second in (("correct", "python"), ("correct", "java"), ("python", "java")):
                with self.subTest(seed=seed, first=first, second=second):
                    result = self.compared(texts[first], texts[second], data)
                    left = [(c.column, c.a.text[c.column], c.b.text[c.column]) for x in result.columns.values() for c in x.unexplained]
                    self.assertEqual(left[:5], [])
                    self.assertEqual([s.row for s in result.sides if not s.rules][:1], [])
                    self.assertEqual(result.not_in_capture, {"A": 0, "B": 0})
                    explained += sum(sum(c.explained.values()) for c in result.columns.values())
                    for column, cells in result.columns.items():
                        for names in cells.explained:
                            undeclared = [n for n in names if n in rules.QUIRK and not rules.QUIRK[n].touches(column)]
                            self.assertEqual(undeclared, [], column)
        self.assertGreater(captures, self.SEEDS // 2)
        self.assertGreater(explained, 1000 * captures)


class DiffCommand(DiffCase):
    def setUp(self):
        super().setUp()
        data = pcap(VECTOR)
        self.a = self.write("a.csv", csv_of("correct", data))
        self.b = self.write("b.csv.gz", gzip.compress(csv_of("java", data).encode()))
        self.capture = self.write("x.pcap", data)

    def test_text(self):
        done = self.run_diff(self.a, self.b, "--capture", self.capture)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for part in ("1 matched pairs", "microseconds instead of seconds", "without explanation: 0 cells, 0 rows"):
            self.assertIn(part, done.stdout)
        done = self.run_diff(self.a, self.b)
        self.assertEqual(done.returncode, 1)
        self.assertIn("NO EXPLANATION 1", done.stdout)
        self.assertEqual(self.run_diff(self.a, self.a).returncode, 0)

    def test_csv_and_page(self):
        done = self.run_diff(self.a, self.b, "--capture", self.capture, "--csv", self.path("out.csv"), "--html", self.path("out.html"))
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        with open(self.path("out.csv"), newline="", encoding="utf-8") as file:
            lines = {line["name"]: line for line in csv.DictReader(file)}
        self.assertEqual(len(lines), 82)
        # 2 s: the same time in another unit
        duration = lines["flow_duration"]
        self.assertEqual([duration[n] for n in ("equal", "different", "unexplained", "largest_absolute", "why")],
                         ["0", "1", "0", "0.0", "microseconds-unit 1"])
        # 262 bytes and 100
        self.assertEqual((lines["totlen_fwd_pkts"]["largest_absolute"], lines["totlen_fwd_pkts"]["largest_relative"]),
                         ("162.0", repr(162 / 262)))
        with open(self.path("out.html"), encoding="utf-8") as file:
            page = file.read()
        plots = page.split("<svg")[1:]
        self.assertGreaterEqual(len(plots), 6)
        for plot in plots:
            xml.etree.ElementTree.fromstring("<svg" + plot.split("</svg>")[0] + "</svg>")
        for outside in ("http:", "https:", "src=", "@import"):
            self.assertNotIn(outside, page)

    def test_times_of_another_zone_get_a_hint(self):
        other = self.write("c.csv", gzip.decompress(pathlib.Path(self.b).read_bytes()).replace(b"12:26:40 PM", b"02:26:40 PM"))
        done = self.run_diff(self.a, other, "--capture", self.capture)
        self.assertEqual(done.returncode, 1)
        self.assertIn("TZ=UTC", done.stdout)
        self.assertNotIn("TZ=UTC", self.run_diff(self.a, self.b).stdout)

    def test_page_escapes_what_it_shows(self):
        evil = self.write("<b>.csv", "src_ip,dst_ip,src_port,dst_port,protocol,timestamp\n<script>,x,1,2,6,2020-09-13 12:26:40.0\n")
        done = self.run_diff(evil, self.a, "--html", "-")
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("<script>", done.stdout)
        self.assertNotIn("<b>", done.stdout)

    def test_empty_files(self):
        empty = self.write("empty.csv", "")
        head = self.write("head.csv", ",".join(cic82.COLUMNS_82) + "\n")
        self.assertEqual(self.run_diff(empty, head).returncode, 0)
        done = self.run_diff(self.a, empty)
        self.assertEqual(done.returncode, 1)
        self.assertIn("B is empty", done.stdout)
        self.assertIn("1 only in A", done.stdout)

    def test_other_columns(self):
        some = self.write("some.csv", "src_ip,dst_ip,src_port,dst_port,protocol,timestamp,extra\n"
                                      f"{A},{B},4000,80,6,2020-09-13 12:26:40.250000,1\n")
        done = self.run_diff(self.a, some)
        self.assertEqual(done.returncode, 0)
        self.assertIn("columns only in A: flow_duration", done.stdout)
        self.assertIn("columns only in B: extra", done.stdout)

    def test_what_cannot_be_compared_is_one_line_that_names_it(self):
        text = pathlib.Path(self.a).read_text(encoding="utf-8")
        for name, content, words in (
                ("unknown.csv", "a,b,c\n1,2,3\n", "not the header of a known program"),
                ("nokey.csv", "src_ip,dst_ip,src_port,dst_port,protocol\n", "no column timestamp"),
                ("twice.csv", text.replace("dst_ip", "src_ip", 1).replace("src_ip", "dst_ip,src_ip", 1), "twice"),
                ("short.csv", text.rstrip("\n").rsplit(",", 1)[0] + "\n", "line 2 has 81 cells, the header 82"),
                ("word.csv", text.replace(",4000,", ",port,", 1), "line 2: src_port: 'port' is not a value"),
                ("binary.csv", b"\xd4\xc3\xb2\xa1\xff\xfe", "not a text file"),
                ("cut.csv.gz", gzip.compress(text.encode())[:-20], "cut short")):
            with self.subTest(name=name):
                done = self.run_diff(self.a, self.write(name, content))
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                self.assertIn(name, done.stderr)
                self.assertIn(words, done.stderr)
        for arguments, words in (((self.a,), "two CSV files"), ((self.a, self.path("none.csv")), "none.csv: No such file"),
                                 ((self.a, self.b, "--capture", self.a), "no packets"),
                                 ((self.a, self.b, "--capture", self.path("none")), "No such file"),
                                 ((self.a, self.b, "--html", self.path("none/x")), "No such file"),
                                 ((self.a, self.b, "--colour"), "unrecognized")):
            with self.subTest(arguments=arguments):
                done = self.run_diff(*arguments)
                self.assertEqual(done.returncode, 2)
                self.assertIn(words, done.stderr)

    def test_modes_lists_all_columns_and_rules(self):
        done = self.run_diff("--modes")
        for name in (*columns.COLUMNS, *rules.QUIRK, *rules.BOUNDARIES, *rules.ROW_RULES):
            self.assertIn(f"`{name}`", done.stdout)

    def test_names_are_those_of_the_programs(self):
        self.assertEqual(list(columns.COLUMNS), cic82.COLUMNS_82)
        self.assertEqual({c.java for c in columns.COLUMNS.values()}, set(java_cicflowmeter.HEADER.split(",")) - {"Flow ID", "Label"})
