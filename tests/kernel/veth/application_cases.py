# SPDX-License-Identifier: BSD-3-Clause
"""Shared by the tests of the columns of payload (HTTP, TLS, DNS): messages, conversations over a pair of namespaces, and
what the columns must say about them."""
import contextlib
import socket
import struct
import threading
import time

import live_cases
import meter
from namespaces import A4, A6, B4, B6

SET = ("--features", "realtime97")
APPLICATION = (
    "HTTP Request Count", "HTTP Response Count", "HTTP Most Common Method", "HTTP Most Common Response Code",
    "HTTP Content Length", "TLS Handshake Count", "TLS Most Common Version", "TLS Cipher Suite Count",
    "TLS Extensions Count", "DNS Query Count", "DNS Response Count", "DNS Most Common Query Type",
    "DNS Most Common Response Code")
UNTIMED = (
    "Total Fwd Packets", "Total Backward Packets", "Total Length of Fwd Packets", "Total Length of Bwd Packets",
    "Fwd Packet Length Max", "Bwd Packet Length Std", "Fwd Header Length", "Bwd Header Length", "PSH Flag Count",
    "Init_Win_bytes_forward", "Init_Win_bytes_backward", "act_data_pkt_fwd", "min_seg_size_forward", *APPLICATION)
REQUESTS = 30
NOTHING = ["0", "0", "NONE", "0", "0", "0", "NONE", "0", "0", "0", "0", "NONE", "0"]


def be16(value):
    return struct.pack(">H", value)


def hello(kind, body):
    """A TLS record with one handshake message."""
    message = bytes([kind]) + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + be16(len(message)) + message


def extension(number, body):
    return be16(number) + be16(len(body)) + body


def extensions(*each):
    return be16(sum(map(len, each))) + b"".join(each)


CLIENT_HELLO = hello(1, b"\x03\x03" + bytes(32) + b"\0" + be16(8) + b"\x4a\x4a\x13\x01\x13\x02\x13\x03" + b"\x01\0" + extensions(
    extension(43, b"\x04\x03\x04\x03\x03"), extension(0, b"x"), extension(51, bytes(1300))))
SERVER_HELLO = hello(2, b"\x03\x03" + bytes(32) + b"\0\x13\x01\0" + extensions(extension(43, b"\x03\x04")))


def dns(flags, kind):
    return be16(7) + be16(flags) + be16(1) + bytes(6) + b"\x07example\x03com\0" + be16(kind) + be16(1)


def framed(message):
    return be16(len(message)) + message


class Payload(live_cases.AgainstTcpdump):
    @contextlib.contextmanager
    def connection(self, pair, address, port):
        """The two ends of a connection from A to this address and port of B."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with pair.b.inside():
            listener = socket.socket(family)
        with pair.a.inside():
            client = socket.socket(family)
        with listener, client:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            listener.listen(1)
            for s in (listener, client):
                s.settimeout(20)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.connect((address, port))
            server = listener.accept()[0]
            with server:
                server.settimeout(20)
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                yield client, server

    def tcp(self, pair, address, port, talk):
        with self.connection(pair, address, port) as ends:
            talk(*ends)

    def pass_on(self, sender, receiver, *pieces):
        """Each piece is a segment of its own, because the next one is sent only after it has arrived."""
        for piece in pieces:
            thread = threading.Thread(target=sender.sendall, args=(piece,))
            thread.start()
            left = len(piece)
            while left:
                left -= len(receiver.recv(left))
            thread.join()

    def http(self, body):
        def talk(client, server):
            for _ in range(REQUESTS):
                self.pass_on(client, server, b"GET /x HTTP/1.1\r\nHost: b\r\n\r\n")
                self.pass_on(server, client, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % body + bytes(body))

        return talk

    def tls(self, client, server):
        self.pass_on(client, server, CLIENT_HELLO[:7], CLIENT_HELLO[7:600], CLIENT_HELLO[600:])
        self.pass_on(server, client, SERVER_HELLO + b"\x14\x03\x03\0\x01\x01" + b"\x17\x03\x03\x40\0" + bytes(0x4000))
        self.pass_on(client, server, *(b"\x17\x03\x03\0\x40" + bytes(64) for _ in range(12)))

    def dns_over_tcp(self, client, server):
        for _ in range(12):
            self.pass_on(client, server, framed(dns(0x0100, 28)))
            self.pass_on(server, client, framed(dns(0x8183, 28)))

    def dns_over_udp(self, pair, ours, theirs):
        server, client = self.udp(pair.b, theirs, 53), self.udp(pair.a, ours, 40000, (theirs, 53))
        for kind in (16, 1, 1):
            client.send(dns(0x0100, kind))
            who = server.recvfrom(2000)[1]
            server.sendto(dns(0x8180, kind) + bytes(900), who)
            client.recv(2000)
        client.send(b"no DNS message")
        server.recv(2000)

    def traffic(self, body=100):
        def run(pair):
            for ours, theirs in ((A4, B4), (A6, B6)):
                self.tcp(pair, theirs, 8080, self.http(body))
                self.tcp(pair, theirs, 4433, self.tls)
                self.tcp(pair, theirs, 53, self.dns_over_tcp)
                self.dns_over_udp(pair, ours, theirs)

        return run

    def by_flow(self, rows):
        for row in rows:
            for name, ours in zip(meter.FLOW, ("Src IP", "Dst IP", "Src Port", "Dst Port", "Protocol")):
                row[name] = row[ours]
            row["timestamp"] = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(float(row["Timestamp"])))
        return super().by_flow(rows)

    def check(self, rows, body=100):
        expected = {
            ("TCP", "8080"): [str(REQUESTS), str(REQUESTS), "GET", "200", str(REQUESTS * body), *NOTHING[5:]],
            ("TCP", "4433"): [*NOTHING[:5], "2", "0x0304", "3", "4", *NOTHING[9:]],
            ("TCP", "53"): [*NOTHING[:9], "12", "12", "28", "3"],
            ("UDP", "53"): [*NOTHING[:9], "3", "3", "1", "0"]}
        seen = []
        for row in rows:
            kind = (row["Protocol"], row["Dst Port"])
            if kind in expected:
                seen.append(kind)
                self.assertEqual([row[name] for name in APPLICATION], expected[kind], row["Flow ID"])
        self.assertEqual(sorted(seen), sorted(2 * list(expected)))
