// SPDX-License-Identifier: BSD-3-Clause
#include "output/refusal_search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace flowmeter {
namespace {

// A server with rows, some of which it refuses, and a client that sends them in batches.
struct Delivered {
  std::vector<bool> taken;
  unsigned requests = 0;
  uint64_t rows_sent = 0;
};

Delivered deliver(const std::vector<bool>& good, uint32_t batch) {
  Delivered all{std::vector<bool>(good.size())};
  RefusalSearch search;
  const auto takes = [&](size_t at, size_t end) {
    all.requests++;
    all.rows_sent += end - at;
    for (size_t i = at; i < end; i++)
      if (!good[i]) return false;
    for (size_t i = at; i < end; i++) all.taken[i] = true;
    return true;
  };
  for (size_t at = 0; at < good.size();) {
    const uint32_t limit = search.limit(batch);
    EXPECT_TRUE(limit >= 1 && limit <= batch);
    const size_t end = std::min(good.size(), at + limit);
    const auto rows = static_cast<uint32_t>(end - at);
    if (takes(at, end)) {
      search.note_taken(rows);
      at = end;
      continue;
    }
    const auto next = search.note_refused(rows);
    if (next == RefusalSearch::Next::kSetAside) {
      at = end;
    } else if (next == RefusalSearch::Next::kSample) {
      bool taken = false;
      for (uint32_t row = 0; row < rows && !taken; row++)
        taken = RefusalSearch::is_sample(row, rows) && takes(at + row, at + row + 1);
      if (taken) {
        search.note_sample_taken();
      } else {
        search.note_samples_refused();
        at = end;
      }
    }
  }
  return all;
}

TEST(RefusalSearch, FindsSingleRows) {
  for (const uint32_t batch : {1u, 2u, 3u, 100u, 1000u, 5000u})
    for (const size_t at : {0u, 1u, 499u, 998u, 999u}) {
      std::vector<bool> good(1000, true);
      good[at] = false;
      const Delivered done = deliver(good, batch);
      EXPECT_EQ(done.taken, good) << batch << ' ' << at;
      const double most = 1000.0 / batch + 2 * std::log2(std::min(batch, 1000u)) + 3;
      EXPECT_LE(done.requests, most) << batch << ' ' << at;
    }
}

TEST(RefusalSearch, TakesAllGoodRowsAmongBadOnes) {
  std::minstd_rand random(1);
  for (const double share : {0.001, 0.01, 0.1, 0.5}) {
    std::vector<bool> good(20'000);
    for (size_t i = 0; i < good.size(); i++)
      good[i] = std::uniform_real_distribution<double>(0, 1)(random) >= share;
    const Delivered done = deliver(good, 1000);
    EXPECT_EQ(done.taken, good) << share;
    const double bad = share * 20'000;
    EXPECT_LE(done.requests, 100 + bad * (2 * std::log2(1000) + 2)) << share;
  }
}

TEST(RefusalSearch, GoodRowsBehindManyBadOnes) {
  for (const size_t bad : {9u, 500u, 999u, 1000u, 1500u}) {
    std::vector<bool> good(4000, true);
    std::fill_n(good.begin(), bad, false);
    EXPECT_EQ(deliver(good, 1000).taken, good) << bad;
  }
}

TEST(RefusalSearch, ManyRequestsOnlyUntilAllRowsAreKnownToBeAlike) {
  const std::vector<bool> none(100'000, false);
  const Delivered done = deliver(none, 10'000);
  EXPECT_EQ(done.taken, none);
  EXPECT_LE(done.requests, 200u);
  EXPECT_LE(done.rows_sent, 250'000u);
}

TEST(RefusalSearch, GoesOnAsBeforeWhenRowsAreTakenAgain) {
  std::vector<bool> good(30'000, true);
  std::fill_n(good.begin(), 10'000, false);  // until somebody has changed the table
  good[20'000] = false;
  const Delivered done = deliver(good, 1000);
  EXPECT_EQ(done.taken, good);
  EXPECT_LE(done.requests, 1200u);  // of the request with both, each bad row
}

TEST(RefusalSearch, RefusesNoGoodRowOnceOneWasTaken) {
  for (const uint32_t batch : {100u, 1000u, 10'000u}) {
    std::vector<bool> good(5000, true);
    std::fill_n(good.begin() + 1, 45, false);
    std::fill_n(good.begin() + 2000, 500, false);
    good[4999] = false;
    const Delivered done = deliver(good, batch);
    EXPECT_EQ(done.taken, good) << batch;
    EXPECT_LE(done.requests, 5000 / batch + 546 + 3 * 2 * std::log2(5000) + 9) << batch;
  }
}

TEST(RefusalSearch, SamplesAreSpread) {
  std::vector<bool> good(5000, true);
  std::fill_n(good.begin(), 45, false);
  good[4999] = false;  // the last row says nothing about all
  EXPECT_EQ(deliver(good, 10'000).taken, good);
  for (const uint32_t rows : {1u, 2u, 7u, 8u, 9u, 10'000u}) {
    uint32_t samples = 0;
    for (uint32_t row = 0; row < rows; row++) samples += RefusalSearch::is_sample(row, rows);
    EXPECT_EQ(samples, std::min(rows, RefusalSearch::kSamples)) << rows;
    EXPECT_TRUE(RefusalSearch::is_sample(rows - 1, rows)) << rows;
  }
}

}  // namespace
}  // namespace flowmeter
