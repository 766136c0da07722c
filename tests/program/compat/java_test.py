# SPDX-License-Identifier: BSD-3-Clause
"""--compat java: each rule by which the Java CICFlowMeter differs from what one would expect, on a capture made for it,
with the cells worked out by hand, and random captures against flowmeter.models.java_cicflowmeter."""
import csv
import io
import os

import meter
from flowmeter.models import java_cicflowmeter
from java_cases import JAVA_ORDER, JavaCase, SECOND, START, bwd, fwd, steps
from java_captures import random_capture
from packets import ACK, A, CWR, ECE, FIN, PSH, RST, SYN, URG, pcap, ethernet, ipv4, tcp, udp


class JavaFlows(JavaCase):
    def test_whole_row(self):
        """Every cell of a small conversation, by hand."""
        done = self.run_on(pcap(steps(
            (0, fwd(SYN | PSH, 10, window=500)), (1000, bwd(SYN | ACK, 4, window=600)), (3000, fwd(ACK, 30, window=501)),
            (2003000, bwd(ACK | ECE, 0, window=601)))))
        # all = {10, 10, 4, 30, 0}: mean 10.8; deviations .8 .8 6.8 19.2 10.8 squared sum to 532.8, by 4 133.2.
        # Running: mean 10, 10, 8, 13.5, 10.8; M2 0, 0, 24, 387, 532.8 (its last bits: see the oracle).
        # Gaps 1000, 2000, 2000000: mean 667666.66…, forward 3000, backward 2002000. One gap above a second.
        expected = ("10.0.0.1-10.0.0.2-4000-80-6,10.0.0.1,4000,10.0.0.2,80,6,13/09/2020 12:26:40 PM,2003000,2,2,40.0,4.0,"
                    "30.0,10.0,20.0,14.142135623730951,4.0,0.0,2.0,2.8284271247461903,")
        header, row, end = done.out.split("\n")
        self.assertEqual(header, java_cicflowmeter.HEADER)
        self.assertEqual(end, "")
        self.assertEqual(row[:len(expected)], expected)
        cells = row.split(",")
        self.assertEqual(cells[20:22], [repr(44 / 2.003), repr(4 / 2.003)])
        self.assertEqual(cells[24:26], ["2000000.0", "1000.0"])
        self.assertEqual(cells[26:36], ["3000.0", "3000.0", "0.0", "3000.0", "3000.0",
                                        "2002000.0", "2002000.0", "0.0", "2002000.0", "2002000.0"])
        self.assertEqual(cells[36:44], ["1", "0", "0", "0", "40", "40", repr(2 / 2.003), repr(2 / 2.003)])
        self.assertEqual(cells[44:47], ["0.0", "30.0", "10.8"])
        self.assertEqual(cells[49:58], ["0", "2", "0", "1", "3", "0", "0", "1", "1.0"])
        # 54 by 4 packets; 40 by 2; 4 by 2.
        self.assertEqual(cells[58:61], ["13.5", "20.0", "2.0"])
        self.assertEqual(cells[61:75], ["0", "0", "0", "0", "0", "0", "2", "40", "2", "4", "500", "601", "1", "20"])
        self.assertEqual(cells[75:], ["0"] * 8 + ["NeedManualLabel"])

    def test_no_row(self):
        """The header is written, and a flow of one packet is not."""
        done = self.run_on(pcap(steps((0, fwd(SYN)))))
        self.assertEqual(done.out, java_cicflowmeter.HEADER + "\n")
        self.assertIn("one_packet_flows=1 ", done.err)

    def test_first_payload_counts_twice(self):
        self.check(self.row(steps((0, fwd(ACK, 22)), (10, fwd(ACK)))),
                   Packet_Length_Mean="14.666666666666668", Average_Packet_Size="22.0", Fwd_Packet_Length_Mean="11.0")

    def test_running_variance(self):
        """all = {0, 0, 22, 0}: exact arithmetic has 121."""
        self.check(self.row(steps((0, fwd(ACK)), (10, fwd(ACK, 22)), (20, fwd(ACK)))),
                   Packet_Length_Variance="120.99999999999999", Packet_Length_Std="11.0")

    def test_mean_is_running_average_is_quotient(self):
        """{0, 0, 0, 0, 1, 0}: 0.2 - 0.2 / 6 against 1 / 6."""
        sizes = (0, 0, 0, 0, 1, 0)
        self.check(self.row(steps(*((i, fwd(ACK, size)) for i, size in enumerate(sizes)))),
                   Fwd_Packet_Length_Mean="0.16666666666666669", Fwd_Segment_Size_Avg="0.16666666666666666")

    def test_empty_direction_prints_integers(self):
        self.check(self.row(steps((0, fwd(ACK, 5)), (10, fwd(ACK, 5)))), Bwd_Packet_Length_Max="0",
                   Total_Length_of_Bwd_Packet="0.0", Bwd_IAT_Total="0", Bwd_Segment_Size_Avg="0.0", Active_Mean="0",
                   Bwd_Init_Win_Bytes="0")

    def test_one_packet_of_a_direction_has_no_gaps(self):
        self.check(self.row(steps((0, fwd(ACK)), (10, bwd(ACK)))), Fwd_IAT_Total="0", Fwd_IAT_Min="0",
                   Bwd_IAT_Mean="0", Flow_IAT_Mean="10.0", Flow_IAT_Std="0.0")

    def test_zero_duration(self):
        self.check(self.row(steps((0, fwd(ACK)), (0, fwd(ACK)))), Flow_Bytes_per_s="NaN", Flow_Packets_per_s="Infinity",
                   Fwd_Packets_per_s="0.0")
        self.check(self.row(steps((0, fwd(ACK, 1)), (0, fwd(ACK)))), Flow_Bytes_per_s="Infinity")

    def test_time_runs_backwards(self):
        self.check(self.row(steps((0, fwd(ACK, 1)), (-500000, bwd(ACK)))), Flow_Duration="-500000",
                   Flow_Bytes_per_s="-2.0", Flow_Packets_per_s="-4.0", Fwd_Packets_per_s="0.0", Flow_IAT_Max="-500000.0")

    def test_flags_by_direction_are_those_of_the_first_packet(self):
        self.check(self.row(steps((0, fwd(ACK | URG)), (10, fwd(ACK | PSH)), (20, bwd(PSH | URG)))), Fwd_PSH_Flags=0,
                   Bwd_PSH_Flags=0, Fwd_URG_Flags=1, Bwd_URG_Flags=0, PSH_Flag_Count=2, URG_Flag_Count=2)

    def test_flag_counts(self):
        self.check(self.row(steps((0, fwd(FIN | SYN | PSH)), (1, fwd(CWR)), (2, fwd(ECE | CWR)), (3, bwd(RST)))),
                   FIN_Flag_Count=1, SYN_Flag_Count=1, RST_Flag_Count=1, PSH_Flag_Count=1, ACK_Flag_Count=0,
                   CWR_Flag_Count=2, ECE_Flag_Count=1)

    def test_last_backward_window(self):
        self.check(self.row(steps((0, fwd(SYN, window=7)), (1, bwd(ACK, window=8)), (2, fwd(ACK, window=9)),
                                  (3, bwd(ACK, window=10)))), FWD_Init_Win_Bytes=7, Bwd_Init_Win_Bytes=10)

    def test_data_packets_without_the_first(self):
        self.check(self.row(steps((0, fwd(ACK, 5)), (1, fwd(ACK, 1)), (2, fwd(ACK)), (3, bwd(ACK, 9)))),
                   Fwd_Act_Data_Pkts=1)

    def test_least_header(self):
        long = {"data_offset": 8, "options": bytes([1] * 12)}
        self.check(self.row(steps((0, fwd(ACK, **long)), (1, fwd(ACK)), (2, fwd(ACK, **long)))), Fwd_Seg_Size_Min=20,
                   Fwd_Header_Length=84)
        self.check(self.row(steps((0, fwd(ACK)), (1, fwd(ACK, **long)), (2, bwd(ACK)))), Fwd_Seg_Size_Min=20)

    def test_ratio_of_integers(self):
        self.check(self.row(steps((0, fwd(ACK)), (1, fwd(ACK)), (2, bwd(ACK)), (3, bwd(ACK)), (4, bwd(ACK)))),
                   **{"Down_per_Up_Ratio": "1.0"})

    def test_bulk(self):
        """All packets with payload belong to the backward bulk, other packets to none. 4 packets in 30 ms, then 1 more
        in 20."""
        row = self.row(steps((0, fwd(ACK, 100)), (10000, bwd(ACK, 100)), (15000, fwd(ACK)), (20000, fwd(ACK, 100)),
                             (30000, fwd(ACK, 100)), (50000, fwd(ACK, 50))))
        self.check(row, Fwd_Bytes_per_Bulk_Avg=0, Fwd_Packet_per_Bulk_Avg=0, Fwd_Bulk_Rate_Avg=0,
                   Bwd_Bytes_per_Bulk_Avg=450, Bwd_Packet_per_Bulk_Avg=5, Bwd_Bulk_Rate_Avg=9000)

    def test_bulk_averages_are_cut(self):
        """Two bulks with more than a second between them: 4 packets of 10, 5 of 11; 95 bytes in 3 + 4 ms."""
        first = [(1000 * i, fwd(ACK, 10)) for i in range(4)]
        second = [(1003001 + 1000 * i, fwd(ACK, 11)) for i in range(5)]
        self.check(self.row(steps(*first, *second)), Bwd_Bytes_per_Bulk_Avg=47, Bwd_Packet_per_Bulk_Avg=4,
                   Bwd_Bulk_Rate_Avg=13571)
        second = [(1003000 + 1000 * i, fwd(ACK, 11)) for i in range(5)]
        self.check(self.row(steps(*first, *second)), Bwd_Packet_per_Bulk_Avg=9)

    def test_bulk_without_duration(self):
        self.check(self.row(steps(*[(0, fwd(ACK, 9))] * 4)), Bwd_Bytes_per_Bulk_Avg=36, Bwd_Bulk_Rate_Avg=0)

    def test_bulk_before_1970(self):
        """A start before 1970 counts as no start."""
        frames = [(-10 * SECOND + i, fwd(ACK, 9)) for i in range(5)]
        self.check(self.row(frames), Bwd_Bytes_per_Bulk_Avg=0, Timestamp="31/12/1969 11:59:50 PM")

    def test_subflows_are_divided_by_gaps(self):
        self.check(self.row(steps((0, fwd(ACK, 10)), (1000001, fwd(ACK, 11)), (1000002, bwd(ACK, 5)),
                                  (2000002, fwd(ACK, 1)), (3000003, bwd(ACK, 2)))),
                   Subflow_Fwd_Packets=1, Subflow_Fwd_Bytes=11, Subflow_Bwd_Packets=1, Subflow_Bwd_Bytes=3)

    def test_active_and_idle(self):
        """Active 2 s, idle 5.000001 s, active 0 (not entered), idle 6 s, then 1 s that is never entered."""
        self.check(self.row(steps((0, fwd(ACK)), (2 * SECOND, fwd(ACK)), (7 * SECOND + 1, fwd(ACK)),
                                  (13 * SECOND + 1, fwd(ACK)), (14 * SECOND + 1, fwd(ACK)))),
                   Active_Mean="2000000.0", Active_Std="0.0", Active_Max="2000000.0", Active_Min="2000000.0",
                   Idle_Mean="5500000.5", Idle_Max="6000000.0", Idle_Min="5000001.0")
        self.check(self.row(steps((0, fwd(ACK)), (5 * SECOND, fwd(ACK)))), Active_Mean="0", Idle_Mean="0")
        # Packets less than a second apart also continue the active period.
        self.check(self.row(steps((0, fwd(ACK)), (900000, bwd(ACK)), (1800000, fwd(ACK)), (7800000, fwd(ACK)))),
                   Active_Mean="1800000.0", Idle_Mean="6000000.0")

    def test_ending_packet_counts_a_gap(self):
        """The packet that ends a flow counts in active and idle, because of the subflow step."""
        self.check(self.row(steps((0, fwd(ACK)), (6 * SECOND, bwd(RST)))), Idle_Mean="6000000.0")

    def test_equal_addresses_are_all_forward(self):
        one = ethernet(ipv4(17, udp(b"x", 1, 2), A, A))
        other = ethernet(ipv4(17, udp(b"xyz", 2, 1), A, A))
        self.check(self.row(steps((0, one), (1, other))), Total_Fwd_Packet=2, Total_Bwd_packets=0, Src_Port=1)

    def test_direction_is_that_of_the_first_packet(self):
        self.check(self.row(steps((0, bwd(SYN | ACK)), (1, fwd(ACK)))), Flow_ID="10.0.0.2-10.0.0.1-80-4000-6",
                   Total_Fwd_Packet=1, Total_Bwd_packets=1)


