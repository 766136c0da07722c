// SPDX-License-Identifier: BSD-3-Clause
// However interfaces come and go: the series and what is gone are all packets, and no counter of a
// series decreases.
#include "metrics/interface_series.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace flowmeter {
namespace {

HookCounters counted(uint64_t packets) {
  HookCounters hooks{};
  hooks[FM_HOOK_INGRESS].seen = hooks[FM_HOOK_INGRESS].by_class[FM_METERED] = packets;
  return hooks;
}

uint64_t packets(const HookCounters& hooks) {
  return hooks[FM_HOOK_INGRESS].by_class[FM_METERED];
}

// "a=1 (other)=5 gone=2"
std::string text(const MetricsSnapshot& snapshot) {
  std::string all;
  for (const auto& each : snapshot.interfaces)
    all += each.name + "=" + std::to_string(packets(each.hooks)) + " ";
  return all + "gone=" + std::to_string(packets(snapshot.gone));
}

TEST(InterfaceSeries, TheOldestHaveTheirOwnAndTheRestIsSummed) {
  InterfaceSeries series(2);
  MetricsSnapshot snapshot;
  series.update({{3, "c", counted(30)}, {1, "a", counted(10)}}, counted(0), snapshot);
  EXPECT_EQ(text(snapshot), "a=10 c=30 gone=0");
  series.update(
      {{3, "c", counted(30)}, {1, "a", counted(10)}, {4, "d", counted(4)}, {2, "b", counted(2)}},
      counted(0), snapshot);
  EXPECT_EQ(text(snapshot), "(other)=6 a=10 c=30 gone=0");
  EXPECT_EQ(snapshot.interface_count, 4u);
}

TEST(InterfaceSeries, WhoIsInOtherStaysThere) {
  InterfaceSeries series(1);
  MetricsSnapshot snapshot;
  series.update({}, counted(0), snapshot);
  series.update({{1, "a", counted(10)}, {2, "b", counted(20)}}, counted(0), snapshot);
  series.update({{2, "b", counted(21)}}, counted(11), snapshot);
  EXPECT_EQ(text(snapshot), "(other)=21 gone=11") << "otherwise the counter (other) would decrease";
  series.update({{2, "b", counted(21)}, {3, "c", counted(1)}}, counted(11), snapshot);
  EXPECT_EQ(text(snapshot), "(other)=21 c=1 gone=11");
  // The last packets of b were counted after the look before.
  series.update({{3, "c", counted(1)}}, counted(11 + 25), snapshot);
  EXPECT_EQ(text(snapshot), "(other)=21 c=1 gone=15");
}

TEST(InterfaceSeries, NamesThatLookAlikeShareASeries) {
  InterfaceSeries series(9);
  MetricsSnapshot snapshot;
  series.update({{1, "a_b", counted(1)}, {2, "a_b", counted(2)}}, counted(0), snapshot);
  EXPECT_EQ(text(snapshot), "a_b=3 gone=0");
}

TEST(InterfaceSeries, NoneHasItsOwn) {
  InterfaceSeries series(0);
  MetricsSnapshot snapshot;
  series.update({}, counted(7), snapshot);
  series.update({{1, "a", counted(1)}}, counted(7), snapshot);
  EXPECT_EQ(text(snapshot), "(other)=1 gone=7");
}

TEST(InterfaceSeries, OtherBeginsAtZero) {
  InterfaceSeries series(1);
  MetricsSnapshot snapshot;
  series.update({{1, "a", counted(10)}, {2, "b", counted(20)}}, counted(5), snapshot);
  EXPECT_EQ(text(snapshot), "(other)=0 a=10 gone=25") << "an earlier (other) may have had 25";
  series.update({{1, "a", counted(10)}, {2, "b", counted(22)}, {3, "c", counted(4)}}, counted(5),
                snapshot);
  EXPECT_EQ(text(snapshot), "(other)=6 a=10 gone=25");
  series.update({{1, "a", counted(10)}, {3, "c", counted(4)}}, counted(5 + 23), snapshot);
  EXPECT_EQ(text(snapshot), "(other)=6 a=10 gone=26");
  series.update({{1, "a", counted(10)}, {3, "e", counted(1)}}, counted(5 + 23 + 4), snapshot);
  EXPECT_EQ(text(snapshot), "(other)=7 a=10 gone=26") << "an index that begins again";
}

TEST(InterfaceSeries, AnIndexThatBeginsAgainIsAnotherInterface) {
  InterfaceSeries series(1);
  MetricsSnapshot snapshot;
  series.update({{1, "a", counted(10)}}, counted(0), snapshot);
  series.update({{1, "b", counted(3)}}, counted(12), snapshot);
  EXPECT_EQ(text(snapshot), "b=3 gone=12");
}

TEST(InterfaceSeries, TheSumHoldsAndNothingDecreasesWhateverHappens) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; round++) {
    const size_t limit = random() % 4;
    auto series = std::make_unique<InterfaceSeries>(limit);
    bool is_first = true;
    std::map<unsigned, uint64_t> alive;
    std::map<unsigned, std::string> names;
    uint64_t departed = 0, total = 0, gone_before = 0, other_before = 0;
    unsigned next = 1;
    for (int step = 0; step < 60; step++) {
      for (auto each = alive.begin(); each != alive.end();) {
        const uint64_t more = random() % 5;
        each->second += more;
        total += more;
        if (random() % 6 == 0) {
          departed += each->second;
          each = alive.erase(each);
        } else {
          ++each;
        }
      }
      while (random() % 3 == 0) {
        names[next] = std::string(1, static_cast<char>('a' + random() % 8));
        alive[next++] = 0;
      }
      std::vector<InterfaceSeries::Interface> now;
      for (const auto& [index, count] : alive) now.push_back({index, names[index], counted(count)});
      MetricsSnapshot snapshot;
      if (random() % 20 == 0) {  // the next daemon with the same pins
        series = std::make_unique<InterfaceSeries>(limit);
        is_first = true;
      }
      series->update(now, counted(departed), snapshot);
      uint64_t sum = packets(snapshot.gone), other = 0;
      for (const auto& each : snapshot.interfaces) {
        sum += packets(each.hooks);
        if (each.name == InterfaceSeries::kOther) other = packets(each.hooks);
      }
      ASSERT_EQ(sum, total);
      if (is_first) {
        ASSERT_EQ(other, 0u);
      } else {
        ASSERT_GE(other, other_before);
        ASSERT_GE(packets(snapshot.gone), gone_before);
      }
      is_first = false;
      other_before = other;
      gone_before = packets(snapshot.gone);
    }
  }
}

}  // namespace
}  // namespace flowmeter
