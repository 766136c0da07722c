# SPDX-License-Identifier: BSD-3-Clause
"""--top on a pseudo-terminal: what its screen shows, and that the terminal is restored, however the program ends. The
class Screen models the few terminal commands that the program uses; any other is an error."""
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import cases
import meter
import namespaces
from namespaces import A4, A6, B4, B6


class Screen:
    """The screen of a terminal of this size. Cells beyond an edge must never be written."""

    def __init__(self, rows, columns):
        self.alternate, self.cursor_visible, self.wraps = False, True, True
        self.main = ""  # what was written outside the alternate screen
        self.rest = b""
        self.resize(rows, columns)
        self.seen = set()  # commands

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.cells = [[" "] * columns for _ in range(rows)]
        self.row = self.column = 0
        self.overflows = 0  # characters beyond the right edge, lines beyond the last

    def feed(self, data):
        text = self.rest + data
        self.rest = b""
        while text:
            found = re.match(rb"\x1b\[(\??[0-9;]*)([A-Za-z])", text)
            if found:
                self.command(found[1].decode(), found[2].decode())
                text = text[found.end():]
            elif text[0] == 0x1b:
                if not re.fullmatch(rb"\x1b(\[\??[0-9;]*)?", text):
                    raise AssertionError(f"an unknown escape sequence: {text[:20]!r}")
                self.rest = text
                return
            else:
                self.put(chr(text[0]))
                text = text[1:]

    def command(self, parameters, letter):
        name = parameters + letter
        self.seen.add(name)
        if name in ("?1049h", "?1049l"):
            self.alternate = letter == "h"
        elif name in ("?25h", "?25l"):
            self.cursor_visible = letter == "h"
        elif name in ("?7h", "?7l"):
            self.wraps = letter == "h"
        elif name == "2J":
            self.cells = [[" "] * self.columns for _ in range(self.rows)]
        elif name == "2K":
            self.cells[self.row] = [" "] * self.columns
        elif name == "J":
            for row in range(self.row, self.rows):
                self.cells[row] = [" "] * self.columns
        elif name == "H":
            self.row = self.column = 0
        elif name not in ("7m", "0m"):
            raise AssertionError(f"an unknown command: {name}")

    def put(self, character):
        if not self.alternate:
            self.main += character
        elif character == "\r":
            self.column = 0
        elif character == "\n":
            self.overflows += self.row + 1 == self.rows
            self.row = min(self.row + 1, self.rows - 1)
        elif not " " <= character <= "~":
            raise AssertionError(f"a character that is not printable: {character!r}")
        elif self.column == self.columns:
            self.overflows += 1
        else:
            self.cells[self.row][self.column] = character
            self.column += 1

    def lines(self):
        return ["".join(row).rstrip() for row in self.cells]

    def text(self):
        return "\n".join(self.lines())


class OnTerminal:
    """The program on its own terminal. The streams in `elsewhere` are not on it."""

    def __init__(self, case, prefix, *arguments, size=(24, 100), environment=(), **elsewhere):
        self.case = case
        self.master, slave = pty.openpty()
        case.addCleanup(os.close, self.master)
        case.addCleanup(os.close, slave)
        self.slave = slave
        self.before = termios.tcgetattr(slave)
        self.screen = Screen(*size)
        self.set_size(*size)

        def own_terminal():
            meter.die_with_parent()
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen([*prefix, cases.meter_path, *arguments], preexec_fn=own_terminal,
                                        env={**os.environ, "TERM": "xterm", **dict(environment)},
                                        **{"stdin": slave, "stdout": slave, "stderr": slave, **elsewhere})
        case.addCleanup(self._end)

    def _end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def set_size(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def read(self, seconds=0.05):
        while select.select([self.master], [], [], seconds)[0]:
            self.screen.feed(os.read(self.master, 65536))
            seconds = 0

    def wait_for(self, what, condition, seconds=60):
        def now():
            self.read()
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}: {self.screen.main}")
            return condition(self.screen)

        try:
            return meter.wait_for(what, now, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen.text()}\n{self.screen.main}") from None

    def wait_drawn(self):
        self.wait_for("the screen", lambda screen: screen.alternate and "FROM" in screen.text())
        return self

    def keys(self, text):
        os.write(self.master, text.encode())

    def wait(self, seconds=60):
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read()
        self.process.wait(timeout=0.1)
        self.read()
        return self.process.returncode

    def assert_restored(self):
        screen, case = self.screen, self.case
        case.assertFalse(screen.alternate, "the alternate screen must be left")
        case.assertTrue(screen.cursor_visible)
        case.assertTrue(screen.wraps)
        case.assertEqual(termios.tcgetattr(self.slave), self.before)


