# SPDX-License-Identifier: BSD-3-Clause
"""A capture as each program sees it: its frames are read in three ways and put into flows by each program's rules.

Wherever a flow starts or ends, the boundary (rules.py) that caused it is named. The independent models (flowmeter.models)
read the headers. The flow rules are repeated here, because the models do not say why a flow starts or ends.
"""
import gzip
import socket

from ..models import captures, cic82, java_cicflowmeter, python_cicflowmeter
from .columns import CORRECT, JAVA, NS, PYTHON
from .flow import Flow, Frame, View

US = 10**6
FIN, SYN, RST, ACK = 1, 2, 4, 16


def _capture_octets(path):
    with open(path, "rb") as file:
        octets = file.read()
    return gzip.decompress(octets) if octets[:2] == b"\x1f\x8b" else octets


def _stated_below_captured(octets, header):
    """Numbers of the records of a pcap file whose stated wire length is below the captured one."""
    records = captures.pcap_records(octets, header.order) if header else ()
    return {number for number, (_, _, frame, wire) in enumerate(records) if wire < len(frame)}


class Capture:
    def __init__(self, path):
        octets = _capture_octets(path)
        self.frames = []
        self.flows = {CORRECT: [], PYTHON: [], JAVA: []}
        self.flow_of = {program: {} for program in self.flows}  # Frame -> Flow
        self._tables = {CORRECT: _CorrectTable(), PYTHON: _PythonTable(), JAVA: _JavaTable()}
        header = captures.pcap_header(octets)  # None: pcapng
        order = header.order if header else "<"
        snap = header.snap if header else 0
        self._upper_link_bits = bool(header) and header.link > 0xFFFF
        memory, first_link, below = {}, None, _stated_below_captured(octets, header)
        for time, captured, wire, link in cic82.frames(octets):
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
            self.flows[program] = table.finish()
            for flow in self.flows[program]:
                for frame, _ in flow.members:
                    self.flow_of[program][frame] = flow

    def _correct(self, frame, octets, wire, link, time, memory):
        try:
            key, packet = cic82.dissect(octets, wire, link, time, memory)
        except cic82.Refused as refused:
            frame.refused[CORRECT] = str(refused)
            return
        frame.views[CORRECT] = View(packet.header, packet.payload, packet.flags, packet.window)
        self._tables[CORRECT].add(frame, key, packet)

    def _python(self, frame, octets, link, order, time):
        if link not in (0, 1, 12, 108, 113, 228, 276) or self._upper_link_bits:
            frame.refused[PYTHON] = "python-link-type"
            return
        packet = python_cicflowmeter.packet_of(link, order, time, octets)
        if packet is None:
            ip = python_cicflowmeter.ip_of(link, order, octets)
            frame.refused[PYTHON] = ("python-ipv4-only" if len(ip) < 20 else
                                     "python-later-fragment" if (ip[6] << 8 | ip[7]) & 0x1FFF else "python-undissected")
            return
        frame.views[PYTHON] = View(4 * packet.ihl, packet.payload, packet.flags, packet.window if packet.protocol == 6 else None)
        self._tables[PYTHON].add(frame, packet)

    def _java(self, frame, octets, wire, time):
        packet = java_cicflowmeter.packet_of(octets, wire)
        if packet is None:
            frame.refused[JAVA] = "java-not-ipv4"
            return
        _, _, protocol, flags, window, header, payload = packet
        frame.views[JAVA] = View(header, payload, flags, window if protocol == 6 else None)
        self._tables[JAVA].add(frame, packet, time)


class _CorrectTable:
    def __init__(self):
        self.current, self.all = {}, []

    def add(self, frame, key, packet):
        state = self.current.get(key)
        begun = None
        if state is not None:
            flow, source, start, latest, fins, reset = state
            closed = key[0] == 6 and (reset or len(fins) == 2)
            silence = packet.time - latest
            if silence > (5 if closed else 60 if key[0] in (1, 58) else 240) * NS:
                begun = "linger" if closed and silence <= 240 * NS else "idle"
            elif closed and packet.flags & (SYN | ACK) == SYN:
                begun = "reopened"
            elif packet.time - start > 1800 * NS:
                begun = "active"
        if state is None or begun:
            kept = begun == "active"
            source = state[1] if kept else packet.source
            ends = (packet.source, packet.destination)
            if source != ends[0]:
                ends = ends[::-1]
            icmp = key[0] in (1, 58)
            text = [socket.inet_ntop(socket.AF_INET if len(e[0]) == 4 else socket.AF_INET6, e[0]) for e in ends]
            flow = Flow(CORRECT, key, (*text, *((-1, -1) if icmp else (ends[0][1], ends[1][1])), key[0]), begun)
            self.all.append(flow)
            state = [flow, source, packet.time, packet.time, set(state[4]) if kept else set(), kept and state[5]]
            self.current[key] = state
        forward = packet.source == state[1]
        state[0].members.append((frame, forward))
        state[3] = max(state[3], packet.time)
        if packet.flags & FIN:
            state[4].add(forward)
        if packet.flags & RST:
            state[5] = True

    def finish(self):
        return self.all


