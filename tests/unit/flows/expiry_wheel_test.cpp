// SPDX-License-Identifier: BSD-3-Clause
#include "flows/expiry_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace flowmeter {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

std::vector<uint32_t> collected(ExpiryWheel& wheel, uint64_t now_ns) {
  std::vector<uint32_t> slots;
  wheel.collect(now_ns, [&](uint32_t slot) { slots.push_back(slot); });
  return slots;
}

TEST(ExpiryWheel, GivesASlotOnceItsDeadlineHasPassedAndNotBefore) {
  ExpiryWheel wheel;
  wheel.collect(100 * kSecond, [](uint32_t) {});
  wheel.schedule(7, 105 * kSecond);
  EXPECT_TRUE(collected(wheel, 105 * kSecond - 1).empty());
  EXPECT_EQ(collected(wheel, 105 * kSecond + 2 * ExpiryWheel::kTickNs), std::vector<uint32_t>{7});
  EXPECT_TRUE(collected(wheel, 300 * kSecond).empty());
}

TEST(ExpiryWheel, CancelledAndMovedSlotsDoNotComeAtTheirOldTime) {
  ExpiryWheel wheel;
  wheel.collect(100 * kSecond, [](uint32_t) {});
  for (uint32_t slot = 0; slot < 3; slot++) wheel.schedule(slot, 105 * kSecond);
  wheel.cancel(1);
  wheel.cancel(1);
  wheel.schedule(0, 110 * kSecond);
  EXPECT_EQ(collected(wheel, 106 * kSecond), std::vector<uint32_t>{2});
  EXPECT_EQ(collected(wheel, 111 * kSecond), std::vector<uint32_t>{0});
}

TEST(ExpiryWheel, ADeadlineInThePastComesWithTheNextTick) {
  ExpiryWheel wheel;
  wheel.collect(100 * kSecond, [](uint32_t) {});
  wheel.schedule(1, 5 * kSecond);
  EXPECT_EQ(collected(wheel, 100 * kSecond + 2 * ExpiryWheel::kTickNs), std::vector<uint32_t>{1});
}

TEST(ExpiryWheel, ADeadlineBeyondItsReachComesEarlyAndCanBeScheduledAgain) {
  ExpiryWheel wheel;
  wheel.collect(100 * kSecond, [](uint32_t) {});
  const uint64_t deadline = 10'000 * kSecond;
  wheel.schedule(1, deadline);
  uint64_t came_ns = 0;
  for (uint64_t now = 100 * kSecond; now < 10'002 * kSecond; now += kSecond)
    wheel.collect(now, [&](uint32_t slot) {
      if (now < deadline)
        wheel.schedule(slot, deadline);
      else
        came_ns = now;
    });
  EXPECT_GE(came_ns, deadline);
  EXPECT_LE(came_ns, deadline + 2 * kSecond);
}

TEST(ExpiryWheel, AgreesWithAMapOfDeadlinesUnderRandomUse) {
  const auto seed = static_cast<unsigned>(std::random_device{}());
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  ExpiryWheel wheel;
  std::map<uint32_t, uint64_t> deadlines;
  uint64_t now = 1000 * kSecond;
  wheel.collect(now, [](uint32_t) {});
  for (int i = 0; i < 20'000; i++) {
    const auto slot = static_cast<uint32_t>(random() % 200);
    if (random() % 4 == 0) {
      wheel.cancel(slot);
      deadlines.erase(slot);
    } else {
      const uint64_t deadline = now + random() % (200 * kSecond);
      wheel.schedule(slot, deadline);
      deadlines[slot] = deadline;
    }
    now += random() % (kSecond / 2);
    wheel.collect(now, [&](uint32_t due) {
      ASSERT_TRUE(deadlines.contains(due));
      EXPECT_LE(deadlines[due], now);
      deadlines.erase(due);
    });
    for (const auto& [waiting, deadline] : deadlines)
      EXPECT_GT(deadline + 2 * ExpiryWheel::kTickNs, now) << "slot " << waiting << " is overdue";
  }
}

}  // namespace
}  // namespace flowmeter
