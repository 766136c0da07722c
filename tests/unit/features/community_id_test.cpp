// SPDX-License-Identifier: BSD-3-Clause
// Community ID, against the vectors that its specification and its reference implementation have
// (github.com/corelight/community-id-spec, baseline/, and github.com/corelight/pycommunityid,
// tests/). tests/program/outputs/community_id_test.py compares generated packets with the latter.
#include "features/community_id.h"

#include <gtest/gtest.h>

#include <vector>

#include "features/columns_extra.h"
#include "support/replay_rows.h"

namespace flowmeter {
namespace {

using testing::ipv4;
using testing::ipv6;
using testing::Packet;

std::vector<std::string> ids_of(const std::vector<Packet>& packets, uint16_t seed = 0,
                                uint64_t gap_ns = 1000,
                                uint64_t icmp_idle_timeout_ns = 60 * FM_SECOND_NS) {
  fm_settings settings = fm_default_settings();
  settings.icmp_idle_timeout_ns = icmp_idle_timeout_ns;
  const MeterIdentity meter("test", seed, MeterIdentity::kReplay);
  std::vector<testing::TimedFrame> frames;
  for (const Packet& packet : packets) frames.push_back(packet.at_ns(frames.size() * gap_ns));
  const auto replayed =
      testing::replay(frames, settings, testing::kRoomyLimits, columns_extra(), &meter);
  std::vector<std::string> ids;
  for (const testing::Row& row : replayed.rows) ids.push_back(row.text("community_id"));
  return ids;
}

struct Vector {
  uint8_t protocol;
  const char* source;
  const char* destination;
  uint16_t source_port;  // ICMP: the type
  uint16_t destination_port;
  const char* seed_0;
  const char* seed_1;
};

const Vector kVectors[] = {
    {58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 135, 0,
     "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=", "1:kHa1FhMYIT6Ym2Vm2AOtoOARDzY="},
    {58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 136, 0,
     "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=", "1:kHa1FhMYIT6Ym2Vm2AOtoOARDzY="},
    {58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 135, 0,
     "1:zavyT/cezQr1fmImYCwYnMXbgck=", "1:2hSqmsDZ2kdcY9kbiUzOEBic0iM="},
    {58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 136, 0,
     "1:zavyT/cezQr1fmImYCwYnMXbgck=", "1:2hSqmsDZ2kdcY9kbiUzOEBic0iM="},
    {58, "3ffe:501:1800:2345::2", "3ffe:507:0:1:200:86ff:fe05:80da", 3, 0,
     "1:2ObVBgIn28oZvibYZhZMBgh7WdQ=", "1:lVEtCZpYu84Xqaa++3lXFyuu2n4="},
    {58, "3ffe:501:410:0:2c0:dfff:fe47:33e", "3ffe:507:0:1:200:86ff:fe05:80da", 1, 4,
     "1:hLZd0XGWojozrvxqE0dWB1iM6R0=", "1:W8MHwXpWzpoSTD+cGcaJr4u0ys8="},
    {58, "3ffe:507:0:1:200:86ff:fe05:80da", "3ffe:501:0:1001::2", 128, 0,
     "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg=", "1:GfZxjAkDk2MkegpBYHV6tadtFXQ="},
    {58, "3ffe:501:0:1001::2", "3ffe:507:0:1:200:86ff:fe05:80da", 129, 0,
     "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg=", "1:GfZxjAkDk2MkegpBYHV6tadtFXQ="},
    {58, "fe80::200:86ff:fe05:80da", "ff02::2", 133, 0,
     "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0=", "1:L7Ka0ZMYu+J3bL4ulW2PrqyXNo8="},
    {58, "fe80::260:97ff:fe07:69ea", "ff02::1", 134, 0,
     "1:pkvHqCL88/tg1k4cPigmZXUtL00=", "1:K/ee5UCqAMAQXDorP5nSa2CGLjc="},
    {58, "3ffe:507:0:1:260:97ff:fe07:69ea", "3ffe:507:0:1:200:86ff:fe05:80da", 3, 0,
     "1:NdobDX8PQNJbAyfkWxhtL2Pqp5w=", "1:OlOWx9psIbBFi7lOCw/4MhlKR9M="},
    {58, "3ffe:507:0:1:200:86ff:fe05:80da", "3ffe:507:0:1:260:97ff:fe07:69ea", 3, 0,
     "1:/OGBt9BN1ofenrmSPWYicpij2Vc=", "1:Ij4ZxnC87/MXzhOjvH2vHu7LRmE="},
    {1, "192.168.0.89", "192.168.0.1", 8, 0,
     "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=", "1:03g6IloqVBdcZlPyX8r0hgoE7kA="},
    {1, "192.168.0.1", "192.168.0.89", 0, 8,
     "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=", "1:03g6IloqVBdcZlPyX8r0hgoE7kA="},
    {1, "192.168.0.1", "192.168.0.89", 0, 20,
     "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=", "1:03g6IloqVBdcZlPyX8r0hgoE7kA="},
    {1, "192.168.0.89", "192.168.0.1", 20, 0,
     "1:3o2RFccXzUgjl7zDpqmY7yJi8rI=", "1:lCXHHxavE1Vq3oX9NH5ladQg02o="},
    {1, "192.168.0.89", "192.168.0.1", 20, 1,
     "1:tz/fHIDUHs19NkixVVoOZywde+I=", "1:Ie3wmFyxiEyikbsbcO03d2nh+PM="},
    {1, "10.0.0.1", "10.0.0.2", 11, 0,
     "1:YHxtAirCG//0OzkcVAukqKQN9xM=", "1:XjUibYHaafLQ3pxQeiMI8g25q20="},
    {6, "2001:470:e5bf:dead:4957:2174:e82c:4887", "2607:f8b0:400c:c03::1a", 63943, 25,
     "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=", "1:eJYTW6AOzFLlSUoESovMjnu7rMw="},
    {6, "2607:f8b0:400c:c03::1a", "2001:470:e5bf:dead:4957:2174:e82c:4887", 25, 63943,
     "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=", "1:eJYTW6AOzFLlSUoESovMjnu7rMw="},
    {6, "128.232.110.120", "66.35.250.204", 34855, 80,
     "1:LQU9qZlK+B5F3KDmev6m5PMibrg=", "1:3V71V58M3Ksw/yuFALMcW0LAHvc="},
    {6, "66.35.250.204", "128.232.110.120", 80, 34855,
     "1:LQU9qZlK+B5F3KDmev6m5PMibrg=", "1:3V71V58M3Ksw/yuFALMcW0LAHvc="},
    {6, "10.0.0.1", "10.0.0.2", 10, 11569,
     "1:SXBGMX1lBOwhhoDrZynfROxnhnM=", "1:HmBRGR+fUyXF4t8WEtal7Y0gEAo="},
    {17, "192.168.1.52", "8.8.8.8", 54585, 53,
     "1:d/FP5EW3wiY1vCndhwleRRKHowQ=", "1:Q9We8WO3piVF8yEQBNJF4uiSVrI="},
    {17, "8.8.8.8", "192.168.1.52", 53, 54585,
     "1:d/FP5EW3wiY1vCndhwleRRKHowQ=", "1:Q9We8WO3piVF8yEQBNJF4uiSVrI="},
};

Packet packet_of(const Vector& v) {
  const bool is_v6 = std::string_view(v.source).find(':') != std::string_view::npos;
  Packet p = is_v6 ? ipv6(v.source, v.destination) : ipv4(v.source, v.destination);
  if (v.protocol == FM_TCP) return p.tcp(v.source_port, v.destination_port, FM_SYN);
  if (v.protocol == FM_UDP) return p.udp(v.source_port, v.destination_port);
  return p.icmp(static_cast<uint8_t>(v.source_port), static_cast<uint8_t>(v.destination_port), 7);
}

TEST(CommunityId, PublishedVectors) {
  for (const Vector& v : kVectors) {
    SCOPED_TRACE(std::string(v.source) + " " + v.destination + " " + std::to_string(v.source_port));
    EXPECT_EQ(ids_of({packet_of(v)}), std::vector<std::string>{v.seed_0});
    EXPECT_EQ(ids_of({packet_of(v)}, 1), std::vector<std::string>{v.seed_1});
  }
}

constexpr char kAsked[] = "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=";

TEST(CommunityId, OfAnEchoIsThatOfWhoAsks) {
  const Packet request = ipv4("192.168.0.89", "192.168.0.1").icmp(8, 0, 9);
  const Packet reply = ipv4("192.168.0.1", "192.168.0.89").icmp(0, 0, 9);
  const Packet counter_request = ipv4("192.168.0.1", "192.168.0.89").icmp(8, 0, 9);
  const std::vector<std::string> asked = {kAsked};
  EXPECT_EQ(ids_of({request, reply}), asked);
  EXPECT_EQ(ids_of({reply, request}), asked) << "also if the capture begins with the reply";
  EXPECT_EQ(ids_of({request, counter_request}), asked) << "the first packet decides";
  EXPECT_NE(ids_of({counter_request, request}), asked);
}

TEST(CommunityId, OfAMessageWithoutAReplyHasTheFirstCode) {
  const Packet first = ipv4("192.168.0.89", "192.168.0.1").icmp(20, 1);
  const Packet other_code = ipv4("192.168.0.89", "192.168.0.1").icmp(20, 0);
  const Packet other_way = ipv4("192.168.0.1", "192.168.0.89").icmp(20, 1);
  const std::vector<std::string> ids = {"1:tz/fHIDUHs19NkixVVoOZywde+I="};
  EXPECT_EQ(ids_of({first, other_code, other_way}), ids);
  EXPECT_NE(ids_of({other_way, first}), ids) << "it has a direction";
}

// An active time-out keeps the forward direction, but the next flow's first packet may be a reply.
TEST(CommunityId, StaysTheSameAfterAnActiveTimeout) {
  const Packet request = ipv4("192.168.0.89", "192.168.0.1").icmp(8, 0, 9);
  const Packet reply = ipv4("192.168.0.1", "192.168.0.89").icmp(0, 0, 9);
  std::vector<Packet> packets(36, request);  // of 50 s, so the 37 th is the first of the next flow
  packets.push_back(request);
  packets.push_back(reply);
  for (int i = 0; i < 40; i++) packets.push_back(i % 2 ? request : reply);
  const std::vector<std::string> ids = ids_of(packets, 0, 50 * FM_SECOND_NS);
  ASSERT_EQ(ids.size(), 3u);
  for (const std::string& id : ids) EXPECT_EQ(id, kAsked);
}

TEST(CommunityId, OfAFragmentedDatagramIsThatOfItsFirstFragment) {
  const auto udp = [] { return ipv4("192.168.1.52", "8.8.8.8").udp(54585, 53); };
  const Packet later = ipv4("192.168.1.52", "8.8.8.8").protocol(17).payload(20).last_fragment(3, 5);
  EXPECT_EQ(ids_of({udp().payload(16).first_fragment(5), later}), ids_of({udp()}));
}

// The flow ends by idling, and a later fragment begins the next one: type and code are those of its
// datagram's first fragment.
TEST(CommunityId, OfAFlowThatBeginsWithALaterFragment) {
  const Packet first =
      ipv4("192.168.0.89", "192.168.0.1").icmp(20, 1).payload(16).first_fragment(5);
  const Packet later =
      ipv4("192.168.0.89", "192.168.0.1").protocol(1).payload(8).last_fragment(3, 5);
  EXPECT_EQ(ids_of({first, later}, 0, 20 * FM_SECOND_NS),
            std::vector<std::string>{"1:tz/fHIDUHs19NkixVVoOZywde+I="});
  EXPECT_EQ(ids_of({first, later}, 0, 20 * FM_SECOND_NS, 10 * FM_SECOND_NS),
            std::vector<std::string>(2, "1:tz/fHIDUHs19NkixVVoOZywde+I="));
}

TEST(CommunityId, IsEmptyWithoutAMeter) {
  const auto replayed =
      testing::replay({ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).at_ns(0)}, fm_default_settings(),
                      testing::kRoomyLimits, columns_extra());
  for (const char* name : {"meter_id", "flow_id", "flow_key", "community_id"})
    EXPECT_EQ(replayed.rows.at(0).text(name), "");
}

}  // namespace
}  // namespace flowmeter
