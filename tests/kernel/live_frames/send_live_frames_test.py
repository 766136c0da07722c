# SPDX-License-Identifier: BSD-3-Clause
"""The load generator: the packets that it reports as sent arrive. Needs root; makes and removes its own network
namespaces."""
import collections
import json
import os
import socket
import subprocess

import cases
import namespaces

ETH_P_ALL = 3
SO_RCVBUFFORCE = 33  # not in Python's socket module


def generator():
    return os.path.join(os.path.dirname(cases.meter_path), "tests", "kernel", "live_frames", "send_live_frames")


class SendLiveFrames(cases.Case):
    def setUp(self):
        super().setUp()
        missing = namespaces.missing_here()
        if missing:
            self.skipTest(missing)
        self.pair = namespaces.Pair(self, offload=True)
        self.pair.b.run("ethtool", "-K", "veth0", "gro", "on")
        self.pair.wait_quiet()

    def send(self, *arguments):
        return json.loads(self.pair.a.run(generator(), *arguments, "veth0"))

    def listen(self):
        with self.pair.b.inside():
            listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.addCleanup(listener.close)
        listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        listener.bind(("veth0", 0))
        listener.settimeout(0.5)
        return listener

    def frames(self, listener):
        while True:
            try:
                yield listener.recv(2048)
            except TimeoutError:
                return

    def test_each_flow_has_as_many_packets(self):
        for kind, ethertype, source, protocol_at, protocol, size in (
                ("udp4", b"\x08\x00", slice(26, 30), 23, 17, 64), ("tcp4", b"\x08\x00", slice(26, 30), 23, 6, 100),
                ("udp6", b"\x86\xdd", slice(22, 38), 20, 17, 64), ("tcp6", b"\x86\xdd", slice(22, 38), 20, 6, 1514)):
            with self.subTest(kind=kind):
                listener = self.listen()
                said = self.send("--packets", "4096", "--flows", "1024", "--rate", "50000", "--kind", kind,
                                 "--size", str(size))
                self.assertEqual((said["offered"], said["sent"], said["dropped"]), (4096, 4096, 0))
                sources = collections.Counter()
                for frame in self.frames(listener):
                    if frame[12:14] != ethertype or frame[protocol_at] != protocol:
                        continue
                    self.assertEqual(len(frame), size)
                    if kind.startswith("tcp"):
                        self.assertEqual(frame[67 if ethertype == b"\x86\xdd" else 47], 0x02, "SYN")
                    sources[frame[source]] += 1
                self.assertEqual(len(sources), 1024)
                self.assertEqual(set(sources.values()), {4})

    def test_random_flows_are_all_new(self):
        listener = self.listen()
        self.send("--packets", "5000", "--flows", "random", "--rate", "50000")
        sources = {frame[26:30] for frame in self.frames(listener) if frame[12:14] == b"\x08\x00"}
        self.assertEqual(len(sources), 5000)

    def test_rate_and_duration(self):
        # Never more than the rate allows. A loaded machine may send less, but not in every attempt.
        for attempt in range(10):
            said = self.send("--rate", "20000", "--seconds", "1")
            self.assertEqual(said["sent"], said["offered"])
            self.assertLessEqual(said["offered"], 20000 * (said["seconds"] + 0.02))
            if said["offered"] > 5000 and said["seconds"] < 3:
                return
        self.fail(f"too slow in {attempt + 1} attempts, at last {said}")

    def test_full_speed_is_counted(self):
        before = self.pair.b.link_counters("veth0")[0]
        said = self.send("--seconds", "0.3")
        self.assertEqual(said["offered"], said["sent"] + said["dropped"])
        self.assertEqual(self.pair.b.link_counters("veth0")[0] - before, said["sent"])
        self.assertGreater(said["sent"], 2000)

    def test_wrong_usage(self):
        for status, arguments in ((2, ["veth0"]), (2, ["--seconds", "1"]), (2, ["--seconds", "1", "--flows", "3", "veth0"]),
                                  (2, ["--seconds", "1", "--kind", "udp", "veth0"]),
                                  (2, ["--seconds", "1", "--kind", "tcp6", "--size", "73", "veth0"]),
                                  (1, ["--seconds", "1", "nosuch"]), (0, ["--help"])):
            done = subprocess.run([*self.pair.a.enter, generator(), *arguments], check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, status, (arguments, done.stderr))
            self.assertTrue(done.stderr if status else done.stdout)