class JavaFlowEnds(JavaCase):
    def packets(self, records):
        return [(row["Flow ID"], int(row["Total Fwd Packet"]), int(row["Total Bwd packets"]))
                for row in self.rows(records)]

    NAME, REVERSED = "10.0.0.1-10.0.0.2-4000-80-6", "10.0.0.2-10.0.0.1-80-4000-6"

    def test_timeout(self):
        """A flow ends more than 120 s after its start, however short its gaps are."""
        self.assertEqual(self.packets(steps((0, fwd(ACK)), (120 * SECOND, bwd(ACK)), (120 * SECOND + 1, fwd(ACK)),
                                            (120 * SECOND + 2, fwd(ACK)))), [(self.NAME, 1, 1), (self.NAME, 2, 0)])

    def test_silence_ends_nothing(self):
        self.assertEqual(self.packets(steps((0, fwd(ACK)), (119 * SECOND, bwd(ACK)))), [(self.NAME, 1, 1)])

    def test_timeout_of_one_packet(self):
        self.assertEqual(self.packets(steps((0, fwd(ACK)), (121 * SECOND, fwd(ACK)))), [])

    def test_flow_after_timeout_keeps_its_name(self):
        """Its first packet counts as forward though the responder sent it; the next ones are assigned by address."""
        rows = self.rows(steps((0, fwd(ACK)), (1, bwd(ACK)), (121 * SECOND, bwd(ACK | PSH, 7, window=77)),
                               (122 * SECOND, bwd(ACK, 1, window=78)), (123 * SECOND, fwd(ACK, window=79))))
        self.check(rows[1], Flow_ID=self.NAME, Src_IP=A, Src_Port=4000, Total_Fwd_Packet=2, Total_Bwd_packets=1,
                   Total_Length_of_Fwd_Packet="7.0", FWD_Init_Win_Bytes=77, Bwd_Init_Win_Bytes=78, Fwd_PSH_Flags=1)

    def test_timeout_before_flags(self):
        """A RST after the time-out starts a flow instead of ending one."""
        self.assertEqual(self.packets(steps((0, fwd(ACK)), (1, fwd(ACK)), (121 * SECOND, fwd(RST)),
                                            (121 * SECOND + 1, bwd(ACK)))), [(self.NAME, 2, 0), (self.NAME, 1, 1)])

    def test_fin_of_responder_ends(self):
        """The last ACK of the close starts a flow of one packet."""
        self.assertEqual(self.packets(steps((0, fwd(ACK)), (1, fwd(FIN | ACK)), (2, bwd(FIN | ACK)), (3, fwd(ACK)))),
                         [(self.NAME, 2, 1)])

    def test_fin_of_initiator_ends_nothing(self):
        self.assertEqual(self.packets(steps((0, fwd(ACK)), (1, fwd(FIN | ACK)), (2, bwd(ACK)), (3, fwd(ACK)))),
                         [(self.NAME, 3, 1)])

    def test_repeated_fin_is_ignored(self):
        done = self.run_on(pcap(steps((0, fwd(ACK)), (1, fwd(FIN)), (2, fwd(FIN, 5)), (3, bwd(ACK)))))
        row = next(csv.DictReader(io.StringIO(done.out)))
        self.check(row, Total_Fwd_Packet=2, FIN_Flag_Count=1, Total_Length_of_Fwd_Packet="0.0", Flow_IAT_Max="2.0")
        self.assertIn("repeated_fins=1 ", done.err)

    def test_fin_of_the_first_packet_is_not_counted(self):
        self.assertEqual(self.packets(steps((0, fwd(FIN)), (1, fwd(FIN)), (2, fwd(FIN)))), [(self.NAME, 2, 0)])

    def test_repeated_fin_before_rst(self):
        """FIN is checked first: a repeated FIN is ignored even with RST."""
        self.assertEqual(self.packets(steps((0, fwd(ACK)), (1, fwd(FIN)), (2, fwd(FIN | RST)), (3, fwd(ACK)))),
                         [(self.NAME, 3, 0)])

    def test_rst_ends(self):
        for end in (fwd, bwd):
            self.assertEqual(len(self.packets(steps((0, fwd(ACK)), (1, end(RST)), (2, bwd(ACK)), (3, bwd(ACK))))), 2)
        self.assertEqual(self.packets(steps((0, fwd(ACK)), (1, bwd(RST)), (2, bwd(ACK)), (3, bwd(ACK)))),
                         [(self.NAME, 1, 1), (self.REVERSED, 2, 0)])

    def test_first_packet_ends_nothing(self):
        self.assertEqual(self.packets(steps((0, fwd(RST)), (1, bwd(ACK)))), [(self.NAME, 1, 1)])

    def test_order_of_rows(self):
        """Flows that end come first; then the rest, in the order of a java.util.HashMap (run with OpenJDK 17)."""
        records = steps((0, fwd(ACK)), *((10 + i, ethernet(ipv4(17, udp(b"", 1000 + i % 14, 53)))) for i in range(28)),
                        (50, bwd(RST)))
        order = [int(row["Src Port"]) for row in self.rows(records)]
        self.assertEqual(order, [4000] + JAVA_ORDER)

    def test_captures_are_apart(self):
        """Several captures are several runs: no flow continues in the next one."""
        with open(self.path("y.pcap"), "wb") as file:
            file.write(pcap(steps((10, fwd(ACK)), (11, fwd(ACK)))))
        done = self.run_on(pcap(steps((0, fwd(ACK)), (1, fwd(ACK)))), "-f", self.path("y.pcap"))
        self.assertEqual(done.out.count("\n"), 3)

    def test_each_capture_has_its_map(self):
        """A table that grew in one capture is not used for the next one, as the order of its rows shows."""
        def flows(count):
            return pcap(steps(*((i, ethernet(ipv4(17, udp(b"", 1000 + i // 2, 53)))) for i in range(2 * count))))
        with open(self.path("y.pcap"), "wb") as file:
            file.write(flows(12))
        done = self.run_on(flows(200), "-f", self.path("y.pcap"))
        self.assertEqual(done.out.split("\n")[201:-1], java_cicflowmeter.rows(flows(12)).split("\n")[1:-1])

    def test_max_flows(self):
        """If there is no room, a flow is written early and counted, and no packet is lost."""
        def one(i):
            return ethernet(ipv4(17, udp(b"", 1000 + i, 53)))
        done = self.run_on(pcap(steps(*((i, one(i // 2)) for i in range(400)))), "--max-flows", "64")
        self.assertEqual(len(done.out.splitlines()), 201)
        self.assertIn("forced_out=136", done.err)
        self.assertTrue(any("--max-flows" in line for line in done.warnings), done.err)

    def test_fields_is_refused(self):
        with open(self.path("x.pcap"), "wb") as file:
            file.write(pcap([]))
        done = meter.run("--compat", "java", "-f", self.path("x.pcap"), "--fields", "src_ip")
        self.assertEqual(done.code, 2)
        self.assertTrue(done.errors)


class JavaTimes(JavaCase):
    FRAME = ethernet(ipv4(6, tcp(ACK)))

    def times(self, stamps, **options):
        row = self.row([(stamp, self.FRAME) for stamp in stamps], **options)
        return row["Timestamp"], row["Flow Duration"]

    def test_text(self):
        for us, text in ((0, "01/01/1970 12:00:00 AM"), (43199 * SECOND, "01/01/1970 11:59:59 AM"),
                         (43200 * SECOND, "01/01/1970 12:00:00 PM"), (START + 999999, "13/09/2020 12:26:40 PM"),
                         (46800 * SECOND, "01/01/1970 01:00:00 PM")):
            self.assertEqual(self.times([us, us + 1]), (text, "1"))

    def test_local_zone(self):
        os.environ["TZ"] = "XYZ-05:30"
        self.assertEqual(self.times([0, 1])[0], "01/01/1970 05:30:00 AM")

    def test_signed_microseconds(self):
        for order in "<>":
            self.assertEqual(self.times([(100, 2**32 - 1), (100, 0)], order=order)[1], "1")
            self.assertEqual(self.times([(100, 0), (100, 3000000)], order=order)[1], "3000000")

    def test_seconds_after_2038(self):
        self.assertEqual(self.times([(2**31, 0), (2**31, 1)])[0], "13/12/1901 08:45:52 PM")
        self.assertEqual(self.times([(2**31, 0), (2**31, 1)], order=">")[0], "19/01/2038 03:14:08 AM")

    def test_nanoseconds_are_cut(self):
        nano = {"nanoseconds": True}
        self.assertEqual(self.times([(100, 1999), (100, 2000)], **nano)[1], "1")
        # The fraction is signed in this byte order, and unsigned in the other.
        self.assertEqual(self.times([(100, 2**32 - 1), (100, 1000)], **nano)[1], "1")
        self.assertEqual(self.times([(100, 2**32 - 1), (104, 294967000)], order=">", **nano)[1], "0")


class JavaRandom(JavaCase):
    """Random captures against the oracle."""

    SEEDS = 120

    def test_random_captures(self):
        rows = 0
        for seed in range(self.SEEDS):
            data = random_capture(seed)
            expected = java_cicflowmeter.rows(data)
            rows += expected.count("\n") - 1
            if self.run_on(data).out != expected:
                got = self.run_on(data).out.split("\n")
                different = [(a, b) for a, b in zip(got, expected.split("\n")) if a != b][:1]
                self.fail(f"seed {seed}: {len(got) - 2} rows, {expected.count(chr(10)) - 1} expected: {different}")
        self.assertGreater(rows, 20 * self.SEEDS)