class _PythonTable:
    def __init__(self):
        self.flows, self.all, self.taken = {}, [], 0
        self.collected = set()  # keys whose row was taken

    def make(self, packet, key, number, direction, begun):
        source, destination, first, second = python_cicflowmeter.key_of(packet, direction)
        icmp = packet.protocol == 1
        undirected = frozenset((key, python_cicflowmeter.key_of(packet, 1 - direction)))
        begun = begun or ("python-collection" if undirected in self.collected else None)
        flow = Flow(PYTHON, undirected, (source, destination, *((-1, -1) if icmp else (first, second)), packet.protocol), begun)
        flow.start = flow.latest = packet.time
        flow.icmp = icmp
        self.flows[key, number] = flow
        self.all.append(flow)
        return flow

    def add(self, frame, packet):
        self.taken += 1
        direction, key = 0, python_cicflowmeter.key_of(packet, 0)
        flow = self.flows.get((key, 0))
        if flow is None:
            direction, key = 1, python_cicflowmeter.key_of(packet, 1)
            flow = self.flows.get((key, 0))
        if flow is None:
            direction, key = 0, python_cicflowmeter.key_of(packet, 0)
            flow = self.make(packet, key, 0, direction, None)
        else:
            timeout = (60 if packet.protocol == 1 else 240) * US
            expired, number = timeout, 0
            while packet.time - flow.latest > expired:
                number += 1
                expired += timeout
                flow = self.flows.get((key, number))
                if flow is None:
                    flow = self.make(packet, key, number, direction, "python-timeout")
                    break
        flow.members.append((frame, direction == 0))
        flow.latest = max(flow.latest, packet.time)
        if self.taken % 1000 == 0 or flow.latest - flow.start > 120 * US:
            self.collect(packet.time)

    def collect(self, time):
        for (key, number), flow in list(self.flows.items()):
            idle, long = (60, 30) if flow.icmp else (240, 90)
            if time - flow.latest >= idle * US or flow.latest - flow.start >= long * US:
                del self.flows[key, number]
                self.collected.add(flow.key)

    def finish(self):
        for flow in self.all:
            if not any(forward for _, forward in flow.members):
                flow.unwritten = "python-no-forward"
        return self.all


class _JavaTable:
    def __init__(self):
        self.flows, self.all = {}, []
        self.ended = {}  # key -> boundary that ended the last flow on it

    def make(self, frame, identity, key, time, begun):
        undirected = frozenset((key, (key[1], key[0], key[3], key[2], key[4])))
        flow = Flow(JAVA, undirected, identity, begun or self.ended.get(undirected))
        flow.start, flow.fin = time, False
        flow.members.append((frame, True))
        self.flows[key] = flow
        self.all.append(flow)

    def add(self, frame, packet, time):
        (source, destination), (first, second), protocol, flags, *_ = packet
        key = (source, destination, first, second, protocol)
        if key not in self.flows:
            backward = (destination, source, second, first, protocol)
            if backward not in self.flows:
                self.make(frame, key, key, time, None)
                return
            key = backward
        flow = self.flows[key]
        if time - flow.start > 120 * US:
            del self.flows[key]
            self.make(frame, flow.identity, key, time, "java-120s")
            return
        forward = source == flow.identity[0]
        if flags & FIN and forward:
            if flow.fin:
                frame.refused[JAVA] = "java-repeated-fin"
                return
            flow.fin = True
        elif flags & (FIN | RST):
            del self.flows[key]
            self.ended[flow.key] = "java-fin" if flags & FIN else "java-rst"
        flow.members.append((frame, forward))

    def finish(self):
        for flow in self.all:
            if len(flow.members) == 1:
                flow.unwritten = "java-one-packet"
        return self.all
