# SPDX-License-Identifier: BSD-3-Clause
"""Live metering in a flood of new flows, beside an established connection. Needs root."""
import csv
import json
import os
import re
import signal
import time

import cases
import meter
import namespaces
from limit_cases import Limits, rare, totals
from namespaces import B4


class Flood(Limits):
    """A new flow with every packet, at some hundred thousand packets/s, beside an established connection."""

    FIELDS = "src_ip,dst_ip,src_port,dst_port,protocol,tot_fwd_pkts,tot_bwd_pkts"
    LOCK = "cpu"
    RATE, PATIENCE = "250000", 1
    MEMORY_MIB = 160

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with open(cases.meter_path, "rb") as program:
            if b"__asan_init" in program.read():  # the meter and the streams' backlog are several times slower
                cls.RATE, cls.PATIENCE = "50000", 4

    def setUp(self):
        super().setUp()
        self.generator = os.path.join(os.path.dirname(cases.meter_path), "tests", "kernel", "live_frames", "send_live_frames")

    def metered_pair(self, datapath, *arguments):
        """Each packet that a receives is one buffer; a's TCP sends buffers of many segments."""
        self.pair_ = namespaces.Pair(self, offload=True)
        self.pair_.a.run("ethtool", "-K", "veth0", "gro", "on")  # live frames need it
        self.pair_.wait_quiet()
        return self.start(self.pair_.a, "--max-flows", "4096", "--datapath", datapath, "--fields", self.FIELDS,
                          *arguments).wait_attached()

    def flood(self):
        flood = self.pair_.b.start(self.generator, "--seconds", "120", "--rate", self.RATE, "--flows", "random", "veth0")
        before = self.pair_.a.link_counters("veth0")[0]
        meter.wait_for("the flood", lambda: self.pair_.a.link_counters("veth0")[0] > before + 10_000, 60)
        return flood

    def memory(self, live):
        """Resident memory in MiB: [all, without the event streams, whose pages count when they are first used]."""
        with open(f"/proc/{live.process.pid}/status", encoding="ascii") as status:
            text = status.read()
        return [int(re.search(field + r":\s*(\d+) kB", text)[1]) / 1024 for field in ("VmRSS", "RssAnon")]

    def few_rows(self, live, fields):
        """Sums the rows of the flood instead of holding them."""
        kept, packets, flows = [], 0, 0
        with open(live.csv, encoding="utf-8") as file:
            reader = csv.reader(file)
            self.assertEqual(",".join(next(reader)), fields)
            for row in reader:
                self.assertEqual(len(row), 7, row)
                flows += 1
                packets += int(row[5]) + int(row[6])
                if row[4] == "6":
                    kept.append(dict(zip(fields.split(","), row)))
        return kept, packets, flows

    def end(self, live):
        """SIGTERM during the flood."""
        begin = time.monotonic()
        live.process.send_signal(signal.SIGTERM)
        done = live.wait(60 * self.PATIENCE)
        took = time.monotonic() - begin
        self.assertEqual((done.code, done.errors), (0, []), done.err[-3000:])
        self.assertLess(took, 20 * self.PATIENCE, "the meter must not wait for the end of the flood")
        print(f"ended after {took:.2f} s: {totals(done.err)[-1]}")
        account = totals(done.err)[-1]
        self.assert_balanced(account)
        self.assertEqual(account["metered"], account["in_rows"] + account["lost"], account)
        rows, packets, flows = self.few_rows(live, self.FIELDS)
        self.assertEqual((packets, flows), (account["in_rows"], account["flows"]))
        return done, account, rows

    def beside_a_connection(self, datapath):
        live = self.metered_pair(datapath)
        a, b = self.pair_.a, self.pair_.b
        b.start("iperf3", "-s", "-1", "-p", "5201", "-B", B4)
        b.listening(5201)
        with open(self.path("iperf.json"), "wb") as out:
            client = a.start("iperf3", "-c", B4, "-p", "5201", "-b", "50M", "-t", "6", "-J", stdout=out)
        meter.wait_for("the connection", lambda: "ESTAB" in a.run("ss", "-Htn"))
        time.sleep(0.5)
        flood = self.flood()
        time.sleep(2)
        early = self.memory(live)
        account = self.report(live)  # the run continues
        self.assertLess(account["kernel_only"], account["metered"])
        client.wait(timeout=60)
        self.assertEqual(client.returncode, 0)
        late = self.memory(live)
        flood.terminate()
        flood.wait(timeout=60)
        self.pair_.wait_quiet()
        tcp = self.tcp_counters(a)
        done, account, rows = self.end(live)
        print(f"{rare(done.err)} memory {early} MiB in the flood, {late} MiB at its end")
        self.assertLess(late[0], self.MEMORY_MIB)
        self.assertLess(late[1], early[1] + 16, "it grows with the flood")
        self.assertGreater(account["flows"], 100_000, "hardly a flood")
        # iperf3's control connection is silent, so it may have to make room.
        missing = tcp["OutSegs"] + tcp["RetransSegs"] - sum(int(row["tot_fwd_pkts"]) for row in rows)
        self.assertEqual((missing, account["lost"]), (0, 0))
        with open(self.path("iperf.json"), encoding="utf-8") as out:
            port = json.load(out)["start"]["connected"][0]["local_port"]
        data = [row for row in rows if row["src_port"] == str(port) or row["dst_port"] == str(port)]
        self.assertEqual(len(data), 1, "the established connection must stay one flow")
        self.assertGreater(int(data[0]["tot_fwd_pkts"]), 15_000, "50 Mbit/s for 6 s")
        self.assertTrue([line for line in done.warnings if "--max-flows" in line], done.err)

    def test_beside_a_connection_events(self):
        self.beside_a_connection("events")

    def test_beside_a_connection_kernel(self):
        self.beside_a_connection("kernel")

    def stop_in_the_middle(self, datapath):
        live = self.metered_pair(datapath)
        flood = self.flood()
        time.sleep(1)
        _, account, _ = self.end(live)
        self.assertIsNone(flood.poll(), "the flood was over before the end was asked for")
        self.assertGreater(account["flows"], 10_000)

    def test_sigterm_events(self):
        self.stop_in_the_middle("events")

    def test_sigterm_kernel(self):
        self.stop_in_the_middle("kernel")
