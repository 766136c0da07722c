# SPDX-License-Identifier: BSD-3-Clause
"""The columns of payload (HTTP, TLS, DNS) in live runs: equal to those of a replayed tcpdump of the same interface,
with segmentation offload, on every hook; empty where payload was lost."""
import signal

import namespaces
from application_cases import APPLICATION, NOTHING, REQUESTS, SET, UNTIMED, Payload
from namespaces import B4


class Application(Payload):
    def agrees(self, *options, side="a"):
        self.check(self.compare(self.traffic(), 8, side, options, SET, UNTIMED, ()).values())

    def test_as_tcpdump_says(self):
        self.agrees()

    def test_on_the_other_end(self):
        self.agrees(side="b")

    def test_classic_hook(self):
        self.agrees("--hook", "tc")

    def test_xdp(self):
        self.agrees("--hook", "xdp")


class Merged(Payload):
    """With segmentation offload: buffers of many segments, whose payload is not in their linear part."""

    SANITIZED = True

    def test_large_bodies(self):
        pair = namespaces.Pair(self, offload=True)
        pair.wait_quiet()
        meters = [self.start(side, *SET, name=name).wait_attached() for name, side in (("a", pair.a), ("b", pair.b))]
        self.traffic(100_000)(pair)
        pair.wait_quiet()
        for live in meters:
            live.stop_clean()
            self.check(live.rows(), 100_000)


class Lost(Payload):
    def test_lost_payload_is_unknown(self):
        """The daemon is stopped until the stream is more than half full. Then payload is lost, but packet records are
        not."""
        pair = self.pair()
        live = self.start(pair.a, *SET, "--event-memory", "1").wait_attached()
        live.process.send_signal(signal.SIGSTOP)
        connections = 80
        for _ in range(connections):
            self.tcp(pair, B4, 8080, self.http(1400))
        pair.wait_quiet()
        live.process.send_signal(signal.SIGCONT)
        done = live.stop_clean()
        self.assertEqual(done.account["lost"], 0, done.err)
        self.assertTrue(any("payload" in line for line in done.warnings), done.err)
        rows = [row for row in live.rows() if row["Dst Port"] == "8080"]
        self.assertEqual(len(rows), connections)
        known = [str(REQUESTS), str(REQUESTS), "GET", "200", str(REQUESTS * 1400), *NOTHING[5:]]
        found = [[row[name] for name in APPLICATION] for row in rows]
        self.assertLessEqual({tuple(cells) for cells in found}, {tuple(known), ("",) * len(APPLICATION)})
        self.assertIn(known, found, "no flow has all its payload")
        self.assertIn([""] * len(APPLICATION), found, "nothing was lost")
        self.assertTrue(all(int(row["act_data_pkt_fwd"]) == REQUESTS for row in rows))
