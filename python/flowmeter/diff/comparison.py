# SPDX-License-Identifier: BSD-3-Clause
"""Matches the flows of two tables, compares their cells and looks for the rules that explain a difference.

A rule explains a cell only if its prediction is right for exactly this cell. With a capture, the cells of *both* programs must
follow from the flow's packets; without one, the other program's cell must follow from the correct row. Everything else is
listed as unexplained.
"""
import collections
from typing import NamedTuple, Optional

from . import features, row_quirks
from .columns import COLUMNS, CORRECT, JAVA, KEY, NS, PYTHON, QUOTIENTS, TEXT, canonical, equal
from .flow import Flow
from .rules import quirks_of

_ADDITIVE = ("tot_fwd_pkts", "tot_bwd_pkts", "totlen_fwd_pkts", "totlen_bwd_pkts", "fwd_header_len", "bwd_header_len",
             "fin_flag_cnt", "syn_flag_cnt", "rst_flag_cnt", "psh_flag_cnt", "ack_flag_cnt", "urg_flag_cnt",
             "ece_flag_cnt", "fwd_act_data_pkts")


class Cell(NamedTuple):
    """A pair of cells that differ."""

    column: str
    a: object  # Row
    b: object
    rules: Optional[tuple]  # names, in the order in which they apply; None: no explanation


class Side(NamedTuple):
    """A row without a partner, or an additional row of a flow that is split into several."""

    side: str  # "A" or "B"
    row: object
    rules: tuple  # names; empty: no reason known
    whole: bool  # True: the other file does not have this flow; False: it has it within another row


class ColumnResult:
    def __init__(self):
        self.equal, self.explained, self.unexplained = 0, collections.Counter(), []
        self.largest_absolute, self.largest_relative = 0.0, 0.0

    @property
    def different(self):
        return sum(self.explained.values()) + len(self.unexplained)


class Result:
    def __init__(self, a, b, capture):
        self.a, self.b, self.capture = a, b, capture
        self.columns = {name: ColumnResult() for name in COLUMNS if name in a.columns and name in b.columns}
        self.only_columns = {"A": [n for n in a.columns if n not in b.columns] + a.uncompared if b.columns else [],
                             "B": [n for n in b.columns if n not in a.columns] + b.uncompared if a.columns else []}
        self.pairs = []  # (Row, Row)
        self.sides = []
        self.owners = {"A": {}, "B": {}}  # with a capture: Frame -> Flow
        self.not_in_capture = {"A": 0, "B": 0}
        self.rules = collections.Counter()  # name -> cells and rows

    def unexplained(self):
        return sum(len(c.unexplained) for c in self.columns.values()) + sum(not s.rules for s in self.sides)


# ---- rows and flows ---------------------------------------------------------------------------------------------------


