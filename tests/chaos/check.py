# SPDX-License-Identifier: BSD-3-Clause
"""What holds at the end of every scenario: each packet of the ledger is in one row, or the meter's account says how many are
not; rows of a flow do not overlap; accounts balance; nothing is left behind."""
import collections
import datetime
import os
import re

import meter
from outputs import CLOCK_SLACK_S

SHOWN = 8


def ends(row):
    """The directed 5-tuples of its two directions."""
    source, target = (row["src_ip"], int(row["src_port"])), (row["dst_ip"], int(row["dst_port"]))
    return [(one[0], other[0], one[1], other[1], int(row["protocol"])) for one, other in ((source, target), (target, source))]


def in_rows(rows):
    packets, size = collections.Counter(), collections.Counter()
    for row in rows:
        for key, way in zip(ends(row), ("fwd", "bwd")):
            packets[key] += int(row[f"tot_{way}_pkts"])
            size[key] += int(float(row[f"totlen_{way}_pkts"]))
    return packets, size


def differences(ledger, rows):
    """(flows with too many packets, with too few, with other bytes): lines of text; and how many packets are missing."""
    packets, size = in_rows(rows)
    more, fewer, other, missing = [], [], [], 0
    for key in {*packets, *ledger.packets}:
        found, sent = packets[key], ledger.packets[key]
        if found > sent + ledger.doubtful[key]:
            more.append(f"{key}: sent {sent}, in rows {found}")
        elif found < sent:
            missing += sent - found
            fewer.append(f"{key}: sent {sent}, in rows {found}")
        elif found == sent and size[key] != ledger.bytes[key]:
            other.append(f"{key}: sent {ledger.bytes[key]} bytes, in rows {size[key]}")
    return more, fewer, other, missing


def overlaps(rows):
    """Rows of a flow of which one begins before another ends."""
    flows = collections.defaultdict(list)
    for row in rows:
        start = datetime.datetime.fromisoformat(row["timestamp"]).timestamp()
        flows[min(ends(row))].append((start, start + float(row["flow_duration"])))
    for key, spans in flows.items():
        spans.sort()
        for (_, end), (start, _) in zip(spans, spans[1:]):
            if start < end - CLOCK_SLACK_S:
                yield f"{key}: a row begins {end - start:.3f} s before another ends"


def summary(what, lines):
    return [f"{len(lines)} {what}, such as", *("  " + line for line in sorted(lines)[:SHOWN])] if lines else []


def conservation(case, ledger, rows, done, clock_steps=False):
    """done: the last meter, whose account says how many packets are in no row."""
    explained = account(case, ledger, done, rows)
    more, fewer, other, missing = differences(ledger, rows)
    wrong = summary("flows with packets that were counted twice", more) + summary("flows with other bytes", other)
    if missing != explained:
        wrong += [f"{missing} packets are in no row, {explained} according to the account", *summary("flows lack packets", fewer)]
    if not clock_steps:
        wrong += summary("rows overlap", list(overlaps(rows)))
    case.assertFalse(wrong, "\n".join(wrong))
    case.assertEqual(meter.packets_in(rows), done.account["in_rows"], "packets of all rows, and of the account")


def account(case, ledger, done, rows):
    """The last account covers all meters of a pin. Returns how many packets are in no row."""
    told, sent, doubtful = done.account, ledger.packets.total(), ledger.doubtful.total()
    case.assertTrue(sent <= told["seen"] <= sent + doubtful, f"sent {sent} and {doubtful} in doubt: {told}")
    case.assertEqual(told["metered"], told["in_rows"] + told["lost"], told)
    return told["lost"] + told["unrecorded"]


def nothing_left(case, world, *daemons):
    case.assertFalse(os.path.exists(world.pins), "pins are left")
    case.assertEqual(os.listdir(world.state), [], "the state of flows is left")
    for daemon in daemons:
        for run in daemon.runs:
            case.assertIsNotNone(run.process.poll(), "a meter still runs")
    objects = set.union(*(daemon.objects for daemon in daemons))
    meter.wait_for("all programs, maps and links are gone",
                   lambda: not [each for each in objects if meter.bpf_object_exists(*each)])


def outputs(case, done, all_written):
    """The account of each output: each row is written, waits or is dropped."""
    for name, line in re.findall(r"info: output (\S+): (rows=.*)", done.err):
        told = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", line)}
        case.assertEqual(told["rows"], told["written"] + told["waiting"] + told["dropped"], f"{name}: {line}")
        if all_written:
            case.assertEqual(told["rows"], told["written"], f"{name}: {line}")


def link_counters(case, world):
    """The kernel's own counters of the wires that are still there."""
    for wire in world.wires:
        sent, doubtful = world.ledger.buffers[wire], world.ledger.doubtful.total()
        case.assertTrue(sent <= wire.buffers_seen() <= sent + doubtful,
                        f"{wire.name}: sent {sent}, ip -s link: {wire.buffers_seen()}")
