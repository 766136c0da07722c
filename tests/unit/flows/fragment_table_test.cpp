// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include "flows/fragment_table.h"

namespace flowmeter {
namespace {

fm_fragment_key key(uint32_t identification) {
  fm_fragment_key k{};
  k.source.words[0] = 1;
  k.destination.words[0] = 2;
  k.identification = identification;
  k.ip_version = 4;
  return k;
}

fm_packet first(uint64_t time_ns) {
  fm_packet p{};
  p.time_ns = time_ns;
  p.key.protocol = FM_UDP;
  p.direction = 1;
  return p;
}

TEST(FragmentTable, Remembers) {
  FragmentTable table(4);
  EXPECT_EQ(table.find(key(1)), nullptr);
  table.remember(key(1), first(10));
  ASSERT_NE(table.find(key(1)), nullptr);
  EXPECT_EQ(table.find(key(1))->time_ns, 10u);
  EXPECT_EQ(table.find(key(1))->direction, 1);
  EXPECT_EQ(table.find(key(1))->key.protocol, FM_UDP);
  EXPECT_EQ(table.find(key(2)), nullptr);
}

TEST(FragmentTable, EveryFieldIsIdentity) {
  FragmentTable table(4);
  table.remember(key(1), first(10));
  fm_fragment_key other = key(1);
  std::swap(other.source, other.destination);
  EXPECT_EQ(table.find(other), nullptr);
  other = key(1);
  other.protocol = FM_TCP;
  EXPECT_EQ(table.find(other), nullptr);
  other = key(1);
  other.ip_version = 6;
  EXPECT_EQ(table.find(other), nullptr);
}

TEST(FragmentTable, ANewFirstReplacesTheOld) {
  FragmentTable table(4);
  table.remember(key(1), first(10));
  table.remember(key(1), first(20));
  EXPECT_EQ(table.find(key(1))->time_ns, 20u);
}

TEST(FragmentTable, FullForgetsTheOldest) {
  FragmentTable table(4);
  for (uint32_t id = 1; id <= 6; id++) table.remember(key(id), first(id));
  EXPECT_EQ(table.find(key(1)), nullptr);
  EXPECT_EQ(table.find(key(2)), nullptr);
  for (uint32_t id = 3; id <= 6; id++) {
    ASSERT_NE(table.find(key(id)), nullptr) << id;
    EXPECT_EQ(table.find(key(id))->time_ns, id);
  }
}

TEST(FragmentTable, ReplacedOnesAreNotForgottenTwice) {
  FragmentTable table(2);
  table.remember(key(1), first(1));
  table.remember(key(1), first(2));  // its old place stays empty
  table.remember(key(2), first(3));  // takes it
  EXPECT_EQ(table.find(key(1))->time_ns, 2u);
  EXPECT_EQ(table.find(key(2))->time_ns, 3u);
  table.remember(key(3), first(4));
  EXPECT_EQ(table.find(key(1)), nullptr);
  EXPECT_NE(table.find(key(2)), nullptr);
  EXPECT_NE(table.find(key(3)), nullptr);
}

TEST(FragmentTable, OfOneEntry) {
  FragmentTable table(1);
  for (uint32_t id = 1; id < 10; id++) {
    table.remember(key(id), first(id));
    table.remember(key(id), first(100 + id));
    EXPECT_EQ(table.find(key(id))->time_ns, 100 + id);
    EXPECT_EQ(table.find(key(id - 1)), nullptr);
  }
}

TEST(FragmentTable, StaysBounded) {
  FragmentTable table(100);
  unsigned found = 0;
  for (uint32_t i = 0; i < 100000; i++) table.remember(key(i * 7 % 5000), first(i));
  for (uint32_t id = 0; id < 5000; id++) found += table.find(key(id)) != nullptr;
  EXPECT_EQ(found, 100u);
}

TEST(FragmentTable, AFirstFragmentOfAnotherEraIsNone) {
  FragmentTable table(2);
  table.remember(key(1), first(1), 0);
  EXPECT_EQ(table.find(key(1), -1), nullptr);
  EXPECT_NE(table.find(key(1), 0), nullptr);
}

}  // namespace
}  // namespace flowmeter
