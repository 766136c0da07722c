// SPDX-License-Identifier: BSD-3-Clause
// flow_sizes.h against lists of sizes, added up by hand.
#include "flowmeter/flow_sizes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "flowmeter/flow.h"

namespace flowmeter {
namespace {

struct Sizes {
  fm_flow_counters counters{};
  fm_flow_sizes sizes{};

  void add(const fm_packet& p) {
    if (!counters.begun) fm_flow_counters_begin(&counters, &p, {0, 0, 0});
    fm_flow_sizes_update(&sizes, &counters, &p);
    fm_flow_counters_update(&counters, &p);
  }
};

fm_packet packet(uint8_t direction, uint32_t payload, uint8_t header, uint16_t segment = 0) {
  fm_packet p{};
  p.direction = direction;
  p.payload_bytes = payload;
  p.wire_length = payload + 100;
  p.transport_header_bytes = header;
  p.segment_bytes = segment;
  return p;
}

// What the packets are on the wire: (payload, header), [direction].
using Lists = std::vector<std::pair<uint64_t, uint64_t>>[2];

void append(Lists& lists, const fm_packet& p) {
  uint32_t left = p.payload_bytes;
  for (; p.segment_bytes > 0 && left > p.segment_bytes; left -= p.segment_bytes)
    lists[p.direction].emplace_back(p.segment_bytes, p.transport_header_bytes);
  lists[p.direction].emplace_back(left, p.transport_header_bytes);
}

void expect_lists(const Sizes& s, const Lists& lists) {
  using Wide = unsigned __int128;
  for (int end = 0; end < 2; end++) {
    const auto& list = lists[end];
    Wide squares = 0;
    uint64_t payload_max = 0, header = 0, header_squares = 0, least = 255, greatest = 0;
    for (const auto& [payload, bytes] : list) {
      squares += static_cast<Wide>(payload) * payload;
      payload_max = std::max(payload_max, payload);
      header += bytes;
      header_squares += bytes * bytes;
      least = std::min(least, bytes);
      greatest = std::max(greatest, bytes);
    }
    const fm_direction_sizes& d = s.sizes.direction[end];
    ASSERT_EQ(s.counters.direction[end].length.count, list.size());
    EXPECT_EQ(d.payload_squares_low, static_cast<uint64_t>(squares));
    EXPECT_EQ(d.payload_squares_high, static_cast<uint64_t>(squares >> 64));
    EXPECT_EQ(d.payload_max, payload_max);
    EXPECT_EQ(d.header_bytes, header);
    EXPECT_EQ(d.header_squares, header_squares);
    EXPECT_EQ(s.counters.transport_header_min[end], list.empty() ? 0 : least);
    EXPECT_EQ(s.counters.transport_header_max[end], greatest);
  }
}

TEST(FlowSizes, EqualListsOfSizesWholeAndMerged) {
  const auto seed = static_cast<unsigned>(std::random_device{}());
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  constexpr uint8_t kHeaders[] = {0, 8, 20, 32, 60};
  for (int round = 0; round < 200; round++) {
    Sizes whole, earlier, later;
    Lists lists;
    const auto count = 1 + random() % 30, split = random() % count;
    for (size_t i = 0; i < count; i++) {
      const uint32_t payload = static_cast<uint32_t>(random() % 4 ? random() % 1500 : random());
      const auto segment = static_cast<uint16_t>(payload < 100'000 ? random() % 1400 : 0);
      const fm_packet p = packet(random() % 8 == 0, payload, kHeaders[random() % 5], segment);
      append(lists, p);
      whole.add(p);
      (i < split ? earlier : later).add(p);
    }
    expect_lists(whole, lists);
    fm_flow_sizes_merge(&later.sizes, &later.counters, &earlier.sizes, &earlier.counters);
    fm_flow_counters_merge(&later.counters, &earlier.counters);
    expect_lists(later, lists);
    if (HasFailure()) FAIL() << "round " << round;
  }
}

TEST(FlowSizes, SquaresCarryBeyond64Bits) {
  Sizes s;
  Lists lists;
  for (int i = 0; i < 5; i++) {
    const fm_packet p = packet(1, UINT32_MAX, 20);
    append(lists, p);
    s.add(p);
  }
  expect_lists(s, lists);
  EXPECT_EQ(s.sizes.direction[1].payload_squares_high, 4u);
}

}  // namespace
}  // namespace flowmeter
