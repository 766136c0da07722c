// SPDX-License-Identifier: BSD-3-Clause
#include "flowmeter/fragment.h"

#include <gtest/gtest.h>

#include <cstring>

namespace {

fm_packet first_fragment(uint64_t time_ns) {
  fm_packet p{};
  std::memset(&p.key, 0x5a, sizeof(p.key));
  p.time_ns = time_ns;
  p.direction = 1;
  p.window = 0x0301;
  return p;
}

fm_packet_class join(uint64_t first_ns, uint64_t later_ns, fm_packet* later) {
  const fm_settings settings = fm_default_settings();
  const fm_packet first = first_fragment(first_ns);
  const fm_first_fragment remembered = fm_fragment_remember(&first);
  *later = fm_packet{};
  later->time_ns = later_ns;
  return fm_fragment_join(later, &remembered, &settings);
}

TEST(Fragment, TakesKeyAndDirection) {
  fm_packet later;
  EXPECT_EQ(join(100, 200, &later), FM_METERED);
  const fm_packet first = first_fragment(100);
  EXPECT_TRUE(fm_key_equal(&later.key, &first.key));
  EXPECT_EQ(later.direction, 1);
  EXPECT_EQ(later.window, 0x0301) << "type and code of an ICMP message";
  EXPECT_EQ(later.time_ns, 200u) << "its own time";
  EXPECT_FALSE(fm_packet_has_tcp_header(&later));
}

TEST(Fragment, MemoryIsThirtySeconds) {
  fm_packet later;
  EXPECT_EQ(join(7, 7 + 30 * FM_SECOND_NS, &later), FM_METERED);
  EXPECT_EQ(join(7, 8 + 30 * FM_SECOND_NS, &later), FM_UNATTRIBUTED_FRAGMENT);
  const fm_flow_key none{};
  EXPECT_TRUE(fm_key_equal(&later.key, &none)) << "nothing is taken over";
}

TEST(Fragment, StampedBeforeItsFirst) {
  fm_packet later;
  EXPECT_EQ(join(100 * FM_SECOND_NS, 0, &later), FM_METERED);
}

TEST(Fragment, WithoutAFirst) {
  const fm_settings settings = fm_default_settings();
  fm_packet later{};
  EXPECT_EQ(fm_fragment_join(&later, nullptr, &settings), FM_UNATTRIBUTED_FRAGMENT);
}

}  // namespace
