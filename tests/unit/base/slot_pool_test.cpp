// SPDX-License-Identifier: BSD-3-Clause
#include "base/slot_pool.h"

#include <gtest/gtest.h>

#include <set>

namespace flowmeter {
namespace {

struct Record {
  uint64_t words[3];
};

TEST(SlotPool, HandsOutInOrderUpToItsCapacity) {
  SlotPool<Record> pool(3);
  EXPECT_EQ(pool.capacity(), 3u);
  for (uint32_t slot = 0; slot < 3; slot++) EXPECT_EQ(pool.take(), slot);
  EXPECT_EQ(pool.take(), SlotPool<Record>::kNone);
  EXPECT_EQ(pool.in_use(), 3u);
}

TEST(SlotPool, ReusesWhatIsGivenBack) {
  SlotPool<Record> pool(3);
  for (int i = 0; i < 3; i++) (void)pool.take();
  pool.give_back(1);
  EXPECT_EQ(pool.in_use(), 2u);
  EXPECT_EQ(pool.used(), 3u);
  EXPECT_EQ(pool.take(), 1u);
  EXPECT_EQ(pool.take(), SlotPool<Record>::kNone);
}

TEST(SlotPool, AddressesAreStable) {
  SlotPool<Record> pool(100000);
  const Record* first = &pool[pool.take()];
  for (uint32_t i = 1; i < 100000; i++) pool[pool.take()].words[0] = i;
  EXPECT_EQ(first, &pool[0]);
  for (uint32_t i = 1; i < 100000; i++) ASSERT_EQ(pool[i].words[0], i);
}

TEST(SlotPool, ReservesWithoutTakingMemory) {
  // 2^30 records of 24 bytes: more than the machine has.
  SlotPool<Record> pool(1u << 30);
  pool[pool.take()].words[0] = 1;
  EXPECT_EQ(pool.in_use(), 1u);
}

}  // namespace
}  // namespace flowmeter
