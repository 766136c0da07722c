# SPDX-License-Identifier: BSD-3-Clause
"""--fleet: the columns that identify a row among those of many meters, in every feature set and format."""
import json
import os
import re
import socket

import capture
import meter
from command_line_cases import OK, USAGE, CommandLine

COLUMNS = ["meter_id", "flow_id", "flow_key", "community_id"]
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Fleet(CommandLine):
    def rows(self, *arguments, path=None):
        done = meter.run("-f", path or self.capture, "-c", "-", *arguments)
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        return meter.rows_of(done.out)

    def test_in_every_feature_set(self):
        ids = []
        for features in ("cic82", "netflowmeter114", "realtime97"):
            with self.subTest(features):
                done = meter.run("-f", self.capture, "-c", "-", "--features", features, "--fleet", "--meter-id", "rack-7")
                names = done.out.splitlines()[0].split(",")
                self.assertEqual(names[-4:], COLUMNS)
                self.assertEqual(len(set(names)), len(names), "no name is there twice")
                rows = meter.rows_of(done.out)
                self.assertEqual({row["meter_id"] for row in rows}, {"rack-7"})
                ids.append([[row[name] for name in COLUMNS] for row in rows])
                for row in rows:
                    for name in ("flow_id", "flow_key"):
                        self.assertRegex(row[name], UUID)
                    self.assertRegex(row["community_id"], r"^1:[A-Za-z0-9+/]{27}=$")
                self.assertEqual(len({row["flow_id"] for row in rows}), 3)
        self.assertEqual(ids[0], ids[1])
        self.assertEqual([each[0::3] for each in ids[0]], [each[0::3] for each in ids[2]], "other time-outs, the same flows")

    def test_in_every_format(self):
        done = meter.run("-f", self.capture, "-c", self.output, "--json", self.path("x.json"), "--fleet", "--meter-id", "m")
        self.assertEqual(done.code, OK, done.err)
        with open(self.path("x.json"), encoding="utf-8") as file:
            objects = [json.loads(line) for line in file]
        self.assertEqual([[each[name] for name in COLUMNS] for each in objects],
                         [[row[name] for name in COLUMNS] for row in meter.rows_of(self.text())])

    def test_is_short_for_extra(self):
        self.assertEqual(self.rows("--fleet"), self.rows("--extra", ",".join(COLUMNS)))
        both = meter.run("-f", self.capture, "-c", "-", "--fields", "dst_port", "--extra", "interface", "--quality", "--fleet")
        self.assertEqual(both.out.splitlines()[0], "dst_port,interface,end_reason,pkts_without_timing,timing_estimated,evictions,"
                         "meter_id,flow_id,flow_key,community_id")
        self.assertEqual([row["flow_id"] for row in self.rows("--fields", "flow_id")],
                         [row["flow_id"] for row in self.rows("--fleet")])

    def test_a_capture_gives_the_same_rows_again(self):
        self.assertEqual(self.rows("--fleet", "--meter-id", "m"), self.rows("--fleet", "--meter-id", "m"))
        ours, theirs = (self.rows("--fleet", "--meter-id", name) for name in "ab")
        for name in ("flow_id", "flow_key"):
            self.assertFalse({row[name] for row in ours} & {row[name] for row in theirs})
        self.assertEqual([row["community_id"] for row in ours], [row["community_id"] for row in theirs])

    def test_the_column_that_netflowmeter114_has(self):
        """It has the same name, so --fleet replaces it; without --fleet it is as it was."""
        chosen = ("--features", "netflowmeter114", "--fields", "flow_id,dst_port")
        before, after = self.rows(*chosen), self.rows(*chosen, "--fleet")
        self.assertEqual(before[0]["flow_id"], "192.0.2.1_4000_192.0.2.2_53_UDP_1970-01-01 00:00:01.000000")
        self.assertEqual(list(after[0]), ["dst_port", *COLUMNS])
        self.assertRegex(after[0]["flow_id"], UUID)

    def test_the_default_names_the_machine(self):
        (name,) = {row["meter_id"] for row in self.rows("--fleet")}
        try:
            with open("/etc/machine-id", encoding="ascii") as file:
                machine = file.readline().rstrip("\n")
        except FileNotFoundError:
            machine = ""
        if re.fullmatch("[0-9a-f]{32}", machine):
            self.assertEqual(name, machine)
        else:
            self.assertEqual(name, re.sub("[^0-9A-Za-z._:-]", "_", socket.gethostname())[:64])

    def test_without_a_machine_id(self):
        """Then it is the host's name, where '_' stands for what an id cannot have."""
        if os.geteuid() != 0:
            self.skipTest("needs root to hide /etc/machine-id")
        hidden = ("unshare", "--mount", "--uts", "sh", "-ec", 'echo host,1 >/proc/sys/kernel/hostname; : >"$0"; '
                  'mount --bind "$0" /etc/machine-id; exec "$@"', self.path("empty"))
        if not os.path.exists("/etc/machine-id"):
            self.skipTest("needs a /etc/machine-id to hide")
        required = () if meter.missing_sandbox() else ("--sandbox", "require")
        done = meter.run("-f", self.capture, "-c", "-", "--fleet", *required, prefix=hidden)
        self.assertEqual((done.code, done.errors), (OK, []), done.err)
        self.assertEqual({row["meter_id"] for row in meter.rows_of(done.out)}, {"host_1"})

    def test_ids_that_a_meter_cannot_have(self):
        for text in ("", "a b", "a,b", 'a"b', "a\nb", "ä", "x" * 65, "a/b", "=1+1"):
            done = meter.run("-f", self.capture, "--fleet", "--meter-id", text)
            self.assert_fails(done, USAGE, "--meter-id", "1 to 64 letters, digits and . _ : -")

    def test_seed(self):
        seeds = {seed: tuple(row["community_id"] for row in self.rows("--fleet", "--community-id-seed", seed))
                 for seed in ("0", "1", "65535")}
        self.assertEqual(len(set(seeds.values())), 3)
        self.assertEqual(seeds["0"], tuple(row["community_id"] for row in self.rows("--fleet")))
        for seed in ("65536", "-1", "x", ""):
            self.assert_fails(meter.run("-f", self.capture, "--community-id-seed", seed), USAGE, "--community-id-seed")

    def test_compat_has_no_such_columns(self):
        for option in (("--fleet",), ("--meter-id", "m"), ("--community-id-seed", "1")):
            done = meter.run("-f", self.capture, "--compat", "python", "-c", "-", *option)
            self.assert_fails(done, USAGE, "--compat", option[0])

    def test_active_timeouts(self):
        """Their rows have one flow_key, and each a flow_id of its own."""
        frame = capture.ethernet(capture.udp())
        path = self.write("long.pcap", capture.pcap([(float(t), frame) for t in range(1, 50)]))
        rows = self.rows("--fleet", "--active-timeout", "10", path=path)
        self.assertEqual([int(row["tot_fwd_pkts"]) for row in rows], [11, 11, 11, 11, 5])
        self.assertEqual(len({row["flow_key"] for row in rows}), 1)
        self.assertEqual(len({row["flow_id"] for row in rows}), 5)
        self.assertEqual(len({row["community_id"] for row in rows}), 1)
