# SPDX-License-Identifier: BSD-3-Clause
"""--compat python: one small capture per quirk with cells worked out by hand, random captures against the
independent model of flowmeter.models.python_cicflowmeter."""
import os
import random
import struct

import capture
import random_captures
from capture import CLIENT, SERVER, ethernet
from flowmeter.models import python_cicflowmeter
from packets import FIN, PSH, SYN, pcapng_section as section
from python_cases import COLUMNS, CWR, PythonCase, URG, changed, enhanced, icmp, interface, pcap, tcp, udp

SANITIZED = True


class Quirks(PythonCase):
    # ---- lists ----

    def test_first_packet_is_listed_twice(self):
        # Frames of 52 bytes (14 + 20 + 8 + 10).
        self.expect(self.row((1, udp())), tot_fwd_pkts=2, tot_bwd_pkts=0, totlen_fwd_pkts=104, fwd_pkt_len_mean="52.0",
                    fwd_header_len=40, fwd_act_data_pkts=2, flow_duration="0.0", flow_byts_s=0, flow_pkts_s=0,
                    flow_iat_mean=0, fwd_iat_tot=0, bwd_pkt_len_max=0, bwd_pkt_len_mean=0, bwd_pkt_len_std="0.0",
                    bwd_seg_size_avg=0, down_up_ratio="0.0")
        # Sizes 52, 52, 62: mean 166 / 3; deviations (-10/3)², twice, and (20/3)²: variance 600 / 27.
        row = self.row((1, udp()), (3, udp(20)))
        self.expect(row, pkt_len_mean="55.333333333333336", pkt_size_avg="55.333333333333336", totlen_fwd_pkts=166,
                    flow_duration="2.0", flow_byts_s="83.0", flow_pkts_s="1.5", bwd_pkts_s="0.0")
        self.assertAlmostEqual(float(row["pkt_len_var"]), 600 / 27, places=12)

    def test_statistics_of_gaps_need_two(self):
        # The doubled packet makes a gap of 0: forward gaps 0 and 2, but backward only 1.
        row = self.row((1, udp()), (2, udp(back=True)), (3, udp()), (3.5, udp(back=True)))
        self.expect(row, fwd_iat_tot="2.0", fwd_iat_max="2.0", fwd_iat_min="0.0", fwd_iat_mean="1.0", fwd_iat_std="1.0",
                    bwd_iat_tot=0, bwd_iat_max=0, bwd_iat_min=0, bwd_iat_mean=0, bwd_iat_std=0,
                    flow_iat_mean="0.625", flow_iat_max="1.0", flow_iat_min="0.0")

    def test_gaps_may_be_negative(self):
        # Gaps of the flow are counted from the latest time (10): 0, 5, -3, 1. Forward gaps are counted from the packet
        # before: 0, 5, -3, 4. The duration is the greatest time.
        row = self.row((5, udp()), (10, udp()), (7, udp()), (11, udp()))
        self.expect(row, flow_iat_min="-3.0", flow_iat_max="5.0", flow_iat_mean="0.75", fwd_iat_tot="6.0",
                    fwd_iat_min="-3.0", fwd_iat_mean="1.5", flow_duration="6.0")

    def test_active_and_idle_are_never_counted(self):
        row = self.row((1, udp()), (50, udp()), (80, udp()))
        self.expect(row, **{f"{a}_{b}": 0 for a in ("active", "idle") for b in ("max", "min", "mean", "std")})

    def test_length_is_what_was_captured(self):
        frame = ethernet(udp(100))
        records = struct.pack("<4I", 1, 0, 60, len(frame)) + frame[:60]
        self.expect(self.rows_of(capture.pcap_header() + records)[0], pkt_len_max=60)
        self.expect(self.rows_of(pcap([(1, 0, frame)], snap=50))[0], pkt_len_max=50)
        self.expect(self.rows_of(pcap([(1, 0, frame)], snap=0))[0], pkt_len_max=142)
        self.expect(self.rows_of(pcap([(1, 0, frame)], snap=0x80000000))[0], pkt_len_max=142)
        self.expect(self.rows_of(pcap([(1, 0, frame + bytes(70000))], snap=262144))[0], pkt_len_max=65535)

    def test_header_is_the_ip_header(self):
        with_options = changed(tcp(), at0=0x47, at3=48)[:20] + bytes(8) + tcp()[20:]
        row = self.row((1, tcp()), (2, with_options))
        self.expect(row, fwd_header_len=20 + 20 + 28, fwd_seg_size_min=20, bwd_header_len=0, fwd_act_data_pkts=0)

    def test_segment_sizes_are_packet_lengths(self):
        row = self.row((1, udp()), (2, udp(back=True, payload=30)))
        self.expect(row, fwd_seg_size_avg="52.0", bwd_seg_size_avg="72.0", bwd_pkt_len_mean="72.0")

    def test_padding_is_payload(self):
        # 14 + 40 bytes without payload, and 6 of padding.
        padded = tcp() + bytes(6)
        self.expect(self.row((1, tcp())), fwd_act_data_pkts=0)
        self.expect(self.row((1, padded)), fwd_act_data_pkts=2)
        # It even makes a bulk.
        row = self.row((1, padded), (1.1, padded), (1.2, padded), (1.3, padded))
        self.expect(row, fwd_byts_b_avg="24.0", fwd_pkts_b_avg="4.0")

    def test_without_a_total_length_nothing_is_padding(self):
        self.expect(self.row((1, changed(udp(4), at2=0, at3=0) + bytes(6))), fwd_act_data_pkts=2)
        # One byte less than the header: the same. The header itself: all is padding, and no transport header is left.
        self.assertEqual(self.taken(ethernet(changed(udp(4), at3=19)), ethernet(changed(udp(4), at3=20))),
                         [True, False])

    def test_flags_are_counted_by_packets_and_cwr_is_urg(self):
        row = self.row((1, tcp(SYN)), (2, tcp(URG | PSH | CWR)), (3, tcp(URG, back=True)), (4, tcp(CWR)))
        self.expect(row, syn_flag_cnt=2, fwd_urg_flags=1, bwd_urg_flags=1, urg_flag_cnt=2, fwd_psh_flags=1,
                    cwr_flag_count=1)

    def test_window_is_the_first_that_is_not_zero(self):
        row = self.row((1, tcp(window=0)), (2, tcp(window=7)), (3, tcp(window=9)), (4, tcp(back=True, window=0)),
                       (5, tcp(back=True, window=3)))
        self.expect(row, init_fwd_win_byts=7, init_bwd_win_byts=3)

    def test_subflows_are_totals(self):
        row = self.row((1, udp()), (5, udp(back=True)), (9, udp()))
        self.expect(row, subflow_fwd_pkts=3, subflow_bwd_pkts=1, subflow_fwd_byts=156, subflow_bwd_byts=52)

    # ---- bulks ----

    def test_bulk_has_the_first_packet_once(self):
        # Unlike in the lists. Four packets of 10 bytes in 0.4 s are a bulk; three are not.
        row = self.row((1, udp()), (1.1, udp()), (1.2, udp()), (1.4, udp()))
        self.expect(row, fwd_byts_b_avg="40.0", fwd_pkts_b_avg="4.0", fwd_blk_rate_avg="1E+2", bwd_blk_rate_avg=0)
        self.expect(self.row((1, udp()), (1.1, udp()), (1.2, udp())), fwd_byts_b_avg=0, fwd_blk_rate_avg=0)

    def test_bulk_ends_after_a_second(self):
        self.expect(self.row((1, udp()), (2, udp()), (3, udp()), (4, udp())), fwd_pkts_b_avg="4.0",
                    fwd_blk_rate_avg="13.33333333333333333333333333")
        self.expect(self.row((1, udp()), (2, udp()), (3, udp()), (4.000001, udp())), fwd_pkts_b_avg=0)

    def test_bulk_goes_on_by_its_last_gap(self):
        # 4 packets in 0.4 s, then 0.1 s with a fifth: 50 bytes in 0.5 s, 5 packets.
        row = self.row((1, udp()), (1.1, udp()), (1.2, udp()), (1.4, udp()), (1.5, udp()))
        self.expect(row, fwd_byts_b_avg="50.0", fwd_pkts_b_avg="5.0", fwd_blk_rate_avg="1E+2")

    def test_bulk_is_ended_by_a_later_packet_of_the_other_direction(self):
        rest = [(1.1, udp()), (1.2, udp()), (1.3, udp())]
        # At the very time of the candidate's start it does not end it; a microsecond later it does.
        self.expect(self.row((1, udp()), (1, udp(back=True)), *rest), fwd_pkts_b_avg="4.0")
        self.expect(self.row((1, udp()), (1.000001, udp(back=True)), *rest), fwd_pkts_b_avg=0)
        # Neither a packet with an earlier time ends it, nor one without payload.
        self.expect(self.row((1, udp()), (0.5, udp(back=True)), *rest), fwd_pkts_b_avg="4.0")
        self.expect(self.row((1, udp()), (1.05, udp(0, back=True)), *rest), fwd_pkts_b_avg="4.0")

    def test_bulk_at_the_epoch_never_begins(self):
        # Time 0 means "no candidate": each packet starts a new one.
        self.expect(self.row(*[(0, udp())] * 6), fwd_pkts_b_avg=0)

    def test_bulk_rate_is_a_decimal(self):
        def rate(text, *timed):
            self.expect(self.row(*timed), fwd_blk_rate_avg=text)
        # 60 / 3 and 40 / 5 bytes per microsecond; the exponent is raised to that of the microseconds at most.
        rate("2.0E+7", (1, udp(15)), (1, udp(15)), (1.000001, udp(15)), (1.000003, udp(15)))
        rate("8E+6", (1, udp()), (1, udp()), (1.000001, udp()), (1.000005, udp()))
        # 40 / 0.7 to 28 digits, 719 / 2, and 40 / -0.4: the clock steps back.
        rate("57.14285714285714285714285714", (1, udp()), (1.2, udp()), (1.5, udp()), (1.7, udp()))
        rate("359.5", (1, udp(179)), (2, udp(180)), (2.5, udp(180)), (3, udp(180)))
        rate("-1E+2", (2, udp()), (1.8, udp()), (1.7, udp()), (1.6, udp()))
        rate("0", (2, udp()), (1.8, udp()), (1.7, udp()), (2, udp()))

    # ---- keys ----

    def test_protocol_is_not_in_the_key(self):
        row = self.row((1, udp(ports=(4000, 80))), (2, tcp(SYN | PSH, ports=(4000, 80))), (3, tcp(FIN, back=True)))
        self.expect(row, protocol=17, tot_fwd_pkts=3, tot_bwd_pkts=1, syn_flag_cnt=1, fin_flag_cnt=1, psh_flag_cnt=1,
                    init_fwd_win_byts=1024)

    def test_icmp_type_and_identifier_are_as_ports(self):
        row = self.row((1, icmp(8, 80)), (2, tcp(SYN, ports=(8, 80))))
        self.expect(row, protocol=1, src_port=-1, dst_port=-1, tot_fwd_pkts=3, syn_flag_cnt=-1, fwd_psh_flags=-1,
                    cwr_flag_count=-1, init_fwd_win_byts=-1)
        row = self.row((1, tcp(SYN, ports=(8, 80))), (2, icmp(8, 80)))
        self.expect(row, protocol=6, src_port=8, dst_port=80, tot_fwd_pkts=3, syn_flag_cnt=2)

    def test_icmp_without_identifier_agrees_with_no_port(self):
        rows = self.rows((1, icmp(3)), (2, udp(ports=(3, 0))), (3, icmp(3, 99)))
        self.expect_flows(rows, (-1, -1, 3, 0), (3, 0, 2, 0))

    def test_echo_reply_finds_its_request_only(self):
        self.expect(self.row((1, icmp(8)), (2, icmp(0, back=True))), tot_fwd_pkts=2, tot_bwd_pkts=1)
        rows = self.rows((1, icmp(0, back=True)), (2, icmp(8)), (3, icmp(0, back=True)))
        # The reply finds its own flow first.
        self.assertEqual([(r["src_ip"], r["tot_fwd_pkts"], r["tot_bwd_pkts"]) for r in rows],
                         [(SERVER, "3", "0"), (CLIENT, "2", "0")])
        self.assertEqual(len(self.rows((1, icmp(8, 1)), (2, icmp(8, 2)), (3, icmp(13, 1)))), 3)

    # ---- time-outs and collections ----

    def test_fin_and_rst_end_nothing(self):
        row = self.row((1, tcp(SYN)), (2, tcp(FIN)), (3, tcp(FIN, back=True)), (4, tcp(4)), (5, tcp(SYN)))
        self.expect(row, tot_fwd_pkts=5, tot_bwd_pkts=1, fin_flag_cnt=2, rst_flag_cnt=1, syn_flag_cnt=3)

    def test_timeout_is_240_seconds(self):
        # A packet 240 s after the last one belongs to the flow. The collection then takes the flow, because it is so
        # long.
        self.expect_flows(self.rows((1, udp()), (241, udp())), (4000, 53, 3, 0))
        self.expect_flows(self.rows((1, udp()), (241.000001, udp())), (4000, 53, 2, 0), (4000, 53, 2, 0))

    def test_timeout_counts_from_the_greatest_time(self):
        # The clock steps back in between: 300 is 200 s after the latest time, not 299 s.
        self.expect_flows(self.rows((100, udp()), (1, udp()), (300, udp())), (4000, 53, 4, 0))

    def test_timeout_is_that_of_the_packets_protocol(self):
        # An ICMP packet on a flow that TCP opened has ICMP's 60 s. A TCP packet on one that ICMP opened has TCP's 240
        # s.
        self.assertEqual(len(self.rows((1, tcp(ports=(8, 80))), (61.000001, icmp(8, 80)))), 2)
        self.assertEqual(len(self.rows((1, icmp(8, 80)), (61.000001, tcp(ports=(8, 80))))), 1)
        self.assertEqual(len(self.rows((1, icmp(8)), (61, icmp(8)))), 1)

    def test_flow_after_a_timeout_keeps_the_orientation(self):
        rows = self.rows((1, tcp()), (2, tcp(back=True)), (300, tcp(back=True)), (301, tcp()))
        self.expect_flows(rows, (4000, 80, 2, 1), (4000, 80, 1, 2))

    def test_flow_without_forward_packets_is_left_out(self):
        data = capture.pcap([(t, ethernet(p)) for t, p in [(1, tcp()), (300, tcp(back=True)), (301, udp())]])
        done = self.run_on(data)
        self.assertEqual(done.csv.count(b"\r\n"), 1 + 2)
        self.assertIn("left_out=1", done.err)
        self.assertIn("1 flows without a forward packet were left out (1 packets)", "\n".join(done.warnings))

    def test_numbered_flows_of_a_key(self):
        # The packet 500 s later opens number 1. The one back in time belongs to the first flow. The packet at 600 is
        # more than 240 s after that one, but not more than 480 s after number 1.
        rows = self.rows((1, udp()), (501, udp(20)), (100, udp(30)), (600, udp(40)))
        # The last packet's flow is 99 s long, below 120: nothing is collected before the end.
        self.expect_flows(rows, (4000, 53, 3, 0), (4000, 53, 3, 0))
        self.expect(rows[0], totlen_fwd_pkts=52 + 52 + 72)
        self.expect(rows[1], totlen_fwd_pkts=62 + 62 + 82)

    def test_time_out_grows_with_the_number(self):
        # The packet at 900 is more than 240 s after 1, but not more than 480 s after 501. So it belongs to number 1,
        # although it comes 399 s later.
        self.expect_flows(self.rows((1, udp()), (501, udp()), (900, udp())), (4000, 53, 2, 0), (4000, 53, 3, 0))

    def test_collection_takes_idle_flows_at_240_seconds(self):
        # 999 packets of another flow come within a second of the collection. The idle flow is written first, because it
        # is first in the table. At 239.999999 s it stays, and is written with the others at the end, again first. A
        # packet on its key after the collection shows the difference: it opens a new flow, or number 1.
        def rows(seconds):
            fill = [(1 + seconds, udp(ports=(9, 9)))] * 999
            return self.rows((1, udp()), *fill, (1.5 + seconds, udp(back=True)))
        self.expect_flows(rows(240), (4000, 53, 2, 0), (9, 9, 1000, 0), (53, 4000, 2, 0))
        # Not collected, so the packet from the other end keeps the orientation and its flow is left out.
        self.expect_flows(rows(239.999999), (4000, 53, 2, 0), (9, 9, 1000, 0))

    def test_collection_takes_long_flows(self):
        def rows(kind, seconds, again):
            fill = [(1 + seconds, udp(ports=(9, 9)))] * 998
            return self.rows((1, kind), (1 + seconds, kind), *fill, (2 + seconds, again))
        self.expect_flows(rows(udp(), 90, udp()), (4000, 53, 3, 0), (9, 9, 999, 0), (4000, 53, 2, 0))
        self.expect_flows(rows(udp(), 89.999999, udp()), (4000, 53, 4, 0), (9, 9, 999, 0))
        self.expect_flows(rows(icmp(8), 30, icmp(8)), (-1, -1, 3, 0), (9, 9, 999, 0), (-1, -1, 2, 0))
        self.expect_flows(rows(icmp(8), 29.999999, icmp(8)), (-1, -1, 4, 0), (9, 9, 999, 0))

    def test_collection_takes_idle_icmp_flows_at_60_seconds(self):
        def rows(seconds):
            fill = [(1 + seconds, udp(ports=(9, 9)))] * 999
            return self.rows((1, icmp(8)), *fill, (1 + seconds, icmp(8)))
        self.assertEqual([r["tot_fwd_pkts"] for r in rows(60)], ["2", "1000", "2"])
        self.assertEqual([r["tot_fwd_pkts"] for r in rows(59.999999)], ["3", "1000"])

    def test_collection_counts_packets_that_are_taken(self):
        # An ARP frame and a later fragment do not count: the 1000th packet is the last but one here.
        fragment = changed(udp(), at7=1)
        frames = [(1, ethernet(udp())), (91, ethernet(udp()))]
        frames += [(91, ethernet(bytes(28), 0x0806)), (91, ethernet(fragment))]
        frames += [(91, ethernet(udp(ports=(9, 9))))] * 998 + [(91, ethernet(udp()))]
        rows = self.rows_of(capture.pcap(frames))
        self.expect_flows(rows, (4000, 53, 3, 0), (9, 9, 999, 0), (4000, 53, 2, 0))

    def test_long_flow_makes_a_collection(self):
        # A flow longer than 120 s is taken, and with it all flows that are idle or 90 s long, in table order.
        rows = self.rows((1, udp(ports=(1, 1))), (2, udp(ports=(2, 2))), (3, udp(ports=(3, 3))),
                         (95, udp(ports=(3, 3))), (122.000001, udp(ports=(2, 2))), (123, udp(ports=(2, 2))),
                         (124, udp(ports=(3, 3))))
        self.expect_flows(rows, (2, 2, 3, 0), (3, 3, 3, 0), (1, 1, 2, 0), (2, 2, 2, 0), (3, 3, 2, 0))
        # Exactly 120 s is not enough.
        rows = self.rows((1, udp(ports=(1, 1))), (2, udp(ports=(2, 2))), (122, udp(ports=(2, 2))))
        self.expect_flows(rows, (1, 1, 2, 0), (2, 2, 3, 0))

    def test_collections_time_is_the_packets(self):
        # A clock that steps back: at the time of the 1000th packet nothing is idle.
        late = [(1000, udp(ports=(9, 9)))] * 998
        rows = self.rows((1, udp()), *late, (2, udp(ports=(9, 9))), (3, udp()))
        self.expect_flows(rows, (4000, 53, 3, 0), (9, 9, 1000, 0))

    # ---- frames ----

    def test_only_plain_ipv4(self):
        vlan = ethernet(struct.pack(">HH", 100, 0x0800) + udp(), 0x8100)
        others = [ethernet(capture.ipv4(protocol, bytes(20))) for protocol in (47, 58)]
        self.assertEqual(self.taken(ethernet(udp()), vlan, ethernet(udp(), 0x86DD), *others), [True] + [False] * 4)
        # The version nibble is ignored.
        self.assertEqual(self.taken(ethernet(changed(udp(), at0=0x65))), [True])

    def test_later_fragments_are_ignored(self):
        first, later = changed(udp(), at6=0x20), changed(udp(), at6=0x20, at7=1)
        self.assertEqual(self.taken(ethernet(first), ethernet(later)), [True, False])

    def test_link_types(self):
        ip = udp()
        four, six = b"\x08\0", b"\x86\xdd"
        self.assertEqual(self.taken(*(bytes(14) + kind + ip for kind in (four, six)), link_type=113), [True, False])
        self.assertEqual(self.taken(*(kind + bytes(18) + ip for kind in (four, six)), link_type=276), [True, False])
        # Raw IP: the version is looked at here.
        self.assertEqual(self.taken(ip, changed(ip, at0=0x65), link_type=12), [True, False])
        self.assertEqual(self.taken(ip, changed(ip, at0=0x65), link_type=228), [True, True])
        # The family: in the file's byte order (null), in network order (loop).
        little, big = b"\x02\0\0\0" + ip, b"\0\0\0\x02" + ip
        self.assertEqual(self.taken(little, big), [False, False])
        self.assertEqual(self.taken(little, big, link_type=0), [True, False])
        self.assertEqual(self.taken(little, big, link_type=0, order=">"), [False, True])
        self.assertEqual(self.taken(little, big, link_type=108), [False, True])

    def test_link_types_that_cannot_be_filtered(self):
        for link_type in (101, 14, 229, 9, 105, 1 | 1 << 28):
            done = self.run_on(pcap([(1, 0, udp() if link_type != 1 | 1 << 28 else ethernet(udp()))], link_type))
            self.assertEqual(done.csv, b"", link_type)
            self.assertIn("link_type=1 ", done.err)
            self.assertEqual(len(done.warnings), 1, done.err)

    def test_tcp_of_few_bytes(self):
        sizes = [n for n in range(24) if self.taken(ethernet(capture.ipv4(6, tcp()[20:] + bytes(4))[:20 + n]))[0]]
        self.assertEqual(sizes, [2, 4, 8, 12, 14, 16, 18, 20, 21, 22, 23])
        self.expect(self.row((1, tcp(FIN, window=77)[:22])), src_port=4000, dst_port=80, syn_flag_cnt=2, fin_flag_cnt=0,
                    init_fwd_win_byts=8192, fwd_act_data_pkts=0)
        self.expect(self.row((1, tcp(FIN, window=77, ports=(4000, 81))[:24])), dst_port=81, syn_flag_cnt=2)
        self.expect(self.row((1, tcp(FIN, window=77)[:34])), fin_flag_cnt=2, syn_flag_cnt=0, init_fwd_win_byts=8192)
        self.expect(self.row((1, tcp(FIN, window=77)[:36])), init_fwd_win_byts=77)

    def test_tcp_data_offset(self):
        # 24 bytes after the IP header. With an offset up to 5, 20 of them are header; from 6 on, all are.
        for offset, data in ((0, 2), (4, 2), (5, 2), (6, 0), (15, 0)):
            self.expect(self.row((1, changed(tcp(payload=4), at32=offset << 4))), fwd_act_data_pkts=data)
        self.expect(self.row((1, changed(tcp(), at32=4 << 4))), fwd_act_data_pkts=0)

    def test_udp_and_icmp_of_few_bytes(self):
        sizes = [n for n in range(12) if self.taken(ethernet(udp()[:20 + n]))[0]]
        self.assertEqual(sizes, [6, 8, 9, 10, 11])

        def sizes_of(kind):
            data = icmp(kind, payload=20)
            return [n for n in range(22) if self.taken(ethernet(data[:20 + n]))[0]]
        whole = list(range(8, 22))
        self.assertEqual(sizes_of(8), [1, 2, 4, 6] + whole)
        self.assertEqual(sizes_of(3), [1, 2, 4, 5, 6] + whole)
        self.assertEqual(sizes_of(5), [1, 2, 4] + whole)
        self.assertEqual(sizes_of(17), [1, 2, 4, 6, 8] + list(range(12, 22)))
        self.assertEqual(sizes_of(13), [1, 2, 4, 6, 8, 12, 16, 20, 21])

    def test_icmp_payload_is_after_the_types_header(self):
        for kind, header in ((8, 8), (5, 8), (17, 12), (13, 20)):
            self.expect(self.row((1, icmp(kind, payload=header - 8))), fwd_act_data_pkts=0)
            self.expect(self.row((1, icmp(kind, payload=header - 7))), fwd_act_data_pkts=2)

    def test_icmp_identifier_that_was_not_captured_is_0(self):
        row = self.row((1, icmp(8, 7)[:24]), (2, icmp(8, 0)))
        self.expect(row, tot_fwd_pkts=3)

    def test_header_length_below_5(self):
        # IHL 4: the transport header is the last 4 bytes of everything after the first 20, here the UDP payload: too
        # short for UDP, but enough for TCP, whose ports they are.
        body = bytes(16) + struct.pack(">HH", 1234, 5678)
        self.assertEqual(self.taken(ethernet(changed(capture.ipv4(17, body), at0=0x44))), [False])
        self.expect(self.row((1, changed(capture.ipv4(6, body), at0=0x44))), src_port=1234, dst_port=5678,
                    fwd_header_len=32, fwd_seg_size_min=16)

    # ---- time ----

    def test_timestamp_is_cut_to_seconds(self):
        self.expect(self.rows_of(pcap([(86399, 999_999, ethernet(udp()))]))[0], timestamp="1970-01-01 23:59:59")
        self.expect(self.rows_of(pcap([(0xFFFFFFFF, 999_999, ethernet(udp()))]))[0], timestamp="2106-02-07 06:28:15")
        # Microseconds are added as they stand.
        self.expect(self.rows_of(pcap([(0, 3_000_001, ethernet(udp()))]))[0], timestamp="1970-01-01 00:00:03")

    def test_nanoseconds_are_cut_and_signed(self):
        frame = ethernet(udp())

        def duration(second, third):
            data = pcap([(1, 0, frame), (*second, frame), (*third, frame)], nanoseconds=True)
            return self.rows_of(data)[0]["flow_duration"]
        self.assertEqual(duration((1, 1999), (1, 1000)), "1e-06")
        self.assertEqual(duration((1, 999), (1, 1)), "0.0")
        # -1 / 1000 is 0; -2000 / 1000 is -2, which as an unsigned number is 4294.967294 s.
        self.assertEqual(duration((1, 0xFFFFFFFF), (1, 0)), "0.0")
        rows = self.rows_of(pcap([(1, 0, frame), (0, (1 << 32) - 2000, frame)], nanoseconds=True))
        self.assertEqual([r["timestamp"] for r in rows], ["1970-01-01 00:00:01", "1970-01-01 01:11:34"])

    def test_pcapng_seconds_have_32_bits(self):
        frame = ethernet(udp())
        data = section() + interface(offset=-10) + enhanced(3.5, frame)
        self.expect(self.rows_of(data)[0], timestamp="2106-02-07 06:28:09")  # 2^32 - 7 s
        data = section() + interface(offset=1 << 33) + enhanced(3.5, frame)
        self.expect(self.rows_of(data)[0], timestamp="1970-01-01 00:00:03")

    def test_pcapng_ends_where_libpcap_does(self):
        frame = ethernet(udp())

        def packets(*between, order="<"):
            data = section() + interface() + enhanced(1, frame) + b"".join(between) + enhanced(2, frame, order)
            done = self.run_on(data)
            rows = done.csv.decode().split("\r\n")
            return int(rows[1].split(",")[COLUMNS.index("tot_fwd_pkts")]), len(done.warnings)
        continues, ends = (3, 0), (2, 1)
        self.assertEqual(packets(interface()), continues)
        self.assertEqual(packets(interface(snap=262144)), continues)
        self.assertEqual(packets(section(), interface()), continues)
        # Even if no packet belongs to that interface.
        self.assertEqual(packets(interface(113)), ends)
        self.assertEqual(packets(interface(snap=100)), ends)
        self.assertEqual(packets(section(), interface(113), section(), interface()), ends)
        self.assertEqual(packets(section(">"), interface(order=">"), order=">"), ends)
        for resolution, outcome in ((19, continues), (20, ends), (0x80 + 63, continues), (0x80 + 64, ends)):
            self.assertEqual(packets(interface(resolution=resolution)), outcome, resolution)

    def test_files_that_libpcap_refuses(self):
        frame = ethernet(udp())
        for version, rows in (((2, 4), 1), ((2, 0), 1), ((543, 0), 1), ((2, 5), 0), ((1, 0), 0)):
            self.assertEqual(len(self.rows_of(pcap([(1, 0, frame)], version=version))), rows, version)