def _locate(table, capture):
    """Returns {line: Flow}: each row's flow in the capture."""
    waiting = collections.defaultdict(list)
    for flow in capture.flows[table.program]:
        if flow.unwritten is None:
            start = flow.members[0][0].time // 1000 * 1000
            waiting[flow.identity, start if table.program == CORRECT else start // NS * NS].append(flow)
    found = {}
    quirks = frozenset(quirks_of(table.program))
    for row in table.rows:
        flows = waiting.get((tuple(row.cells[name] for name in KEY[:5]), row.cells["timestamp"]), [])
        for flow in flows:
            forward = sum(way for _, way in flow.members)
            twice = table.program == PYTHON
            counts = {"tot_fwd_pkts": forward + (twice and flow.members[0][1]),
                      "tot_bwd_pkts": len(flow.members) - forward + (twice and not flow.members[0][1])}
            if any(name in row.cells and row.cells[name] != count for name, count in counts.items()):
                continue
            if len(flows) > 1 and "flow_duration" in row.cells:
                duration = features.cells(flow.identity, flow.members, quirks)["flow_duration"]
                if not equal("flow_duration", row.cells["flow_duration"], duration, _per_second(table.program)):
                    continue
            found[row.line] = flow
            flows.remove(flow)
            break
    return found


def _locate_collected(table, capture, found):
    """Adds to `found` the rows of the Python program that were collected at another moment than by nqmn's rules. Each is
    matched with a run of packets on its key that has the same start, counts and duration."""
    lost = [row for row in table.rows if row.line not in found]
    needed = {"flow_duration", "tot_fwd_pkts", "tot_bwd_pkts"}
    if table.program != PYTHON or not lost or not needed <= set(table.columns):
        return
    taken = {frame for flow in found.values() for frame, _ in flow.members}  # a packet is in one row
    runs = collections.defaultdict(list)
    for flow in capture.flows[PYTHON]:
        runs[_undirected(flow.identity)].extend((frame, way, flow) for frame, way in flow.members)
    for row in lost:
        c = row.cells
        run = sorted(runs[_undirected(tuple(c[name] for name in KEY[:5]))], key=lambda member: member[0].number)
        n = c["tot_fwd_pkts"] + c["tot_bwd_pkts"] - 1
        for i in range(len(run) - n + 1 if n > 0 else 0):
            part = run[i:i + n]
            if part[0][0].time // NS * NS != c["timestamp"] or any(frame in taken for frame, _, _ in part):
                continue
            members = [(frame, way == (flow.identity[:4] == tuple(c[name] for name in KEY[:4]))) for frame, way, flow in part]
            forward = sum(way for _, way in members) + members[0][1]
            duration = (max(f.time // 1000 for f, _ in members) - members[0][0].time // 1000) / 1e6
            if forward == c["tot_fwd_pkts"] and equal("flow_duration", duration, c["flow_duration"]):
                found[row.line] = Flow(PYTHON, part[0][2].key, tuple(c[name] for name in KEY[:5]), "other-collection")
                found[row.line].members = members
                taken.update(frame for frame, _ in members)
                break


def _undirected(identity):
    return frozenset((identity[:2] + identity[2:4], identity[1::-1] + identity[3:1:-1])), identity[4]


def _per_second(program):
    return 10**6 if program == JAVA else 1


def _ends(row):
    """A key that is the same for all rows of one connection, whichever program wrote them."""
    c = row.cells
    if c["protocol"] in (6, 17):
        return c["protocol"], frozenset(((c["src_ip"], c["src_port"]), (c["dst_ip"], c["dst_port"])))
    return 0, frozenset((c["src_ip"], c["dst_ip"]))


def _interval(row, program):
    start = row.cells["timestamp"]
    duration = canonical("flow_duration", row.cells.get("flow_duration", 0), program)
    slack = 0 if program == CORRECT else NS
    return start, start + int(max(0, duration) * NS) + slack


class _Groups:
    """Union-find over (side, line)."""

    def __init__(self):
        self.parent = {}

    def root(self, node):
        while self.parent.setdefault(node, node) != node:
            self.parent[node] = node = self.parent[self.parent[node]]
        return node

    def join(self, a, b):
        self.parent[self.root(a)] = self.root(b)


def _group(a, b, located):
    groups = _Groups()
    if located:
        seen = {}
        for side, table in (("A", a), ("B", b)):
            for row in table.rows:
                flow = located[side].get(row.line)
                for frame, _ in flow.members if flow else ():
                    other = seen.setdefault(frame, (side, row.line))
                    if other[0] != side:
                        groups.join(other, (side, row.line))
    # Rows that the capture does not match are matched by addresses, ports and time.
    by_ends = collections.defaultdict(list)
    for side, table in (("A", a), ("B", b)):
        for row in table.rows:
            by_ends[_ends(row)].append((*_interval(row, table.program), side, row.line))
    for rows in by_ends.values():
        rows.sort()
        open_rows = []
        for start, end, side, line in rows:
            open_rows = [o for o in open_rows if o[0] >= start]
            for _, other_side, other in open_rows:
                if other_side != side and not (located and line in located[side] and other in located[other_side]):
                    groups.join((other_side, other), (side, line))
            open_rows.append((end, side, line))
    members = collections.defaultdict(lambda: {"A": [], "B": []})
    for side, table in (("A", a), ("B", b)):
        for row in table.rows:
            members[groups.root((side, row.line))][side].append(row)
    return members.values()


def _pair(group, located):
    """Returns the pairs of rows of a group that have most in common, and the remaining rows of each side."""
    rated = []
    frames = {}
    if located:
        for side in ("A", "B"):
            for row in group[side]:
                flow = located[side].get(row.line)
                frames[side, row.line] = {frame for frame, _ in flow.members} if flow else set()
    for x in group["A"]:
        for y in group["B"]:
            common = len(frames["A", x.line] & frames["B", y.line]) if located else 0
            if located and not common and frames["A", x.line] and frames["B", y.line]:
                continue
            apart = abs(x.cells["timestamp"] // NS - y.cells["timestamp"] // NS)
            counts = sum(abs(x.cells.get(n, 0) - y.cells.get(n, 0)) for n in ("tot_fwd_pkts", "tot_bwd_pkts"))
            exchanged = x.cells["src_ip"] != y.cells["src_ip"] or x.cells["src_port"] != y.cells["src_port"]
            rated.append((-common, apart, exchanged, counts, x.line, y.line, x, y))
    rated.sort(key=lambda r: r[:6])
    used, pairs = set(), []
    for *_, x, y in rated:
        if ("A", x.line) not in used and ("B", y.line) not in used:
            used |= {("A", x.line), ("B", y.line)}
            pairs.append((x, y))
    return pairs, [(side, row) for side in ("A", "B") for row in group[side] if (side, row.line) not in used]


# ---- why a flow has other packets --------------------------------------------------------------------------------


def _boundaries(flow, other, owners):
    """Returns the boundaries that explain why two flows share some packets but not all; None if one of them is unknown.
    owners: the flows of the packets, on the side of the first flow and on that of the other."""
    names = set()
    key_rule = "java-key" if JAVA in (flow.program, other.program) else "python-key"
    for mine, theirs, owner in ((flow, other, owners[1]), (other, flow, owners[0])):
        shared = {frame for frame, _ in theirs.members}
        for frame in (frame for frame, _ in mine.members if frame not in shared):
            if frame.refused.get(theirs.program):
                names.add(frame.refused[theirs.program])
            elif owner[frame].key != theirs.key:
                names.add(key_rule)
            else:  # two flows with one key: the boundary that separates them started the later one
                names.add(max(owner[frame], theirs, key=lambda f: f.members[0][0].number).begun)
    if not names:  # the same packets, of other directions or ends
        names = {one.begun for one in (flow, other) if one.begun in ("python-timeout", "java-120s", "active")} or {key_rule}
    return None if None in names else tuple(sorted(names))


def _why_alone(flow, theirs, owner):
    """Returns the boundaries that explain why the other table has no row for any packet of the flow."""
    names = set()
    without_icmp = theirs.program == PYTHON and not any(row.cells["protocol"] == 1 for row in theirs.rows)
    for frame, _ in flow.members:
        name = frame.refused.get(theirs.program)
        if name is None and frame in owner:
            name = owner[frame].unwritten
            if owner[frame].identity[4] == 1 and without_icmp:
                name = "python-without-icmp"
        if name is None:
            return ()
        names.add(name)
    return tuple(sorted(names))


def _why_alone_by_row(row, program, other):
    packets = row.cells.get("tot_fwd_pkts", 0) + row.cells.get("tot_bwd_pkts", 0) - (program == PYTHON)
    if ":" in row.cells["src_ip"] and other in (PYTHON, JAVA):
        return ("python-ipv4-only" if other == PYTHON else "java-not-ipv4",)
    return ("java-one-packet",) if other == JAVA and packets == 1 else ()


# ---- why a cell differs ------------------------------------------------------------------------------------------


def _toggles(a, b):
    """Returns (first state, last state, [(quirk, state with it changed)]) from program a to program b, quirk by quirk."""
    have, want = quirks_of(a), quirks_of(b)
    state, steps = set(have), []
    for quirk in [q for q in have if q not in want][::-1] + [q for q in want if q not in have]:
        state ^= {quirk}
        steps.append((quirk, frozenset(state)))
    return frozenset(have), frozenset(want), steps


def _from_capture(columns, x, y, flow, other, owners):
    """Returns {column: names of rules} for the columns whose cells both follow from the packets."""
    first, last, steps = _toggles(flow.program, other.program)
    start = features.cells(flow.identity, flow.members, first)
    end = features.cells(other.identity, other.members, last)
    good = [name for name in columns if equal(name, start[name], x.cells[name], _per_second(flow.program))
            and equal(name, end[name], y.cells[name], _per_second(other.program))]
    if not good:
        return {}
    names = {name: [] for name in good}
    known = dict(start)

    def step(rules, now):
        for name in good:
            if not equal(name, known[name], now[name], 1) and known[name] != now[name]:
                names[name].extend(rules)
                known[name] = now[name]

    boundaries = ()
    if flow.members != other.members or flow.identity[:2] != other.identity[:2] or (
            flow.identity[4] in (6, 17) or other.identity[4] in (6, 17)) and flow.identity != other.identity:
        boundaries = _boundaries(flow, other, owners)
        if boundaries is None:
            boundaries = ("?",)
    step(boundaries, features.cells(other.identity, other.members, first))
    for quirk, state in steps:
        step((quirk,), features.cells(other.identity, other.members, state))
    return {name: tuple(rules) for name, rules in names.items() if rules and "?" not in rules}


def _from_row(columns, x, y, a, b):
    """Returns the same from the correct row alone, if one of the two rows is correct."""
    if (a.program == CORRECT) == (b.program == CORRECT):
        return {}
    correct, other, program = (x, y, b.program) if a.program == CORRECT else (y, x, a.program)
    names = {name: [] for name in columns}
    before = None
    for quirk, known in row_quirks.path(correct.cells, program):
        for name in columns:
            if before is not None and before[name] != known[name]:
                names[name].append(quirk)
        before = known
    return {name: tuple(rules) for name, rules in names.items()
            if rules and equal(name, before[name], other.cells[name], _per_second(program))}


def _own_quotient(name, x, y, a, b):
    for row, program in ((x, a.program), (y, b.program)):
        try:
            quotient = QUOTIENTS[name]({n: canonical(n, v, program) for n, v in row.cells.items()})
        except (KeyError, ValueError):
            return False
        if not equal(name, quotient, row.cells[name]):
            return False
    return True


def compare(a, b, capture=None):
    """Returns the Result. a, b: Tables; capture: flows.Capture or None."""
    result = Result(a, b, capture)
    located = None
    if capture:
        located = {"A": _locate(a, capture), "B": _locate(b, capture)}
        for side, of_side in (("A", a), ("B", b)):
            owners = dict(capture.flow_of[of_side.program])
            _locate_collected(of_side, capture, located[side])
            for flow in located[side].values():
                if flow.begun == "other-collection":
                    owners.update((frame, flow) for frame, _ in flow.members)
            result.owners[side] = owners
        result.not_in_capture = {"A": len(a.rows) - len(located["A"]), "B": len(b.rows) - len(located["B"])}
    for group in _group(a, b, located):
        pairs, rest = _pair(group, located)
        for side, row in rest:
            result.sides.append(_side(result, side, row, group, pairs, located))
        for x, y in pairs:
            result.pairs.append((x, y))
            _compare_rows(result, x, y, group, located)
    result.pairs.sort(key=lambda pair: pair[0].line)
    result.sides.sort(key=lambda side: (side.side, side.row.line))
    for side in result.sides:
        result.rules.update(side.rules)
    return result


def _side(result, side, row, group, pairs, located):
    mine, theirs, other = (result.a, result.b, "B") if side == "A" else (result.b, result.a, "A")
    flow = located[side].get(row.line) if located else None
    if not flow and any(other_row.line < row.line and other_row.text == row.text for other_row in group[side]):
        return Side(side, row, ("repeated-row",), whole=not pairs)
    if not pairs:
        rules = (_why_alone(flow, theirs, result.owners[other]) if flow
                 else _why_alone_by_row(row, mine.program, theirs.program))
        return Side(side, row, rules, whole=True)
    rules = set()
    if flow:
        frames = {frame for frame, _ in flow.members}
        for partner in group[other]:
            shared = located[other].get(partner.line)
            if shared and any(frame in frames for frame, _ in shared.members):
                rules |= set(_boundaries(flow, shared, (result.owners[side], result.owners[other])) or ())
    return Side(side, row, tuple(sorted(rules)), whole=False)


def _compare_rows(result, x, y, group, located):
    a, b = result.a, result.b
    different = []
    for name, column in result.columns.items():
        u, v = x.cells[name], y.cells[name]
        if equal(name, u, v):
            column.equal += 1
            continue
        different.append(name)
        if name not in TEXT:
            u, v = canonical(name, u, a.program), canonical(name, v, b.program)
            if name == "timestamp":
                u, v = u / NS, v / NS
            apart = abs(u - v)
            if apart == apart:  # not NaN
                column.largest_absolute = max(column.largest_absolute, apart)
                if apart and max(abs(u), abs(v)) < float("inf"):
                    column.largest_relative = max(column.largest_relative, apart / max(abs(u), abs(v)))
    if not different:
        return
    rules = {}
    flows = [located["A"].get(x.line), located["B"].get(y.line)] if located else [None, None]
    if all(flows):
        rules = _from_capture(different, x, y, *flows, (result.owners["A"], result.owners["B"]))
    else:
        rules = _from_row(different, x, y, a, b)
    for name in different:
        if name not in rules and name in QUOTIENTS and _own_quotient(name, x, y, a, b):
            rules[name] = ("own-quotient",)
        if name not in rules and name in _ADDITIVE and max(len(group["A"]), len(group["B"])) > 1:
            if sum(r.cells[name] for r in group["A"]) == sum(r.cells[name] for r in group["B"]):
                rules[name] = ("parts-add-up",)
        column = result.columns[name]
        cell = Cell(name, x, y, rules.get(name))
        if cell.rules is None:
            column.unexplained.append(cell)
        else:
            column.explained[cell.rules] += 1
            result.rules.update(list(dict.fromkeys(cell.rules)))  # not a set, whose order would change from run to run
