// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include "flows/hash_index.h"

#include <random>
#include <unordered_map>
#include <vector>

namespace flowmeter {
namespace {

// Slot n holds key keys[n]; the index finds it by the key's hash. hash_mask makes collisions: of
// whole hashes, and of the places in the table.
void compare_with_map(unsigned seed, uint32_t hash_mask, uint32_t keys_in_play) {
  SCOPED_TRACE(::testing::Message() << "seed " << seed << " mask " << hash_mask);
  std::mt19937 random(seed);
  const auto hash = [&](uint32_t key) { return key * 2654435761u & hash_mask; };
  HashIndex index;
  std::unordered_map<uint32_t, uint32_t> map;  // key to slot
  std::vector<uint32_t> keys;                  // by slot
  std::vector<uint32_t> free;
  const auto find = [&](uint32_t key) {
    return index.find(hash(key), [&](uint32_t slot) { return keys[slot] == key; });
  };
  for (int step = 0; step < 20000; step++) {
    const auto key = static_cast<uint32_t>(random() % keys_in_play);
    const auto known = map.find(key);
    ASSERT_EQ(find(key), known == map.end() ? HashIndex::kNone : known->second);
    if (known == map.end()) {
      uint32_t slot = static_cast<uint32_t>(keys.size());
      if (free.empty()) {
        keys.push_back(key);
      } else {
        slot = free.back();
        free.pop_back();
        keys[slot] = key;
      }
      index.insert(hash(key), slot);
      map[key] = slot;
    } else if (random() % 2) {
      index.erase(hash(key), known->second);
      free.push_back(known->second);
      map.erase(known);
    }
    ASSERT_EQ(index.size(), map.size());
  }
  for (const auto& [key, slot] : map) ASSERT_EQ(find(key), slot);
  for (uint32_t key = 0; key < keys_in_play; key++)
    if (!map.count(key)) {
      ASSERT_EQ(find(key), HashIndex::kNone);
    }
}

TEST(HashIndex, EqualsAMap) {
  const unsigned seed = std::random_device{}();
  compare_with_map(seed, ~0u, 15000);        // grows several times
  compare_with_map(seed, 0x3f, 300);         // long runs
  compare_with_map(seed, 0, 60);             // one hash for all
  compare_with_map(seed, 0xfffff00f, 2000);  // runs that wrap around the end of the table
}

TEST(HashIndex, ARunAroundTheEndOfTheTable) {
  HashIndex index;
  // 4096 entries at first: hashes 4094 … are homes at the end.
  for (uint32_t slot = 0; slot < 6; slot++) index.insert(4094 + slot % 2, slot);
  const auto find = [&](uint32_t hash, uint32_t slot) {
    return index.find(hash, [&](uint32_t s) { return s == slot; });
  };
  index.erase(4094, 0);
  index.erase(4095, 3);
  for (const uint32_t slot : {1u, 2u, 4u, 5u}) EXPECT_EQ(find(4094 + slot % 2, slot), slot);
  EXPECT_EQ(find(4094, 0), HashIndex::kNone);
  EXPECT_EQ(find(4095, 3), HashIndex::kNone);
  EXPECT_EQ(index.size(), 4u);
}

TEST(HashIndex, Guess) {
  HashIndex index;
  EXPECT_EQ(index.guess(7), HashIndex::kNone);
  index.insert(7, 3);
  EXPECT_EQ(index.guess(7), 3u);
  EXPECT_EQ(index.guess(8), HashIndex::kNone);
  index.erase(7, 3);
  EXPECT_EQ(index.guess(7), HashIndex::kNone);
}

}  // namespace
}  // namespace flowmeter