class Top(cases.Case):
    def setUp(self):
        super().setUp()
        missing = namespaces.missing_here()
        if missing:
            self.skipTest(missing)
        self.pair = namespaces.Pair(self)
        self.csv = self.path("flows.csv")

    def start(self, *arguments, interface="veth0", **options):
        return OnTerminal(self, self.pair.a.enter, "-i", interface, "--top", *arguments, **options)

    def ping(self, *arguments):
        self.pair.a.run("ping", "-q", "-i", "0.002", *arguments)

    def assert_ended_well(self, top):
        self.assertEqual(top.wait(), 0, top.screen.main)
        top.assert_restored()
        meter.assert_balanced(self, meter.account_of(top.screen.main))


class Shown(Top):
    def test_interfaces_flows_account_and_rows(self):
        top = self.start("-c", self.csv, "-v").wait_drawn()
        self.assertTrue(top.screen.alternate)
        self.ping("-c", "50", B4)
        self.ping("-c", "10", "-s", "1400", "-6", B6)

        def both(screen):
            # By bytes, the ten large packets (and answers) come before the fifty small ones.
            lines = [line.split() for line in screen.lines()]
            flows = [line[1:5] for line in lines if line and line[0] in ("icmp", "icmp6")]
            return flows[:2] == [[A6, B6, "29.2k", "20"], [A4, B4, "9.80k", "100"]]

        top.wait_for("both flows, by bytes", both)
        top.keys("p")
        top.wait_for("by packets", lambda screen: "PACKETS" in screen.text() and
                     screen.text().index(f"icmp  {A4}") < screen.text().index(f"icmp6 {A6}"))
        top.keys("b")
        top.wait_for("by bytes", both)
        text = top.screen.text()
        for name in (*meter.REASONS, "events_lost", "open", "ended", "forced_out"):
            self.assertRegex(text, rf"\b{name}=\d")
        self.assertIn("veth0", text)
        top.keys("\x1b[Aq")  # an arrow, and a letter that comes with it, are ignored
        time.sleep(0.3)
        self.assertIsNone(top.process.poll())
        top.keys("q")
        self.assert_ended_well(top)
        with open(self.csv, encoding="utf-8") as file:
            rows = meter.rows_of(file.read())
        self.assertEqual(meter.packets_in(rows), meter.account_of(top.screen.main)["metered"])
        self.assertEqual(top.screen.overflows, 0)

    def test_rates(self):
        top = self.start().wait_drawn()
        ping = self.pair.a.start("ping", "-q", "-i", "0.01", "-s", "958", B4)  # 1000 bytes on the wire

        def number(text):
            return float(text.rstrip("kM")) * {"k": 1e3, "M": 1e6}.get(text[-1], 1)

        def rates(screen):
            """1000 bytes per packet in each direction. The rate of the flow is the sum of both."""
            line = next((line.split() for line in screen.lines() if line.startswith("veth0")), [])
            flow = next((line.split()[-2] for line in screen.lines() if line.startswith("icmp ")), "-")
            if len(line) != 5 or flow == "-":
                return False
            packets_in, bits_in, packets_out, bits_out = map(number, line[1:])
            # A busy machine sends fewer packets than the hundred that ping intends.
            return all(5 <= packets <= 120 and 0.95 <= bits / packets / 8000 <= 1.05
                       for packets, bits in ((packets_in, bits_in), (packets_out, bits_out))) and \
                0.7 <= number(flow) / (bits_in + bits_out) <= 1.4

        top.wait_for("rates", rates)
        ping.kill()
        top.keys("q")
        self.assert_ended_well(top)

    def test_datapath_kernel(self):
        """Flows have no events there, so the view asks for their counters."""
        top = self.start("--datapath", "kernel").wait_drawn()
        self.ping("-c", "50", B4)
        top.wait_for("its packets", lambda screen: re.search(rf"icmp +{A4} +{B4} +9.80k +100 ", screen.text()))
        top.keys("q")
        self.assert_ended_well(top)

    def test_rows_to_a_pipe(self):
        read, write = os.pipe()
        top = self.start("-c", "-", stdout=write)
        os.close(write)
        top.wait_drawn()
        self.ping("-c", "3", B4)
        top.keys("q")
        self.assert_ended_well(top)
        with os.fdopen(read, encoding="utf-8") as pipe:
            self.assertEqual([row["src_ip"] for row in meter.rows_of(pipe.read()) if row["src_ip"] == A4], [A4])

    def test_lines_of_the_log_wait_until_the_end(self):
        top = self.start().wait_drawn()
        top.process.send_signal(signal.SIGUSR1)
        top.wait_for("the account at the foot", lambda screen: any("egress: seen=" in line for line in screen.lines()[-3:]))
        self.assertEqual(top.screen.main.count("seen="), 0)
        top.keys("q")
        self.assert_ended_well(top)
        self.assertGreaterEqual(top.screen.main.count("seen="), 2)
        self.assertLess(top.screen.main.rindex("kernel_only="), top.screen.main.rindex("lost="))

    def test_a_log_that_is_a_file_has_its_lines_at_once(self):
        log = open(self.path("log"), "w+b")
        self.addCleanup(log.close)
        top = self.start(stderr=log).wait_drawn()
        top.process.send_signal(signal.SIGUSR1)
        meter.wait_for("the line", lambda: b"kernel_only=" in pathlib.Path(self.path("log")).read_bytes())
        self.assertIsNone(top.process.poll())
        top.keys("q")
        self.assertEqual(top.wait(), 0)
        top.assert_restored()

    def test_a_hostile_name(self):
        name = "\x1b[2J\x9b\x07x"
        self.pair.a.ip("link", "set", "veth0", "down")
        self.pair.a.ip("link", "set", "veth0", "name", name)
        self.pair.a.ip("link", "set", name, "up")
        top = self.start("-v", interface="*x")
        top.wait_for("it", lambda screen: re.search(r"^[?_]\[2J", screen.text(), re.M))
        top.keys("q")
        self.assertEqual(top.wait(), 0)
        top.assert_restored()
        self.assertIn("\\x1b[2J", top.screen.main)


