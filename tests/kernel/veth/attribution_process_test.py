# SPDX-License-Identifier: BSD-3-Clause
"""--attribute process: sockets that are passed on, that are older than the meter, and pids that are used again. Needs
root."""
import os

from attribution_cases import Attribution, Container

# Sends from a new process with this pid and name, and ends it.
AS_PID = """
import ctypes, signal
def run_as(pid, name, action):
    # struct clone_args: exit_signal is the fifth word, set_tid the ninth.
    tids = (ctypes.c_int * 1)(pid)
    words = (ctypes.c_uint64 * 11)()
    words[4], words[8], words[9] = signal.SIGCHLD, ctypes.addressof(tids), 1
    child = ctypes.CDLL(None, use_errno=True).syscall(435, ctypes.byref(words), ctypes.sizeof(words))
    if child == 0:
        open('/proc/self/comm', 'w').write(name)
        try:
            action()
        finally:
            os._exit(0)
    if child < 0:
        raise OSError(ctypes.get_errno(), 'clone3')
    os.waitpid(child, 0)
"""


class Processes(Attribution):
    mode = "process"

    def setUp(self):
        super().setUp()
        self.one, self.two = Container(self.node, 1), Container(self.node, 2)
        self.client, self.server = self.one.peer("client"), self.two.peer("server")

    def listen(self, port=7000):
        self.server(f"u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(20); u.bind(('', {port}))")

    def receive(self, count=1):
        self.server(f"for _ in range({count}): _, who = u.recvfrom(99)")

    def target(self, port=7000):
        return repr((self.two.address, port))

    def rows_by_port(self, live):
        return {row["dst_port"]: row for row in self.finished(live)}

    def assert_process(self, row, pid, comm):
        found = self.end(row, self.one.address)
        self.assertEqual((found["pid"], found["comm"]), (str(pid), comm), row)
        self.assert_end(row, self.one, "socket")

    def test_a_socket_that_a_child_uses(self):
        """The child of a fork sends, and then a program that it has become."""
        live = self.meter()
        self.listen(7000)
        pid = self.client(
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); value = os.fork()",
            "if value == 0:",
            "    open('/proc/self/comm', 'w').write('child')",
            f"    s.sendto(b'x', {self.target(7000)})",
            "    os._exit(0)",
            "os.waitpid(value, 0)")
        self.receive()
        self.assert_process(self.rows_by_port(live)["7000"], pid, "child")

    def test_a_socket_that_a_program_has_after_exec(self):
        live = self.meter()
        self.listen()
        pid = self.client(
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
            f"s.connect({self.target()})",
            "os.set_inheritable(s.fileno(), True)",
            "value = os.spawnv(os.P_NOWAIT, '/bin/sh', ['sh', '-c', f'printf x >&{s.fileno()}'])",
            "os.waitpid(value, 0)")
        self.receive()
        self.assertNotEqual(pid, self.client.pid)
        # A connected socket is written to without any call that gives an address.
        self.assert_process(self.rows_by_port(live)["7000"], self.client.pid, "client")

    def test_a_socket_that_was_sent_to_another_process(self):
        live = self.meter()
        self.listen()
        pid = self.client(
            "a, b = socket.socketpair()",
            "value = os.fork()",
            "if value == 0:",
            "    open('/proc/self/comm', 'w').write('receiver')",
            "    _, fds, _, _ = socket.recv_fds(b, 1, 1)",
            f"    socket.socket(fileno=fds[0]).sendto(b'x', {self.target()})",
            "    os._exit(0)",
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
            "socket.send_fds(a, [b'f'], [s.fileno()])",
            "os.waitpid(value, 0)")
        self.receive()
        self.assert_process(self.rows_by_port(live)["7000"], pid, "receiver")

    def test_sockets_that_are_older_than_the_meter(self):
        self.server("l = socket.create_server(('', 80))")
        self.listen()
        self.client("u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
                    f"u.connect({self.target()})",
                    f"c = socket.create_connection(({self.two.address!r}, 80), 20)")
        self.server("a, _ = l.accept(); a.settimeout(20)")
        live = self.meter()
        self.client("u.send(b'x'); c.sendall(b'x')")
        self.server("a.recv(1); a.sendall(b'y'); u.recvfrom(1)")
        self.client("assert c.recv(1) == b'y'")
        late = self.one.peer("late")
        late_port = str(late(f"c = socket.create_connection(({self.two.address!r}, 80), 20)",
                             "value = c.getsockname()[1]"))
        self.server("b, _ = l.accept(); b.sendall(b'y')")
        late("assert c.recv(1) == b'y'; c.close()")
        rows = self.finished(live)
        self.assertEqual(len(rows), 3)
        for row in rows:
            peer = late if row["src_port"] == late_port else self.client
            self.assert_end(row, self.one, "socket", peer=peer)
            if row["protocol"] == "6":
                self.assert_end(row, self.two, "socket", "listener", peer=self.server)

    def test_a_pid_that_is_used_again(self):
        """A process makes and connects a socket, which outlives it; then another one gets its pid."""
        live = self.meter()
        self.listen()
        pid = self.client("value = os.fork()\nif value == 0: os._exit(0)\nos.waitpid(value, 0)")  # a pid that is free
        self.client(AS_PID)
        self.client(
            "kept, given = socket.socketpair()",
            "def first():",
            "    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
            f"    s.connect({self.target()})",
            "    socket.send_fds(given, [b'f'], [s.fileno()])",
            f"run_as({pid}, 'first', first)",
            "_, fds, _, _ = socket.recv_fds(kept, 1, 1)",
            "s = socket.socket(fileno=fds[0])",
            "def second():",
            "    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
            f"    other.sendto(b'z', {self.target()})",
            "    s.send(b'y')",
            f"run_as({pid}, 'second', second)")
        self.receive(2)
        rows = self.finished(live)
        self.assertEqual(len(rows), 2)
        self.assertEqual(sorted((self.end(row, self.one.address)["pid"], self.end(row, self.one.address)["comm"])
                                for row in rows), [(str(pid), "first"), (str(pid), "second")])


class ProcessesInTheKernelsDatapath(Processes):
    options = ("--datapath", "kernel")


class HostPids(Attribution):
    """The meter in a PID namespace of its own, such as a pod without hostPID."""

    mode = "process"

    def test_older_sockets_are_unknown_and_this_is_said_once(self):
        one, two = Container(self.node, 1), Container(self.node, 2)
        old, server = one.peer("old"), two.peer("server")
        server("u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(20); u.bind(('', 7000))")
        old(f"u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.connect(({two.address!r}, 7000))")
        live = self.meter(prefix=("unshare", "--pid", "--mount-proc", "--fork", "--kill-child"))
        old("u.send(b'x')")
        new = one.peer("new")
        new(f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ({two.address!r}, 7000))")
        server("for _ in range(2): u.recvfrom(9)")
        self.node.quiet()
        os.kill(self.child_of(live.process.pid), 2)
        done = live.wait()
        self.assertEqual(len([line for line in done.warnings if "hostPID" in line]), 1, done.err)
        found = sorted((row["src_pid"], row["src_comm"], row["src_container_id"]) for row in live.rows())
        self.assertEqual(found, sorted([("", "", one.id), (str(new.pid), "new", one.id)]))

    @staticmethod
    def child_of(pid):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
            return int(children.read().split()[0])
