# SPDX-License-Identifier: BSD-3-Clause
"""The column community_id against an independent implementation: communityid, of the authors of Community ID. (Its published
vectors are in tests/unit/features/community_id_test.cpp.)"""
import random

import flowmeter
import pytest

import packets

communityid = pytest.importorskip("communityid", reason="PyPI's communityid is not installed")

LABEL = "environment"
ENVIRONMENTS = "newest"
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58


def addresses(rng, version):
    """Two addresses; sometimes they are equal, or differ in one byte only."""
    size = 4 if version == 4 else 16
    one = rng.randbytes(size)
    at = rng.randrange(size)
    other = rng.choice((rng.randbytes(size), one, one[:at] + rng.randbytes(1) + one[at + 1:]))
    return (packets.socket.inet_ntop(packets.socket.AF_INET if version == 4 else packets.socket.AF_INET6, each)
            for each in (one, other))


def generated(rng):
    """(frame, the packet's tuple) of every type of ICMP and ICMPv6 with several codes, and of TCP and UDP."""
    kinds = [(protocol, kind, code) for protocol in (ICMP, ICMPV6) for kind in range(256)
             for code in (0, 1, rng.randrange(256), 255)]
    kinds += [(protocol, rng.choice((0, 1, 53, 65535, rng.randrange(65536))), rng.choice((0, 53, 65535, rng.randrange(65536))))
              for protocol in (TCP, UDP) for _ in range(1000)]
    rng.shuffle(kinds)
    for protocol, source_port, destination_port in kinds:
        version = {ICMP: 4, ICMPV6: 6}.get(protocol, rng.choice((4, 6)))
        source, destination = addresses(rng, version)
        if protocol == TCP:
            body = packets.tcp(packets.SYN, sport=source_port, dport=destination_port)
        elif protocol == UDP:
            body = packets.udp(sport=source_port, dport=destination_port)
        else:
            body = packets.icmp(source_port, code=destination_port, identifier=rng.randrange(65536))
        if version == 4:
            frame = packets.ethernet(packets.ipv4(protocol, body, source, destination))
        else:
            frame = packets.ethernet(packets.ipv6(protocol, body, source, destination), 0x86DD)
        yield frame, communityid.FlowTuple(protocol, source, destination, source_port, destination_port)


@pytest.mark.parametrize("seed", [0, 1, 65535])
def test_generated_packets(tmp_path, seed):
    rng = random.Random(20240607 + seed)
    frames, tuples = zip(*generated(rng))
    path = tmp_path / "x.pcap"
    # A minute apart, so that each packet is a flow of its own.
    path.write_bytes(packets.pcap([(i * 61_000_000, frame) for i, frame in enumerate(frames)]))
    flows = list(flowmeter.read(path, fields="src_ip,protocol", extra="community_id", community_id_seed=seed, idle_timeout=60,
                                active_timeout=1e6, icmp_idle_timeout=60))
    assert len(flows) == len(tuples) == 2 * 256 * 4 + 2 * 1000
    expected = sorted(communityid.CommunityID(seed).calc(each) for each in tuples)
    assert sorted(flow["community_id"] for flow in flows) == expected
    assert len(set(expected)) > 3500


def test_a_reply_has_the_id_of_its_request(tmp_path):
    """Also where our flow key tells them apart."""
    rows = []
    pairs = [(ICMP, 4, *pair) for pair in ((8, 0), (10, 9), (13, 14), (15, 16), (17, 18))]
    pairs += [(ICMPV6, 6, *pair) for pair in ((128, 129), (130, 131), (133, 134), (135, 136), (139, 140), (144, 145))]
    for protocol, version, request, reply in pairs:
        ends = ("10.0.0.1", "10.0.0.2") if version == 4 else ("2001:db8::1", "2001:db8::2")
        for kind, source, destination in ((request, *ends), (reply, *ends[::-1])):
            body = packets.icmp(kind, identifier=request)
            frame = packets.ipv4(protocol, body, source, destination) if version == 4 else packets.ipv6(
                protocol, body, source, destination)
            rows.append((len(rows), packets.ethernet(frame, 0x0800 if version == 4 else 0x86DD)))
    path = tmp_path / "x.pcap"
    path.write_bytes(packets.pcap(rows))
    ids = [flow["community_id"] for flow in flowmeter.read(path, fields="community_id")]
    assert len(ids) == 2 * len(pairs) - 2, "echoes are one flow"
    expected = {communityid.CommunityID().calc(communityid.FlowTuple(
        protocol, *(("10.0.0.1", "10.0.0.2") if version == 4 else ("2001:db8::1", "2001:db8::2")), request, reply))
        for protocol, version, request, reply in pairs}
    assert set(ids) == expected and len(expected) == len(pairs)
