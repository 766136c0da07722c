// SPDX-License-Identifier: BSD-3-Clause
// Segmentation offload: one buffer does to a flow what its segments do one by one.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "flowmeter/flow.h"

namespace flowmeter {
namespace {

constexpr uint32_t kHeaders = 54;  // Ethernet, IPv4, TCP

fm_packet buffer(uint32_t payload, uint16_t segment_bytes, uint8_t flags = FM_ACK) {
  fm_packet p{};
  p.key.protocol = FM_TCP;
  p.time_ns = 5 * FM_SECOND_NS;
  p.wire_length = kHeaders + payload;
  p.payload_bytes = payload;
  p.header_bytes = kHeaders - 14;
  p.window = 100;
  p.flags = flags;
  p.transport_header_bytes = 20;
  p.segment_bytes = segment_bytes;
  return p;
}

TEST(Segments, CountsWhatGoesOnTheWire) {
  struct Case {
    const char* claim;
    uint32_t payload;
    uint16_t segment_bytes;
    uint32_t segments;
  };
  const Case cases[] = {
      {"no segment size: one packet", 65000, 0, 1},
      {"no payload: one packet", 0, 1448, 1},
      {"payload of one segment: one packet", 1448, 1448, 1},
      {"one byte more: two packets", 1449, 1448, 2},
      {"whole segments", 14480, 1448, 10},
      {"a large IPv4 buffer", 65160, 1448, 45},
      {"big TCP", 150'000, 1428, 106},
  };
  for (const Case& c : cases) {
    const fm_packet p = buffer(c.payload, c.segment_bytes);
    EXPECT_EQ(fm_packet_segments(&p), c.segments) << c.claim;
  }
}

TEST(Segments, FlagsAreWhereSegmentationPutsThem) {
  const fm_packet p = buffer(2500, 1000, 0xff);  // three segments
  fm_flow f{};
  fm_flow_counters_begin(&f.counters, &p, {0, 0, 0});
  const fm_settings s = fm_default_settings();
  fm_flow_update(&f, &p, &s);
  const fm_direction_counters& d = f.counters.direction[0];
  EXPECT_EQ(d.length.count, 3u);
  EXPECT_EQ(d.flag_packets[0], 1u) << "FIN on the last only";
  EXPECT_EQ(d.flag_packets[1], 3u) << "SYN";
  EXPECT_EQ(d.flag_packets[2], 3u) << "RST";
  EXPECT_EQ(d.flag_packets[3], 1u) << "PSH on the last only";
  EXPECT_EQ(d.flag_packets[4], 3u) << "ACK";
  EXPECT_EQ(d.flag_packets[5], 3u) << "URG";
  EXPECT_EQ(f.counters.ece_packets[0], 3u);
  EXPECT_EQ(f.counters.cwr_packets[0], 1u) << "CWR on the first only";
  EXPECT_EQ(d.length.min, kHeaders + 500);
  EXPECT_EQ(d.length.max, kHeaders + 1000);
  EXPECT_EQ(d.length.sum, 3 * kHeaders + 2500);
  EXPECT_EQ(d.header_bytes, 3u * 40);
  EXPECT_EQ(d.payload_bytes, 2500u);
  EXPECT_EQ(d.payload_min, 500u);
  EXPECT_EQ(d.data_packets, 3u);
}

TEST(Segments, ABufferOfFourSegmentsIsABulkByItself) {
  const fm_packet p = buffer(4000, 1000);
  fm_flow f{};
  fm_flow_counters_begin(&f.counters, &p, {0, 0, 0});
  const fm_settings s = fm_default_settings();
  fm_flow_update(&f, &p, &s);
  EXPECT_EQ(f.timing.bulks[0].count, 1u);
  EXPECT_EQ(f.timing.bulks[0].packets, 4u);
  EXPECT_EQ(f.timing.bulks[0].bytes, 4000u);
  EXPECT_EQ(f.timing.bulks[0].duration_ns, 0u);
  EXPECT_EQ(f.timing.gaps.count, 3u);
  EXPECT_EQ(f.timing.gaps.max, 0u);
}

// The whole state after random buffers equals the state after their segments, byte for byte.
TEST(Segments, EqualTheirSegmentsOneByOne) {
  const auto seed = static_cast<unsigned>(std::random_device{}());
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const fm_settings s = fm_default_settings();
  fm_flow whole{}, parts{};
  uint64_t time_ns = FM_SECOND_NS;
  for (int i = 0; i < 5000; i++) {
    const auto segment_bytes = static_cast<uint16_t>(1 + random() % 1460);
    fm_packet p = buffer(static_cast<uint32_t>(random() % 65'000), segment_bytes,
                         static_cast<uint8_t>(random()));
    time_ns += random() % 3 == 0 ? random() % (2 * FM_SECOND_NS) : 0;
    p.time_ns = time_ns;
    p.direction = random() & 1;
    p.transport_header_bytes = random() % 4 != 0 ? 32 : 8;
    if (!fm_packet_has_tcp_header(&p)) p.flags = 0;
    if (i == 0) {
      fm_flow_counters_begin(&whole.counters, &p, {p.direction, 0, 0});
      fm_flow_counters_begin(&parts.counters, &p, {p.direction, 0, 0});
    }
    fm_flow_update(&whole, &p, &s);
    uint32_t left = p.payload_bytes;
    bool first = true;
    do {
      fm_packet segment = p;
      segment.segment_bytes = 0;
      segment.payload_bytes = std::min<uint32_t>(left, segment_bytes);
      segment.wire_length = kHeaders + segment.payload_bytes;
      if (!first) segment.flags &= static_cast<uint8_t>(~FM_CWR);
      if (left > segment_bytes) segment.flags &= static_cast<uint8_t>(~(FM_FIN | FM_PSH));
      fm_flow_update(&parts, &segment, &s);
      left -= segment.payload_bytes;
      first = false;
    } while (left > 0);
  }
  EXPECT_EQ(std::memcmp(&whole, &parts, sizeof(whole)), 0);
}

}  // namespace
}  // namespace flowmeter
