# SPDX-License-Identifier: BSD-3-Clause
"""flowmeter.meter() and live sniffers, on a veth pair between two network namespaces that each test makes. Needs root."""
import csv
import os
import pathlib
import socket
import subprocess
import sys
import time

import flowmeter
import pytest
from flowmeter.sniffer import create_sniffer

import cases
import cgroups
import doc_examples
import namespaces
from namespaces import A4, B4

LABEL = "veth"
pytestmark = pytest.mark.skipif(bool(namespaces.missing_here()), reason=namespaces.missing_here() or "-")


class Live(cases.Case):
    def setUp(self):
        super().setUp()
        self.pair = namespaces.Pair(self)
        self.pair.wait_quiet()

    def send(self, ports, packets=3):
        """Sends datagrams of 10 bytes from A to each of these ports of B."""
        with self.pair.a.inside():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sender:
            sender.bind((A4, 5000))
            for _ in range(packets):
                for port in ports:
                    sender.sendto(b"0123456789", (B4, port))

    def receive(self, ports):
        """Opens sockets, so that B does not answer "port unreachable"."""
        for port in ports:
            with self.pair.b.inside():
                receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(receiver.close)
            receiver.bind((B4, port))

    def udp_flows(self, flows):
        return sorted((flow["dst_port"], flow["tot_fwd_pkts"], flow["tot_bwd_pkts"]) for flow in flows
                      if flow["src_port"] == 5000)

    def test_flows_of_an_interface(self):
        """On both datapaths, flows are delivered as they end; those still open follow after stop()."""
        self.receive([7001, 7002])
        for datapath in ("events", "kernel"):
            with self.subTest(datapath):
                flows = flowmeter.meter("veth0", netns=self.pair.b.name, datapath=datapath, idle_timeout=0.5,
                                        extra="interface,direction")
                self.send([7001])
                first = next(flow for flow in flows if flow["src_port"] == 5000)
                self.assertEqual((first["src_ip"], first["dst_ip"], first["dst_port"]), (A4, B4, 7001))
                self.assertEqual((first["tot_fwd_pkts"], first["tot_bwd_pkts"], first["totlen_fwd_pkts"]), (3, 0, 156))
                self.assertEqual((first["interface"], first["direction"]), ("veth0", "ingress"))
                self.send([7002])
                flows.stop()
                self.assertEqual(self.udp_flows(flows), [(7002, 3, 0)])
                self.assertEqual(flows.account["lost"], 0)
                self.assertGreaterEqual(flows.account["metered"], 6)

    def test_duration_and_frame(self):
        pytest.importorskip("pandas", reason="python3-pandas is not installed")
        self.receive([7001, 7002])
        flows = flowmeter.meter("veth0", netns=self.pair.b.name, duration=1.5, fields="src_port,dst_port,tot_fwd_pkts")
        self.send([7001, 7002])
        start = time.monotonic()
        frame = flows.frame()
        self.assertLess(time.monotonic() - start, 20)
        frame = frame[frame["src_port"] == 5000]
        self.assertEqual(sorted(frame["dst_port"]), [7001, 7002])
        self.assertEqual(list(frame["tot_fwd_pkts"]), [3, 3])

    def test_nothing_of_the_process_is_given_up(self):
        """The other threads keep their capabilities and network namespace, and nothing stays attached."""
        def state():
            with open("/proc/self/status", encoding="ascii") as status:
                kept = [line for line in status if line.startswith(("Cap", "NoNewPrivs"))]
            return kept, os.readlink("/proc/self/ns/net")

        before = state()
        with flowmeter.meter("veth0", netns=self.pair.b.name):
            self.assertEqual(state(), before)
            links = own_links()
            self.assertEqual(len(links), 2)
        self.assertEqual(state(), before)
        self.assertEqual(own_links(), [])
        wait_until_gone(links)

    def test_whose_flows_they_are(self):
        if missing := cgroups.missing_here():
            self.skipTest(missing)
        self.receive([7001])
        cgroup = cgroups.Cgroup(self, "docker/" + 64 * "5")
        flows = flowmeter.meter("veth0", netns=self.pair.a.name, attribute="process")
        with cgroup.inside():
            self.send([7001])
        flows.stop()
        flow, = (flow for flow in flows if flow["src_port"] == 5000)
        self.assertEqual((flow.src_attribution, flow.src_container_id, flow.src_cgroup, flow.src_pid),
                         ("socket", 64 * "5", cgroup.path, os.getpid()))
        self.assertEqual((flow.dst_attribution, flow.dst_container_id), ("none", ""))
        self.assertIn(flow.dst_pid, (None, ""))

    def test_two_meters_at_once(self):
        self.receive([7001])
        both = [flowmeter.meter("veth0", netns=side.name) for side in (self.pair.a, self.pair.b)]
        self.send([7001])
        self.pair.wait_quiet()
        for flows in both:
            flows.stop()
        for flows in both:
            self.assertEqual(self.udp_flows(flows), [(7001, 3, 0)])

    def test_a_consumer_that_is_slow_loses_no_packet(self):
        """Even if Python takes the flows late, and there are more than may wait for it, no flow and no packet is missing."""
        ports = range(10_000, 50_000)
        flows = flowmeter.meter("veth0", netns=self.pair.b.name, idle_timeout=0.2)
        with self.pair.a.inside():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sender:
            sender.bind((A4, 5000))
            for port in ports:
                sender.sendto(b"0", (B4, port))
        time.sleep(2)
        flows.stop()
        count = sum(flow["tot_fwd_pkts"] for flow in flows if flow["src_port"] == 5000)
        self.assertEqual(count, len(ports))
        self.assertEqual(flows.account["lost"], 0)

    def test_a_run_that_continues_the_flows_of_another(self):
        """With `pin`, stop() delivers no open flow: the kernel goes on metering them, and the next run delivers them."""
        pins = pathlib.Path(namespaces.bpf_file_system(self), "meter")
        self.receive([7001])
        flows = flowmeter.meter("veth0", netns=self.pair.b.name, pin=pins, datapath="kernel")
        self.send([7001])
        flows.stop()
        self.assertEqual(self.udp_flows(flows), [])
        self.send([7001])
        flows = flowmeter.meter("veth0", netns=self.pair.b.name, pin=pins, unpin=True, datapath="kernel")
        self.send([7001])
        flows.stop()
        self.assertEqual(self.udp_flows(flows), [(7001, 9, 0)])
        self.assertFalse(pins.exists())

    def test_the_examples_of_the_documentation(self):
        """As they are written, but for one second and on the interface of the test."""
        self.receive([7001])
        for heading, example in doc_examples.examples(live=True):
            with self.subTest(heading):
                example = example.replace('"eth0"', '"veth0"').replace("duration=60", "duration=1")
                process = self.pair.b.start(sys.executable, "-c", example, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                while process.poll() is None:
                    self.send([7001])
                    time.sleep(0.05)
                output, error = process.communicate(timeout=60)
                self.assertEqual((process.returncode, error), (0, b""))
                self.assertIn(A4.encode(), output)

    def test_a_sniffer(self):
        self.receive([7001])
        output = self.path("flows.csv")
        script = (
            "import os, sys\n"
            "from flowmeter.sniffer import create_sniffer\n"
            "sniffer, session = create_sniffer(input_file=None, input_interface='veth0',\n"
            "                                  output_mode='csv', output=sys.argv[1])\n"
            "sniffer.start()\n"
            "print('started', flush=True)\n"
            "try:\n    sniffer.join()\n"
            "except KeyboardInterrupt:\n    sniffer.stop()\n"
            "finally:\n    sniffer.join()\n    session.flush_flows()\n")
        process = self.pair.b.start(sys.executable, "-c", script, output, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"started\n")
        # The header is written when metering has started.
        meter_has_begun(output)
        self.send([7001])
        self.pair.wait_quiet()
        process.send_signal(2)
        _, error = process.communicate(timeout=60)
        self.assertEqual((process.returncode, error), (0, b""))
        with open(output, newline="", encoding="ascii") as file:
            rows = [row for row in csv.DictReader(file) if row["src_port"] == "5000"]
        self.assertEqual([(row["dst_port"], row["tot_fwd_pkts"]) for row in rows], [("7001", "3")])

    def test_interrupting_a_loop(self):
        script = ("import flowmeter\nflows = flowmeter.meter('veth0')\nprint('started', flush=True)\n"
                  "for flow in flows: pass\n")
        process = self.pair.b.start(sys.executable, "-c", script, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"started\n")
        links = own_links(process.pid)
        self.assertEqual(len(links), 2)
        process.send_signal(2)
        _, error = process.communicate(timeout=60)
        self.assertIn(b"KeyboardInterrupt", error)
        wait_until_gone(links)

    def test_what_cannot_be_metered(self):
        with self.assertRaisesRegex(flowmeter.Error, "eth77"):
            flowmeter.meter("eth77", netns=self.pair.b.name)
        with self.assertRaisesRegex(flowmeter.Error, "no-such-namespace"):
            flowmeter.meter("veth0", netns="no-such-namespace")
        with self.assertRaisesRegex(ValueError, "datapath"):
            flowmeter.meter("veth0", netns=self.pair.b.name, datapath="user")
        sniffer, _ = create_sniffer(None, "eth77", "csv", self.path("flows.csv"))
        sniffer.start()
        with self.assertRaisesRegex(flowmeter.Error, "eth77"):
            sniffer.join()

    def test_without_privileges(self):
        script = ("import flowmeter\n"
                  "try: flowmeter.meter('lo')\n"
                  "except PermissionError as error: print(error)\n")
        done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", script],
                              capture_output=True, text=True, timeout=60)
        if "No module named" in done.stderr or "Permission denied" in done.stderr:
            self.skipTest("the build directory is closed to other users")
        self.assertIn("CAP_BPF", done.stdout, done.stderr)


def meter_has_begun(path):
    end = time.monotonic() + 60
    while not (os.path.exists(path) and os.path.getsize(path) > 0):
        assert time.monotonic() < end, "the header never came"
        time.sleep(0.05)


def own_links(process="self"):
    """Ids of the BPF links that a process holds."""
    links = []
    for each in os.listdir(f"/proc/{process}/fdinfo"):
        try:
            with open(f"/proc/{process}/fdinfo/{each}", encoding="ascii") as info:
                links += [line.split()[1] for line in info if line.startswith("link_id:")]
        except FileNotFoundError:
            pass  # the listing's own descriptor, which is closed by now
    return links


def wait_until_gone(links):
    """The kernel removes a link shortly after its last descriptor is closed."""
    end = time.monotonic() + 60
    while any(subprocess.run(["bpftool", "link", "show", "id", link], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             check=False).returncode == 0 for link in links):
        assert time.monotonic() < end, f"links {links} are still there"
        time.sleep(0.05)
