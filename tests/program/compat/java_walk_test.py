# SPDX-License-Identifier: BSD-3-Clause
"""--compat java: how the original walks through headers, with the cells worked out by hand."""
from java_cases import JavaCase, OTHER_ID, START, TCP_ID, UDP_ID, struct_vlans
from packets import ACK, pcap, ethernet, icmp, ipv4, ipv6, l2tp, llc, ppp, snap, tcp, udp, vlan


class JavaWalk(JavaCase):
    """Which packet a frame is: (claim, frame, flow, header length, payload length)."""

    def check_all(self, table):
        for claim, frame, *expected in table:
            with self.subTest(claim):
                self.assertEqual(self.identity(frame), tuple(expected) if expected else None)

    def test_layers(self):
        some = tcp(ACK, b"abc")
        self.check_all([
            ("TCP", ethernet(ipv4(6, some)), TCP_ID, 20, 3),
            ("TCP options are header", ethernet(ipv4(6, tcp(ACK, b"abc", data_offset=6, options=b"\1\1\1\1"))), TCP_ID, 24, 3),
            ("UDP", ethernet(ipv4(17, udp(b"abcd"))), UDP_ID, 8, 4),
            ("the UDP length is not looked at", ethernet(ipv4(17, udp(b"abcd")[:4] + b"\0\x09\0\0abcd")), UDP_ID, 8, 4),
            ("padding after Ethernet is cut off", ethernet(ipv4(6, some)).ljust(80, b"\0"), TCP_ID, 20, 3),
            ("padding after VLAN is payload", vlan(ipv4(6, some)).ljust(80, b"\0"), TCP_ID, 20, 22),
            ("padding after LLC and SNAP is payload up to the length",
             ethernet(llc(snap(ipv4(6, some))) + b"\0\0", 14 + 51 + 2).ljust(90, b"\0"), TCP_ID, 20, 3 + 2),
            ("provider VLAN", vlan(ipv4(6, some), tag_type=0x88A8), TCP_ID, 20, 3),
            ("old provider VLAN", vlan(ipv4(6, some), tag_type=0x9100), TCP_ID, 20, 3),
            ("VLAN in VLAN", vlan(b"\0\1\x08\0" + ipv4(6, some), 0x8100), TCP_ID, 20, 3),
            ("VLAN with LLC", vlan(llc(snap(ipv4(6, some))), 51), TCP_ID, 20, 3),
            ("LLC with a control field of two bytes", ethernet(llc(b"\0" + snap(ipv4(6, some)), 0), 14 + 52), TCP_ID, 20, 3),
            ("… of one byte by its lowest bit", ethernet(llc(snap(ipv4(6, some)), 1), 14 + 51), TCP_ID, 20, 3),
            ("LLC without SNAP", ethernet(b"\0\0\3" + snap(ipv4(6, some)), 14 + 51)),
            ("SNAP of an organisation", ethernet(llc(b"\0\0\1" + snap(ipv4(6, some))[3:]), 14 + 51)),
            ("MPLS is not opened", ethernet(b"\0\0\1\x40" + ipv4(6, some), 0x8847)),
            ("version is not looked at", ethernet(b"\x65" + ipv4(6, some)[1:]), TCP_ID, 20, 3),
            ("no GRE", ethernet(ipv4(47, b"\0\0\x08\0" + ipv4(6, some))), OTHER_ID, 0, 0),
            ("no IPv6 in IPv4", ethernet(ipv4(41, ipv6(6, some))), OTHER_ID, 0, 0),
            ("ICMP echo has no protocol", ethernet(ipv4(1, icmp(8, b"abc"))), OTHER_ID, 0, 0),
            ("SCTP has no protocol", ethernet(ipv4(132, bytes(12) + b"\0\0\0\x10" + bytes(12))), OTHER_ID, 0, 0),
            ("IPv6 is no packet", ethernet(ipv6(6, some), 0x86DD)),
        ])

    def test_headers_of_different_layers(self):
        inner = ipv4(6, tcp(ACK, b"abc", 1, 2), "1.1.1.1", "2.2.2.2")
        inner_udp = ipv4(17, udp(b"abc", 1, 2), "1.1.1.1", "2.2.2.2")
        tunnel = "10.0.0.1-10.0.0.2-1-2-6"
        self.check_all([
            ("ICMP unreachable", ethernet(ipv4(1, icmp(3, inner_udp))), "10.0.0.1-10.0.0.2-1-2-17", 8, 3),
            ("ICMP parameter problem", ethernet(ipv4(1, icmp(12, inner))), tunnel, 20, 3),
            ("ICMP time exceeded is not opened", ethernet(ipv4(1, icmp(11, inner))), OTHER_ID, 0, 0),
            ("ICMP unreachable with 8 bytes of TCP", ethernet(ipv4(1, icmp(3, inner[:28]))), OTHER_ID, 0, 0),
            ("IP in IP", ethernet(ipv4(4, inner)), tunnel, 20, 3),
            ("TCP in L2TP beats its UDP", ethernet(ipv4(17, udp(l2tp(ppp(inner)), 9, 1701))), tunnel, 20, 3),
            ("UDP in L2TP does not", ethernet(ipv4(17, udp(l2tp(ppp(inner_udp)), 9, 1701))),
             "10.0.0.1-10.0.0.2-9-1701-17", 8, 6 + 4 + 31),
            ("L2TP by source port", ethernet(ipv4(17, udp(l2tp(ppp(inner)), 1701, 9))), tunnel, 20, 3),
            ("… unless to SIP", ethernet(ipv4(17, udp(l2tp(ppp(inner)), 1701, 5060))), "10.0.0.1-10.0.0.2-1701-5060-17", 8, 53),
            ("… or RTP", ethernet(ipv4(17, udp(l2tp(ppp(inner)), 1701, 5004))), "10.0.0.1-10.0.0.2-1701-5004-17", 8, 53),
            ("… or RTCP", ethernet(ipv4(17, udp(l2tp(ppp(inner)), 1701, 5005))), "10.0.0.1-10.0.0.2-1701-5005-17", 8, 53),
            ("L2TP with length, sequence and offset", ethernet(ipv4(17, udp(l2tp(ppp(inner), 0x4A02), 9, 1701))), tunnel, 20, 3),
            ("L2TP control", ethernet(ipv4(17, udp(l2tp(ppp(inner), 0x8002), 9, 1701))), "10.0.0.1-10.0.0.2-9-1701-17", 8, 53),
            ("L2TP over IP", ethernet(ipv4(115, l2tp(ppp(inner)))), tunnel, 20, 3),
            ("IPv6 in PPP", ethernet(ipv4(115, l2tp(ppp(ipv6(6, tcp(ACK, b"abc", 1, 2)), 0x57)))), tunnel, 20, 3),
            ("IPv4 in IPv6", ethernet(ipv6(4, inner), 0x86DD), "1.1.1.1-2.2.2.2-1-2-6", 20, 3),
            ("… after extension headers", ethernet(ipv6(0, b"\x3c\0" + bytes(6) + b"\4\1" + bytes(14) + inner), 0x86DD),
             "1.1.1.1-2.2.2.2-1-2-6", 20, 3),
            ("ICMP over IPv6", ethernet(ipv6(1, icmp(3, inner)), 0x86DD), "1.1.1.1-2.2.2.2-1-2-6", 20, 3),
        ])

    def test_extension_header_is_measured_twice(self):
        """The walk gives up if twice the offset of IPv6 plus its length is beyond the end. That is possible only far
        into the frame."""
        packet = ipv6(0, b"\4\x1f" + bytes(254) + ipv4(17, udp(b"")))
        self.assertEqual(self.identity(ethernet(packet, 0x86DD)), (UDP_ID, 8, 0))
        # At 14 + 160: 2 * 174 + 256 is more than 174 + 40 + 256 + 28.
        self.assertIsNone(self.identity(ethernet(struct_vlans(39) + b"\0\1\x86\xdd" + packet, 0x8100)))
        # At 14 + 40: 2 * 54 + 256 is not more than 54 + 40 + 256 + 28.
        self.assertEqual(self.identity(ethernet(struct_vlans(9) + b"\0\1\x86\xdd" + packet, 0x8100)), (UDP_ID, 8, 0))

    def test_lengths(self):
        some = tcp(ACK, b"x" * 100)
        self.check_all([
            ("total length 0 leaves no TCP", ethernet(ipv4(6, some, total=0)), OTHER_ID, 0, 0),
            ("total length beyond the frame", ethernet(ipv4(6, some, total=1500)), TCP_ID, 20, 100),
            ("first fragment", ethernet(ipv4(17, udp(b"abc"), fragment=0x2000)), UDP_ID, 8, 3),
            ("later fragment", ethernet(ipv4(17, udp(b"abc"), fragment=0x2001)), OTHER_ID, 0, 0),
            ("last fragment", ethernet(ipv4(17, udp(b"abc"), fragment=1)), OTHER_ID, 0, 0),
            ("19 bytes of TCP", ethernet(ipv4(6, some[:19])), OTHER_ID, 0, 0),
            ("7 bytes of UDP", ethernet(ipv4(17, udp()[:7])), OTHER_ID, 0, 0),
            ("TCP data offset 0", ethernet(ipv4(6, tcp(ACK, b"abc", data_offset=0))), OTHER_ID, 0, 0),
            ("TCP data offset 3: undecodable", ethernet(ipv4(6, tcp(ACK, b"abc", data_offset=3)))),
            ("TCP data offset 4", ethernet(ipv4(6, tcp(ACK, b"abc", data_offset=4))), TCP_ID, 16, 7),
            ("IPv4 header length 4: undecodable", ethernet(ipv4(6, some, ihl=4))),
            ("IPv4 header length 0", ethernet(ipv4(6, some, ihl=0))),
        ])
        frame = ethernet(ipv4(6, some))
        self.assertEqual(self.identity(frame[:94], len(frame)), (TCP_ID, 20, 40))  # captured payload only
        self.assertEqual(self.identity(frame, snap=64), (TCP_ID, 20, 10))  # libpcap leaves the rest

    def test_options(self):
        def with_options(options, body=udp(b"abc")):
            return ethernet(ipv4(17, body, ihl=5 + len(options) // 4, options=options))

        def tcp_option(options, size):
            return ethernet(ipv4(6, tcp(ACK, data_offset=size, options=options)))
        self.check_all([
            ("router alert", with_options(b"\x94\4\0\0"), UDP_ID, 8, 3),
            ("… goes on", with_options(b"\x94\1\1\7")),
            ("option 22 stops the walk", with_options(b"\x96\1\1\7"), UDP_ID, 8, 3),
            ("no operation", with_options(b"\1" * 8), UDP_ID, 8, 3),
            ("end", with_options(b"\0\7\7\7"), UDP_ID, 8, 3),
            ("an option of the header's length", with_options(b"\x44\4\1\2"), UDP_ID, 8, 3),
            ("out of step after an option: the end that follows it is stepped over", with_options(b"\x44\2\0\1\1\1\1\7")),
            ("an option in the last byte has no length", with_options(b"\1\1\1\7")),
            ("… and where the step is short, neither", with_options(b"\7\1\1\7")),
            ("unknown options stop the walk", with_options(b"\x1a\1\1\7"), UDP_ID, 8, 3),
            ("TCP options that were not captured", tcp_option(b"", 6)),
            ("TCP no operation alone", tcp_option(b"\1", 6), TCP_ID, 21, 0),
            ("TCP end of options alone", tcp_option(b"\0", 6), TCP_ID, 21, 0),
            ("TCP option without length", tcp_option(b"\2", 6)),
            ("TCP option with its length only", tcp_option(b"\2\4", 6), TCP_ID, 22, 0),
        ])

    def test_frame_as_raw_ip(self):
        """A frame without a usable IPv4 header is walked as if it started with one."""
        some = ipv4(6, tcp(ACK, b"abc"))
        arp = bytes.fromhex("0001080006040001") + bytes([2, 0, 0, 0, 0, 1]) + bytes([192, 0, 2, 1]) + bytes(10)
        self.check_all([
            ("raw IP", some, TCP_ID, 20, 3),
            ("no trailer is cut off there", some + b"\0" * 7, TCP_ID, 20, 10),
            ("broadcast ARP", ethernet(arp, 0x0806, b"\xff" * 6), "8.6.0.1-8.0.6.4-0-0-0", 0, 0),
            ("unicast ARP", ethernet(arp, 0x0806)),
            ("19 bytes", some[:19]),
        ])
        self.assertIn("taken_as_raw_ip=2 ", self.run_on(pcap([(START, some), (START + 1, some)])).err)

    def test_number_of_records(self):
        """The count is kept in a signed byte. Without TCP and UDP, 20 of them are too many for the log's headers."""
        def tagged(tags, body):
            return ethernet(struct_vlans(tags) + b"\0\1\x08\0" + body, 0x8100)
        some, other = ipv4(6, tcp(ACK, b"abc")), ipv4(1, icmp(8, b"abc"))
        self.check_all([
            # Ethernet, tags, IPv4, TCP, payload; Ethernet, tags, IPv4, ICMP, payload.
            ("127 records", tagged(122, some), TCP_ID, 20, 3),
            ("128 records: none is seen", tagged(123, some)),
            ("256 records: none is seen", tagged(251, some)),
            ("19 records without TCP and UDP", tagged(14, other), OTHER_ID, 0, 0),
            ("20 records without TCP and UDP", tagged(15, other)),
            ("20 records with TCP", tagged(15, some), TCP_ID, 20, 3),
        ])

    def test_second_walk_needs_a_seen_header(self):
        """It starts with a walk as L2TP, whose count of records must not become negative. That walk takes bytes 8 to 11
        of this raw IP packet as PPP, and the nested IPv4 headers start at byte 12."""
        def nested(headers):
            return (bytes.fromhex("45000000 00010000 40110021 45000000 00000000 40040000") + bytes(8) +
                    ipv4(4) * (headers - 1) + ipv4(59))
        # L2TP, PPP, IPv4 and the nested ones.
        self.assertEqual(self.identity(nested(124)), ("69.0.0.0-0.0.0.0-16388-0-17", 8, 4 + 20 * 124))
        self.assertIsNone(self.identity(nested(125)))

    def test_header_beyond_the_captured_bytes(self):
        """A total length below the header length hides that the header was not captured, until it is read."""
        frame = ethernet(ipv4(17, bytes(20), ihl=15, total=20))
        self.assertIsNone(self.identity(frame))
        self.assertEqual(self.identity(frame + bytes(20)), (OTHER_ID, 0, 0))

    def test_sctp_chunks_count(self):
        def chunks(count):
            return ethernet(ipv4(132, bytes(12) + b"\3\0\0\4" * count))
        self.assertEqual(self.identity(chunks(16)), (OTHER_ID, 0, 0))  # Ethernet, IPv4, SCTP, 16 chunks
        self.assertIsNone(self.identity(chunks(17)))
        self.assertEqual(self.identity(ethernet(ipv4(132, bytes(12) + b"\0\0\0\4" + b"\3\0\0\4" * 17))), (OTHER_ID, 0, 0))
        # A length of 0, or of 3 (rounded up to 4).
        self.assertEqual(self.identity(ethernet(ipv4(132, bytes(12) + b"\3\0\0\0" * 17))), (OTHER_ID, 0, 0))
        self.assertIsNone(self.identity(ethernet(ipv4(132, bytes(12) + b"\3\0\0\3" * 17))))

    def test_wire_length_wraps(self):
        """An LLC length beyond the frame lengthens the wire; from 2**31 - 1 on it becomes negative, and nothing is left."""
        frame = ethernet(llc(snap(ipv4(6, tcp(ACK, b"abc")))), 1000)
        self.assertEqual(self.identity(frame, len(frame)), (TCP_ID, 20, 3))
        self.assertIsNone(self.identity(frame, 2**31 - 1))

    def test_link_type_is_ignored(self):
        frame = ethernet(ipv4(6, tcp(ACK, b"abc")))
        data = bytearray(pcap([(START, frame), (START + 1, frame)]))
        data[20] = 113
        self.assertEqual(len(self.run_on(bytes(data)).out.splitlines()), 2)

    def test_wire_below_captured(self):
        frame = ethernet(ipv4(6, tcp(ACK, b"abc")))
        self.assertIsNone(self.identity(frame, len(frame) - 1))
        self.assertIsNone(self.identity(frame, 2**31))
        self.assertEqual(self.identity(frame, 2**31 - 1), (TCP_ID, 20, 3))