class Sizes(Top):
    def test_twenty_columns(self):
        top = self.start(size=(20, 20)).wait_drawn()
        self.ping("-c", "5", B4)
        top.wait_for("the flow", lambda screen: re.search(r"^1\S* +1\S* +980$", screen.text(), re.M))
        top.keys("q")
        self.assert_ended_well(top)
        self.assertEqual(top.screen.overflows, 0)

    def test_resized_while_it_runs(self):
        top = self.start().wait_drawn()
        for size in ((10, 40), (50, 150), (3, 5), (1, 1), (24, 80)):
            top.read()
            top.screen.resize(*size)
            top.set_size(*size)
            # Nothing drawn for the old size comes after the new screen's first frame.
            top.screen.seen.clear()
            top.wait_for(f"a screen of {size}", lambda screen: "2J" in screen.seen and screen.cells[0][0] != " ")
            top.screen.overflows = 0
            top.read(1.2)
            self.assertEqual(top.screen.overflows, 0, size)
        self.assertIn("q quit", top.screen.lines()[0])
        top.keys("q")
        self.assert_ended_well(top)

    def test_stopped_and_continued(self):
        top = self.start().wait_drawn()
        top.keys("\x1a")  # Ctrl-Z has no effect
        time.sleep(0.2)
        self.assertIsNone(top.process.poll())
        top.process.send_signal(signal.SIGSTOP)
        top.screen.resize(24, 100)
        termios.tcsetattr(top.slave, termios.TCSANOW, top.before)  # as a shell does
        top.process.send_signal(signal.SIGCONT)
        top.wait_drawn()
        top.keys("q")  # is read without Enter
        self.assert_ended_well(top)


