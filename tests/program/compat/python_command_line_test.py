# SPDX-License-Identifier: BSD-3-Clause
"""--compat python: the command line and its messages about the mode."""

import capture
import meter
from capture import CLIENT, ethernet
from flowmeter.models import python_cicflowmeter
from python_cases import COLUMNS, PythonCase, changed, pcap, tcp, udp


class CommandLine(PythonCase):
    def test_without_rows_the_file_is_empty(self):
        path = self.path("x.csv")
        with open(path, "w", encoding="utf-8") as file:
            file.write("what was here\n")
        done = self.run_on(capture.pcap([(1, ethernet(bytes(28), 0x0806))]))
        self.assertEqual(done.csv, b"")
        self.assertIn("seen=1 taken=0 link_type=0 not_ipv4=1 ", done.err)
        self.assertEqual(done.warnings, [])

    def test_account(self):
        frames = [udp(), changed(udp(), at7=1), capture.ipv4(47, bytes(20)), udp()[:23], tcp(), tcp(back=True)]
        done = self.run_on(capture.pcap([(1, ethernet(f)) for f in frames] + [(1, ethernet(udp(), 0x86DD))]))
        self.assertIn("seen=7 taken=3 link_type=0 not_ipv4=1 other_protocol=1 later_fragment=1 not_dissected=1 flows=2",
                      done.err)

    def test_standard_output_and_pipe(self):
        data = capture.pcap(capture.conversation())
        want = python_cicflowmeter.csv_of(data).decode()
        done = meter.run("-f", "-", "--compat", "python", stdin=data)
        self.assertEqual((done.code, done.out), (0, want))

    def test_fields_keep_the_programs_order(self):
        data = capture.pcap([(1, ethernet(udp()))])
        done = self.run_on(data, "--fields", "tot_fwd_pkts,src_ip,subflow_bwd_byts")
        self.assertEqual(done.csv, f"src_ip,tot_fwd_pkts,subflow_bwd_byts\r\n{CLIENT},2,0\r\n".encode())

    def test_several_captures_are_one_stream(self):
        # The link types differ, and flows continue in the second capture.
        path = self.path("second.pcap")
        with open(path, "wb") as file:
            file.write(pcap([(2, 0, udp(back=True))], 228))
        done = self.run_on(capture.pcap([(1, ethernet(udp()))]), "-f", path)
        row = dict(zip(COLUMNS, done.csv.decode().split("\r\n")[1].split(",")))
        self.expect(row, tot_fwd_pkts=2, tot_bwd_pkts=1)

    def test_usage(self):
        for arguments, text in ((("--compat", "perl", "-f", "x"), '"perl" is not a mode'),
                                (("--compat", "python", "-f", "/dev/null", "--fields", "src_iq"), "near: src_ip")):
            done = meter.run(*arguments)
            self.assertEqual((done.code, len(done.errors)), (2, 1), done.err)
            self.assertIn(text, done.err)

    def test_output_that_cannot_be_written(self):
        path = self.path("x.pcap")
        with open(path, "wb") as file:
            file.write(capture.pcap([(1, ethernet(udp()))]))
        done = meter.run("-f", path, "--compat", "python", "-c", "/dev/full")
        self.assertEqual((done.code, len(done.errors)), (1, 1), done.err)
        self.assertIn("No space left on device", done.err)

    def test_damage_ends_the_reading(self):
        data = capture.pcap([(1, ethernet(udp())), (2, ethernet(udp(20)))])[:-1]
        done = self.run_on(data)
        self.assertIn("earlier packets were used", "\n".join(done.warnings))
        self.assertEqual(done.csv, python_cicflowmeter.csv_of(data))

    def test_number_of_packets(self):
        done = self.run_on(capture.pcap([(i, ethernet(udp())) for i in range(9)]), "--packets", "4")
        self.assertIn("seen=4 taken=4 ", done.err)

    def test_flows_above_the_limit_are_written_early(self):
        # 64 flows fit. The 65th forces out the oldest one in the table, the 66th the next one.
        done = self.run_on(capture.pcap([(1, ethernet(udp(ports=(i, 53)))) for i in range(66)]), "--max-flows", "64")
        ports = [row.split(",")[2] for row in done.csv.decode().split("\r\n")[1:-1]]
        self.assertEqual(ports, [str(i) for i in range(66)])
        self.assertIn("forced_out=2", done.err)
        self.assertIn("2 flows were written early", "\n".join(done.warnings))

    def test_packets_above_the_limit_force_flows_out(self):
        # 64 flows have room for 64 * 5 chunks of 7 packets, and there must be one for the next packet. One flow of 319
        # chunks and a packet more fills them; a second flow's first packet forces it out, and its next packet opens a
        # flow again.
        frames = [(1, ethernet(udp()))] * (319 * 7 + 1)
        done = self.run_on(capture.pcap(frames), "--max-flows", "64")
        self.assertNotIn("forced_out", done.err)
        frames += [(1, ethernet(udp(ports=(1, 1)))), (1, ethernet(udp()))]
        done = self.run_on(capture.pcap(frames), "--max-flows", "64")
        self.assertIn("taken=2236 ", done.err)
        self.assertIn("forced_out=1", done.err)
        counts = [(row.split(",")[2], row.split(",")[11]) for row in done.csv.decode().split("\r\n")[1:-1]]
        self.assertEqual(counts, [("4000", "2235"), ("1", "2"), ("4000", "2")])
