# SPDX-License-Identifier: BSD-3-Clause
"""A capture as each program sees it: its frames are read in three ways and grouped into flows by each program's rules.

The independent models (flowmeter.models) read the headers and make the flows. Wherever a flow starts or ends, the boundary
(rules.py) that caused it is named.
"""
from ..models import captures, cic82, java_cicflowmeter, python_cicflowmeter
from .columns import CORRECT, JAVA, KEY, PYTHON
from .flow import Flow, Frame, View
from .table import content_of


def _stated_below_captured(data, header):
    """Numbers of the records of a pcap file whose wire length is below the captured length."""
    records = captures.pcap_records(data, header.order) if header else ()
    return {number for number, (_, _, frame, wire) in enumerate(records) if wire < len(frame)}


class Capture:
    def __init__(self, path):
        data = content_of(path)
        self.frames = []
        self.flows, self.flow_of = {}, {}  # by program: list of Flow; Frame -> Flow
        self._tables = {CORRECT: _CorrectFlows(), PYTHON: _PythonFlows(), JAVA: _JavaFlows()}
        header = captures.pcap_header(data)  # None: pcapng
        order = header.order if header else "<"
        snap = header.snap if header else 0
        self._upper_link_bits = bool(header) and header.link > 0xFFFF
        memory, first_link, below = {}, None, _stated_below_captured(data, header)
        for time, captured, wire, link in cic82.frames(data):
            first_link = link if first_link is None else first_link
            seen = captured[:snap] if 0 < snap < 2**31 else captured
            frame = Frame(len(self.frames), time, wire, min(len(seen), 0xFFFF))
            self.frames.append(frame)
            self._correct(frame, captured, wire, link, time, memory)
            if link == first_link:  # libpcap stops at an interface with another link type
                self._python(frame, seen, link, order, time // 1000)
                if frame.number in below or wire >= 2**31:  # it takes the length as signed
                    frame.refused[JAVA] = "java-wire-length"
                else:
                    self._java(frame, seen, wire, time // 1000)
            else:
                frame.refused[PYTHON] = "python-link-type"
                frame.refused[JAVA] = "java-not-ipv4"
        for program, table in self._tables.items():
            self.flows[program] = list(table.flows.values())
            self.flow_of[program] = {frame: flow for flow in self.flows[program] for frame, _ in flow.members}
            if program != CORRECT:
                for of, flow in table.flows.items():
                    flow.unwritten = None if of.written() else table.unwritten

    def _correct(self, frame, data, wire, link, time, memory):
        try:
            key, packet = cic82.dissect(data, wire, link, time, memory)
        except cic82.Refused as refused:
            frame.refused[CORRECT] = str(refused)
            return
        frame.views[CORRECT] = View(packet.header, packet.payload, packet.flags, packet.window)
        self._tables[CORRECT].add(frame, key, packet)

    def _python(self, frame, data, link, order, time):
        if link not in (0, 1, 12, 108, 113, 228, 276) or self._upper_link_bits:
            frame.refused[PYTHON] = "python-link-type"
            return
        packet = python_cicflowmeter.packet_of(link, order, time, data)
        if packet is None:
            ip = python_cicflowmeter.ip_of(link, order, data)
            frame.refused[PYTHON] = ("python-ipv4-only" if len(ip) < 20 else
                                     "python-later-fragment" if (ip[6] << 8 | ip[7]) & 0x1FFF else "python-undissected")
            return
        frame.views[PYTHON] = View(4 * packet.ihl, packet.payload, packet.flags, packet.window if packet.protocol == 6 else None)
        self._tables[PYTHON].add(frame, packet)

    def _java(self, frame, data, wire, time):
        packet = java_cicflowmeter.packet_of(data, wire)
        if packet is None:
            frame.refused[JAVA] = "java-not-ipv4"
            return
        _, _, protocol, flags, window, header, payload = packet
        frame.views[JAVA] = View(header, payload, flags, window if protocol == 6 else None)
        self._tables[JAVA].add(frame, packet, time)


class _CorrectFlows:
    def __init__(self):
        self.model, self.flows = cic82.Flows(), {}  # the model's flow -> ours

    def add(self, frame, key, packet):
        of = self.model.add(key, packet)
        if of not in self.flows:
            identity = cic82.identity(of, key[0] in (1, 58))
            self.flows[of] = Flow(CORRECT, key, tuple(identity[name] for name in KEY[:5]), of.begun)
        self.flows[of].members.append((frame, of.forward(packet)))


class _PythonFlows:
    unwritten = "python-no-forward"

    def __init__(self):
        self.model, self.flows, self.keys = python_cicflowmeter.Session(), {}, set()

    def add(self, frame, packet):
        of, direction = self.model.process(packet)
        if of not in self.flows:
            source, destination, *ports = of.key
            key = frozenset((of.key, python_cicflowmeter.key_of(packet, 1 - direction)))
            # Without a time-out, only a collection can have ended the previous flow.
            begun = "python-timeout" if of.number else "python-collection" if key in self.keys else None
            self.keys.add(key)
            self.flows[of] = Flow(PYTHON, key, (source, destination, *([-1, -1] if of.icmp else ports), of.protocol), begun)
        self.flows[of].members.append((frame, direction == python_cicflowmeter.FORWARD))


class _JavaFlows:
    unwritten = "java-one-packet"

    def __init__(self):
        self.model, self.flows, self.latest = java_cicflowmeter.Flows(), {}, {}  # latest: key -> the model's flow

    def add(self, frame, packet, time):
        of = self.model.add(time, packet)
        if of is None:
            frame.refused[JAVA] = "java-repeated-fin"
            return
        first = of not in self.flows
        if first:
            source, destination, port, other_port, protocol = of.name
            key = frozenset((of.name, (destination, source, other_port, port, protocol)))
            before = self.latest.get(key)
            self.latest[key] = of
            self.flows[of] = Flow(JAVA, key, of.name, before and f"java-{before.ending}")
        self.flows[of].members.append((frame, first or of.forward(packet)))