class Ends(Top):
    def test_control_c(self):
        top = self.start("-c", self.csv).wait_drawn()
        top.keys("\x03")
        self.assert_ended_well(top)

    def test_duration(self):
        top = self.start("--duration", "1")
        top.wait_for("the screen", lambda screen: screen.alternate)
        self.assert_ended_well(top)

    def test_sigterm(self):
        top = self.start().wait_drawn()
        top.process.send_signal(signal.SIGTERM)
        self.assert_ended_well(top)

    def test_two_signals_at_once(self):
        """The second signal ends the process at once."""
        top = self.start().wait_drawn()
        top.process.send_signal(signal.SIGSTOP)
        top.process.send_signal(signal.SIGINT)
        top.process.send_signal(signal.SIGTERM)
        top.process.send_signal(signal.SIGCONT)
        self.assertEqual(top.wait(), 1)
        top.assert_restored()
        self.assertIn("error: ended by a second signal: ", top.screen.main)

    def test_signals_that_kill(self):
        for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV, signal.SIGABRT):
            with self.subTest(number.name):
                # The handlers of a sanitizer would write to the screen.
                top = self.start(environment={"ASAN_OPTIONS": "handle_segv=0:handle_abort=0"}).wait_drawn()
                top.process.send_signal(number)
                self.assertEqual(top.wait(), -number)
                top.assert_restored()

    def test_an_error_while_it_runs(self):
        top = self.start().wait_drawn()
        self.pair.a.ip("link", "del", "veth0")
        self.assertEqual(top.wait(), 1)
        top.assert_restored()
        self.assertIn("error: ", top.screen.main)

    def test_a_terminal_that_takes_nothing_stops_neither_metering_nor_the_end(self):
        top = self.start("-c", self.csv, "--idle-timeout", "1", "--icmp-idle-timeout", "1").wait_drawn()
        for _ in range(200):  # each redraws
            top.keys("pb")
            time.sleep(0.01)
        poll = select.poll()
        poll.register(top.slave, select.POLLOUT)
        self.assertFalse(poll.poll(0), "the terminal still takes something")
        self.ping("-c", "5", B4)
        meter.wait_for("the row", lambda: A4 in pathlib.Path(self.csv).read_text(encoding="utf-8"))
        top.process.send_signal(signal.SIGINT)
        # The log lines wait until the terminal takes them, which it does only after this pause.
        time.sleep(2)
        self.assertEqual(top.wait(), 0)
        self.assertEqual(termios.tcgetattr(top.slave), top.before)


class WithoutTerminal(Top):
    def refused(self, top, *words):
        self.assertEqual(top.wait(), 1, top.screen.main)
        top.assert_restored()
        self.assertEqual(top.screen.seen, set(), "commands to the terminal")
        for word in words:
            self.assertIn(word, top.screen.main)

    def test_no_terminal(self):
        with open(self.csv, "w", encoding="utf-8") as file:
            file.write("precious")
        done = meter.run("-i", "veth0", "--top", "-c", self.csv, prefix=self.pair.a.enter)
        self.assertEqual(done.code, 1)
        self.assertEqual(len(done.errors), 1, done.err)
        self.assertIn("terminal", done.errors[0])
        with open(self.csv, encoding="utf-8") as file:
            self.assertEqual(file.read(), "precious")

    def test_terminal_without_commands(self):
        self.refused(self.start(environment={"TERM": "dumb"}), "error: --top", "dumb")

    def test_terminal_that_has_the_rows(self):
        log = open(self.path("log"), "w+b")
        self.addCleanup(log.close)
        top = self.start("-c", "-", stderr=log)
        self.assertEqual(top.wait(), 1)
        self.assertIn(b"rows go to standard output", pathlib.Path(self.path("log")).read_bytes())
        self.assertEqual(top.screen.seen, set())

    def test_rows_and_screen_on_one_terminal(self):
        self.refused(self.start("-c", "-"), "error: ", "-c -")

    def test_a_capture(self):
        done = meter.run("-f", "x.pcap", "--top")
        self.assertEqual(done.code, 2)
        self.assertIn("--top", done.errors[0])