class Arithmetic(PythonCase):
    def test_long_flows_add_up_as_numpy_does(self):
        # More gaps than one buffer of numpy (8192): blocks of 8, halves and buffers all occur.
        for packets in (130, 1000, 9001, 20_011):
            r = random.Random(packets)
            time, frames = 1_000_000, []
            for _ in range(packets):
                time += r.randrange(4000)
                frames.append((*divmod(time, 1_000_000), ethernet(udp(r.randrange(1000), r.random() < 0.4))))
            data = pcap(frames)
            self.assertEqual(self.run_on(data).csv, python_cicflowmeter.csv_of(data), f"{packets} packets")


class RandomCaptures(PythonCase):
    def test_equal_to_the_model(self):
        first = int(os.environ.get("FLOWMETER_SEED", random.SystemRandom().randrange(1 << 32)))
        rows = left_out = 0
        for seed in range(first, first + 60):
            data = random_captures.capture(seed)
            session = python_cicflowmeter.session_of(data)
            rows += len(session.rows)
            left_out += session.left_out
            done = self.run_on(data)
            self.assertEqual(done.csv, python_cicflowmeter.csv_of(data), f"FLOWMETER_SEED={seed}")
            self.assertEqual(f"left_out={session.left_out}" in done.err, session.left_out > 0, done.err)
        print(f"{rows} rows, {left_out} left out, of 60 captures from FLOWMETER_SEED={first}")
        self.assertGreater(rows, 1000)
