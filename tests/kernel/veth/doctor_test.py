# SPDX-License-Identifier: BSD-3-Clause
"""flowmeter-ebpf doctor: its output with and without privileges and for interfaces with other owners' programs, and
that it changes nothing. Needs root; makes and removes its own network namespaces."""
import json
import os
import pty
import shutil
import subprocess

import cases
import foreign_programs
import meter
import namespaces
from foreign_programs import SCHED_CLS, TCX_EGRESS, TCX_INGRESS, TCX_NEXT, XDP, XDP_LINK, XDP_PASS

NOBODY = "65534"
NEEDED = {"bpf": "CAP_BPF", "net_admin": "CAP_NET_ADMIN", "perfmon": "CAP_PERFMON"}


class Doctor(cases.Case):
    def setUp(self):
        super().setUp()
        missing = namespaces.missing_here()
        if missing:
            self.skipTest(missing)
        self.pair = namespaces.Pair(self, offload=True)
        self.namespace = self.pair.a
        self.program = self.path("meter")  # the build directory may be closed to other users
        shutil.copy(cases.meter_path, self.program)
        os.chmod(self.program, 0o755)

    def doctor(self, *arguments, prefix=(), **options):
        done = subprocess.run([*self.namespace.enter, *prefix, self.program, "doctor", *arguments],
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60,
                              preexec_fn=meter.die_with_parent, **{"stdout": subprocess.PIPE, **options})
        return meter.Finished(done.returncode, (done.stdout or b"").decode(errors="surrogateescape"),
                              done.stderr.decode())

    def diagnosis(self, code, *arguments, prefix=()):
        done = self.doctor("--json", *arguments, prefix=prefix)
        self.assertEqual((done.code, done.err), (code, ""), done.out)
        diagnosis = json.loads(done.out)
        self.assertEqual(diagnosis["can_meter"], code == 0)
        return diagnosis

    @staticmethod
    def as_nobody(*capabilities):
        some = "-all" + "".join(",+" + each for each in capabilities)
        return ("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--inh-caps=" + some,
                "--ambient-caps=" + some, "--bounding-set=" + some)

    @staticmethod
    def states(findings):
        return {each["what"]: each["state"] for each in findings}

    def finding(self, interface, what):
        found = [each for each in interface["findings"] if each["what"] == what]
        self.assertEqual(len(found), 1, interface["findings"])
        return found[0]

    def test_root_has_everything(self):
        diagnosis = self.diagnosis(0, "veth0")
        self.assertEqual(self.states(diagnosis["kernel"]), {**self.states(diagnosis["kernel"]), **dict.fromkeys(
            ("bpf_programs", "lru_hash_map", "event_streams", "tcx", "clsact", "xdp_link", "datapath", "btf"), "ok")})
        for name in NEEDED.values():
            self.assertEqual(self.states(diagnosis["process"])[name], "ok")
        (interface,) = diagnosis["interfaces"]
        self.assertEqual((interface["name"], interface["mtu"], interface["attached"]), ("veth0", 1500, []))
        self.assertEqual(interface["index"], foreign_programs.index_of(self.namespace, "veth0"))

    def test_all_interfaces_without_names(self):
        self.assertEqual([each["name"] for each in self.diagnosis(0)["interfaces"]],
                         [each["ifname"] for each in json.loads(self.namespace.ip("-j", "link"))])

    def test_others_are_found_and_left_alone(self):
        programs = {name: foreign_programs.Program(self, kind, name, verdict) for name, kind, verdict in (
            ("others_in", SCHED_CLS, TCX_NEXT), ("others_second", SCHED_CLS, TCX_NEXT),
            ("others_out", SCHED_CLS, TCX_NEXT), ("others_filter", SCHED_CLS, TCX_NEXT), ("others_xdp", XDP, XDP_PASS))}
        for name, hook in (("others_in", TCX_INGRESS), ("others_second", TCX_INGRESS), ("others_out", TCX_EGRESS)):
            foreign_programs.link(self, self.namespace, programs[name], "veth0", hook)
        foreign_programs.link(self, self.namespace, programs["others_xdp"], "veth0", XDP_LINK,
                              foreign_programs.XDP_FLAGS_SKB_MODE)
        pinned = foreign_programs.pin(self, programs["others_filter"])
        tc = ("tc", "filter", "add", "dev", "veth0")
        self.namespace.run("tc", "qdisc", "add", "dev", "veth0", "clsact")
        self.namespace.run(*tc, "ingress", "prio", "3", "bpf", "da", "object-pinned", pinned)
        self.namespace.run(*tc, "ingress", "prio", "4", "protocol", "ip", "u32", "match", "ip", "src", "10.0.0.0/8")
        self.namespace.run(*tc, "egress", "prio", "7", "bpf", "da", "object-pinned", pinned)

        def everything():
            return [self.namespace.run(*command) for command in (
                ("tc", "qdisc", "show"), ("tc", "filter", "show", "dev", "veth0", "ingress"),
                ("tc", "filter", "show", "dev", "veth0", "egress"), ("ip", "-d", "link", "show"))]

        before = everything()
        (interface,) = self.diagnosis(0, "veth0")["interfaces"]
        owner = f"python3 (pid {os.getpid()})"
        self.assertEqual(
            [(each["hook"], each["program_id"], each["program_name"], each["owner"]) for each in interface["attached"]],
            [("xdp-generic", programs["others_xdp"].id, "others_xdp", owner),
             ("tcx/ingress", programs["others_in"].id, "others_in", owner),
             ("tcx/ingress", programs["others_second"].id, "others_second", owner),
             ("clsact/ingress", programs["others_filter"].id, "others_filter", owner),
             ("clsact/ingress", 0, "u32", ""),
             ("tcx/egress", programs["others_out"].id, "others_out", owner),
             ("clsact/egress", programs["others_filter"].id, "others_filter", owner)])
        self.assertEqual(everything(), before)
        self.assertEqual(self.diagnosis(0, "veth0")["interfaces"], [interface])

        # Without CAP_SYS_ADMIN and CAP_SYS_PTRACE: the program is found, but its owner remains unknown.
        (seen,) = self.diagnosis(0, "veth0", prefix=self.as_nobody(*NEEDED))["interfaces"]
        self.assertEqual([(each["hook"], each["program_id"]) for each in seen["attached"]],
                         [(each["hook"], each["program_id"]) for each in interface["attached"]])
        self.assertEqual({each["owner"] for each in seen["attached"]}, {""})

        table = self.doctor("veth0").out
        self.assertRegex(table, r"attached +limited +xdp-generic: program \d+ \"others_xdp\", held by python3 \(pid")
        self.assertRegex(table, r"attached +ok +clsact/ingress: filter u32")

    def test_native_xdp_and_an_ingress_qdisc(self):
        xdp = foreign_programs.Program(self, XDP, "others_native", XDP_PASS)
        foreign_programs.link(self, self.namespace, xdp, "veth0", XDP_LINK, foreign_programs.XDP_FLAGS_DRV_MODE)
        filter_program = foreign_programs.Program(self, SCHED_CLS, "others_filter", TCX_NEXT)
        self.namespace.run("tc", "qdisc", "add", "dev", "veth0", "ingress")
        self.namespace.run("tc", "filter", "add", "dev", "veth0", "ingress", "bpf", "da", "object-pinned",
                           foreign_programs.pin(self, filter_program))
        (interface,) = self.diagnosis(0, "veth0")["interfaces"]
        self.assertEqual([(each["hook"], each["program_id"]) for each in interface["attached"]],
                         [("xdp", xdp.id), ("ingress/ingress", filter_program.id)])
        self.assertIs(interface["native_xdp"], True)

    def test_filters_of_a_shared_block(self):
        shared = foreign_programs.Program(self, SCHED_CLS, "others_shared", TCX_NEXT)
        self.namespace.run("tc", "qdisc", "add", "dev", "veth0", "ingress_block", "7", "clsact")
        self.namespace.run("tc", "filter", "add", "block", "7", "bpf", "da", "object-pinned",
                           foreign_programs.pin(self, shared))
        (interface,) = self.diagnosis(0, "veth0")["interfaces"]
        self.assertEqual([(each["hook"], each["program_id"]) for each in interface["attached"]],
                         [("clsact/ingress", shared.id)])

    def test_nobody_is_told_what_is_missing(self):
        diagnosis = self.diagnosis(1, "veth0", prefix=self.as_nobody())
        states = self.states(diagnosis["kernel"] + diagnosis["process"])
        for what in ("bpf_programs", "lru_hash_map", "event_streams", "tcx", "clsact", "xdp_link", "datapath"):
            self.assertEqual(states[what], "unknown", what)
        for name in NEEDED.values():
            self.assertEqual(states[name], "missing")
        (interface,) = diagnosis["interfaces"]
        self.assertIsNone(interface["attached"])
        self.assertEqual(self.finding(interface, "attached")["meaning"], "unknown without CAP_NET_ADMIN")
        self.assertIsNotNone(interface["offloads"])
        done = self.doctor(prefix=self.as_nobody())
        self.assertEqual((done.code, done.err), (1, ""))
        self.assertTrue(done.out.endswith("missing: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON\n"), done.out)

    def test_three_capabilities_are_enough_and_each_is_needed(self):
        states = self.states(self.diagnosis(0, prefix=self.as_nobody(*NEEDED))["kernel"])
        for what in ("bpf_programs", "event_streams", "datapath"):
            self.assertEqual(states[what], "ok")
        for missing, name in NEEDED.items():
            with self.subTest(name):
                diagnosis = self.diagnosis(1, prefix=self.as_nobody(*(each for each in NEEDED if each != missing)))
                states = self.states(diagnosis["process"])
                self.assertEqual([each for each in NEEDED.values() if states[each] == "missing"], [name])

    def test_where_no_namespace_can_be_made(self):
        """In a changed root the kernel makes no user namespace, and a network namespace needs CAP_SYS_ADMIN."""
        root = self.path("root")
        os.mkdir(root)
        changed_root = ("unshare", "--mount", "sh", "-c", 'mount --rbind / "$0" && exec chroot "$0" "$@"', root)
        states = self.states(self.diagnosis(0, "lo", prefix=(*changed_root, *self.as_nobody(*NEEDED)))["kernel"])
        self.assertEqual([states[each] for each in ("tcx", "clsact", "xdp_link")], ["ok", "unknown", "unknown"])

    def test_another_user_namespace(self):
        diagnosis = self.diagnosis(1, prefix=("unshare", "--user", "--map-root-user"))
        self.assertEqual(self.states(diagnosis["process"])["user_namespace"], "missing")
        self.assertEqual(self.states(diagnosis["process"])["CAP_BPF"], "ok")
        self.assertEqual(self.states(diagnosis["kernel"])["bpf_programs"], "unknown")

    def test_time_namespace(self):
        found = {each["what"]: each["meaning"] for each in self.diagnosis(
            0, "lo", prefix=("unshare", "--time", "--monotonic", "1000", "--fork"))["process"]}
        self.assertIn("1000 s", found["time_namespace"])

    def test_offloads(self):
        def segmentation(*switches):
            self.namespace.run("ethtool", "-K", "veth0", *switches)
            (interface,) = self.diagnosis(0, "veth0")["interfaces"]
            self.assertEqual(self.states(interface["findings"])["segmentation"], "ok")
            return interface["offloads"], self.finding(interface, "segmentation")["meaning"]

        offloads, meaning = segmentation("tso", "on", "gso", "on", "gro", "on")
        self.assertEqual([offloads[each] for each in ("tso", "gso", "gro", "lro", "hw_gro")],
                         [True, True, True, False, False])
        self.assertIn("exact", meaning)
        offloads, meaning = segmentation("tso", "off", "gro", "off")
        self.assertEqual([offloads[each] for each in ("tso", "gso", "gro")], [False, True, False])
        offloads, meaning = segmentation("gso", "off", "tx-udp-segmentation", "off")
        self.assertFalse(offloads["gso"] or offloads["tx_udp_segmentation"])
        self.assertIn("off", meaning)
        offloads, _ = segmentation("txvlan", "off", "rxvlan", "off")
        self.assertFalse(offloads["tx_vlan"] or offloads["rx_vlan"])
        offloads, _ = segmentation("txvlan", "on", "rxvlan", "on")
        self.assertTrue(offloads["tx_vlan"] and offloads["rx_vlan"])

    def test_interfaces_that_are_not_there_or_of_another_kind(self):
        (missing, loopback) = self.diagnosis(1, "nope", "lo")["interfaces"]
        self.assertIn("no interface nope", self.finding(missing, "link")["meaning"])
        self.assertIn("loopback", self.finding(loopback, "link")["meaning"])
        self.namespace.ip("tuntap", "add", "tun0", "mode", "tun")
        (tun,) = self.diagnosis(0, "tun0")["interfaces"]
        self.assertIn("without a link header", self.finding(tun, "link")["meaning"])
        self.assertIn("down", self.finding(tun, "link")["meaning"])

    def test_names_that_are_no_text(self):
        """The kernel accepts any bytes except '/', ':' and space: a terminal must not interpret them, and JSON must
        stay valid."""
        name = b"v\x1b[31m\"\\\xff\xc3\xa9"
        self.namespace.ip("link", "add", name, "type", "veth", "peer", "name", "other0")
        (interface,) = self.diagnosis(0, name)["interfaces"]
        self.assertEqual(interface["name"], "v\x1b[31m\"\\\ufffd\u00e9")
        self.assertNotIn("\x1b", self.doctor(name).out)

    def test_colour_on_a_terminal_only(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        try:
            self.doctor("lo", stdout=theirs)
        finally:
            os.close(theirs)
        self.assertIn(b"\x1b[32mok", os.read(ours, 65536))
        self.assertNotIn("\x1b", self.doctor("lo").out)

    def test_usage(self):
        done = self.doctor("--help")
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertIn("flowmeter-ebpf doctor [OPTIONS] [IFACE...]", done.out)
        done = self.doctor("--no-such-option")
        self.assertEqual((done.code, done.out, len(done.errors)), (2, "", 1))

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            done = self.doctor("lo", stdout=full)
        self.assertEqual((done.code, len(done.errors)), (1, 1), done.err)
        self.assertIn("No space left", done.errors[0])
