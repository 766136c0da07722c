# SPDX-License-Identifier: BSD-3-Clause
"""--pin with columns of payload: a planned restart in the middle of messages is not noticed. After a kill they are
empty for the flows of before."""
import contextlib

import live_cases
from application_cases import APPLICATION, CLIENT_HELLO, NOTHING, SERVER_HELLO, SET, Payload, dns, framed
from namespaces import A4, A6, B4, B6
from restart_cases import Pinned

CLIENT, SERVER = 0, 1
QUERY, RESPONSE = framed(dns(0x0100, 28)), framed(dns(0x8183, 28))
SECRET = b"\x17\x03\x03\0\x40" + bytes(64)
# Per port: who sends what, one piece after the other.
CONVERSATIONS = {
    8080: ((CLIENT, b"GET /x HT"), (CLIENT, b"TP/1.1\r\nHo"), (CLIENT, b"st: b\r\n\r\n"), (SERVER, b"HTTP/1.1 200 O"),
           (SERVER, b"K\r\nContent-Length: 5\r\n\r\nhello"), (CLIENT, b"GET /y HTTP/1.1\r\nContent-Le"),
           (CLIENT, b"ngth: 7\r\n\r\n1234567"), (SERVER, b"HTTP/1.1 200 OK\r\n\r\n")),
    4433: ((CLIENT, CLIENT_HELLO[:7]), (CLIENT, CLIENT_HELLO[7:600]), (CLIENT, CLIENT_HELLO[600:]),
           (SERVER, SERVER_HELLO[:3]), (SERVER, SERVER_HELLO[3:20]), (SERVER, SERVER_HELLO[20:] + b"\x14\x03\x03\0\x01\x01"),
           (CLIENT, SECRET), (SERVER, SECRET)),
    53: ((CLIENT, QUERY[:1]), (CLIENT, QUERY[1:10]), (CLIENT, QUERY[10:]), (SERVER, RESPONSE[:5]), (SERVER, RESPONSE[5:]),
         (CLIENT, QUERY), (SERVER, RESPONSE[:20]), (SERVER, RESPONSE[20:]))}
STEPS = 8
EXPECTED = {
    ("TCP", "8080"): ["2", "2", "GET", "200", "12", *NOTHING[5:]],
    ("TCP", "4433"): [*NOTHING[:5], "2", "0x0304", "3", "4", *NOTHING[9:]],
    ("TCP", "53"): [*NOTHING[:9], "2", "2", "28", "3"],
    ("UDP", "53"): [*NOTHING[:9], str(STEPS), str(STEPS), "1", "0"]}
# In seconds. Rates and the moments of gaps follow from times, which two hooks see a little differently.
TIMES = ("Fwd IAT Total", "Bwd IAT Total", "Flow IAT Max", "Active Max", "Idle Max")
FROM_TIMES = ("IAT", "/s", "Rate", "Active", "Idle", "Duration", "Timestamp")
OPTIONS = (*SET, "--idle-timeout", "120", "--bulk-max-gap", "60")


class Talk:
    """Conversations that go on while meters come and go."""

    def __init__(self, case, stack):
        self.case, pair = case, case.pair
        self.tcp = [(stack.enter_context(case.connection(pair, address, port)), pieces)
                    for address in (B4, B6) for port, pieces in CONVERSATIONS.items()]
        self.udp = [(case.udp(pair.a, ours, 40000, (theirs, 53)), case.udp(pair.b, theirs, 53, (ours, 40000)))
                    for ours, theirs in ((A4, B4), (A6, B6))]

    def step(self, number):
        for ends, pieces in self.tcp:
            sender, piece = pieces[number]
            self.case.pass_on(ends[sender], ends[not sender], piece)
        for client, server in self.udp:
            client.send(dns(0x0100, 1))
            server.recv(2000)
            server.send(dns(0x8180, 1) + bytes(100))
            client.recv(2000)


class RestartedPayload(Pinned, Payload):
    def conversations(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        return Talk(self, stack), stack.close

    def flows(self, rows):
        """The rows of the conversations, by flow."""
        found = {}
        for row in rows:
            if (row["Protocol"], row["Dst Port"]) in EXPECTED:
                self.assertNotIn(row["Flow ID"], found, "a row per flow")
                found[row["Flow ID"]] = row
        return found

    def of(self, row):
        return [row[name] for name in APPLICATION]

    def same(self, found, expected):
        self.assertEqual(found.keys(), expected.keys())
        for flow, row in found.items():
            for column, value in row.items():
                if not any(word in column for word in FROM_TIMES):
                    self.assertEqual(value, expected[flow][column], f"{column} of {flow}")
            for column in TIMES:
                self.assertAlmostEqual(float(row[column]), float(expected[flow][column]), msg=f"{column} of {flow}",
                                       delta=live_cases.CLOCK_SLACK_S)

    def test_stopped(self):
        reference = self.start(self.pair.a, *OPTIONS, name="reference").wait_attached()
        lives = [self.pinned("run-0", *OPTIONS).wait_attached()]
        talk, close = self.conversations()
        for number in range(STEPS):
            before, after = (talk.step, lambda _: None) if number % 2 else (lambda _: None, talk.step)
            if number == STEPS // 2:
                self.wait_kept(lives[-1])  # as of the last commit, but without payload
            self.stop(lives[-1])
            before(number)
            last = ("--unpin",) if number == STEPS - 1 else ()
            lives.append(self.pinned(f"run-{number + 1}", *OPTIONS, *last).wait_attached())
            after(number)
        close()
        self.pair.wait_quiet()
        rows, done = self.end(*lives)
        self.assertEqual(done.warnings, [])
        reference.stop_clean()
        found = self.flows(rows)
        self.same(found, self.flows(reference.rows()))
        self.assertEqual(len(found), 2 * len(EXPECTED))
        for row in found.values():
            self.assertEqual(self.of(row), EXPECTED[(row["Protocol"], row["Dst Port"])], row["Flow ID"])
            self.assertGreater(float(row["Fwd Avg Packets/Bulk"]), 1, "a bulk that no restart ended")

    def test_killed(self):
        first = self.pinned("first", *OPTIONS).wait_attached()
        talk, close = self.conversations()
        for number in range(2):
            talk.step(number)
        self.pair.wait_quiet()
        self.wait_kept(first)
        self.kill(first)
        second = self.pinned("second", "--unpin", *OPTIONS).wait_attached()
        for number in range(2, STEPS):
            talk.step(number)
        close()
        self.tcp(self.pair, B4, 8081, self.http(5))
        self.pair.wait_quiet()
        rows, done = self.end(first, second)
        self.assertEqual(done.warnings, [])
        found = self.flows(rows)
        self.assertEqual(len(found), 2 * len(EXPECTED))
        for row in found.values():
            self.assertEqual(self.of(row), [""] * len(APPLICATION), row["Flow ID"])
            if row["Protocol"] == "UDP":
                self.assertEqual((row["Total Fwd Packets"], row["Total Backward Packets"]), (str(STEPS), str(STEPS)))
        later = [self.of(row) for row in rows if row["Dst Port"] == "8081"]
        self.assertEqual(later, [["30", "30", "GET", "200", "150", *NOTHING[5:]]])
