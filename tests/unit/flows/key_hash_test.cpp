// SPDX-License-Identifier: BSD-3-Clause
#include "flows/key_hash.h"

#include <gtest/gtest.h>

#include <set>

#include "flowmeter/fragment.h"

namespace flowmeter {
namespace {

TEST(KeyHash, EqualKeysHaveEqualHashes) {
  const KeyHash hash;
  const fm_flow_key a{{{{1, 2}}, {{3, 4}}}, {5, 6}, 7, 4, 0, 0}, b = a;
  EXPECT_EQ(hash(a), hash(b));
  const fm_fragment_key f{};
  EXPECT_EQ(hash(f), hash(f));
}

TEST(KeyHash, EveryByteCounts) {
  const KeyHash hash;
  const fm_flow_key key{};
  std::set<uint32_t> hashes = {hash(key)};
  for (size_t i = 0; i < sizeof(key); i++) {
    fm_flow_key other = key;
    reinterpret_cast<uint8_t*>(&other)[i] = 1;
    hashes.insert(hash(other));
  }
  // 41 values of 32 bits: one collision is already one in five million.
  EXPECT_GE(hashes.size(), 40u);
}

TEST(KeyHash, EachProcessPartHasItsOwnSecret) {
  const fm_flow_key key{{{{1, 2}}, {{3, 4}}}, {5, 6}, 7, 4, 0, 0};
  std::set<uint32_t> hashes;
  for (int i = 0; i < 20; i++) hashes.insert(KeyHash()(key));
  EXPECT_GE(hashes.size(), 19u);
}

// Neighbouring addresses and ports, as a scan has them, spread over the low bits, which the index
// uses.
TEST(KeyHash, SpreadsNeighbours) {
  const KeyHash hash;
  constexpr unsigned kKeys = 1 << 16, kBuckets = 1 << 12;
  std::vector<unsigned> load(kBuckets);
  for (unsigned i = 0; i < kKeys; i++) {
    fm_flow_key key{{{{0x0a000001, 0}}, {{0x0a000002, 0}}}, {80, 0}, FM_TCP, 4, 0, 0};
    key.port[1] = static_cast<uint16_t>(i);
    load[hash(key) % kBuckets]++;
  }
  unsigned greatest = 0;
  for (const unsigned n : load) greatest = std::max(greatest, n);
  // 16 in the mean; chance alone gives more than 64 in one of 4096 buckets less than once in 10^15
  // runs.
  EXPECT_LE(greatest, 64u);
}

}  // namespace
}  // namespace flowmeter
