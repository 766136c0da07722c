// SPDX-License-Identifier: BSD-3-Clause
// The order in which a java.util.HashMap with text keys iterates over its entries: by bucket, and
// in a bucket by insertion. The number of buckets depends on the largest number of entries so far,
// so it is tracked here. The entries themselves are kept elsewhere.
//
// Not imitated: a bucket of more than 8 entries in a table of 64 buckets or more becomes a tree,
// which has another order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace flowmeter {

// String.hashCode, spread as HashMap.hash does.
inline uint32_t java_map_hash(std::string_view key) {
  uint32_t hash = 0;
  for (const char c : key) hash = 31 * hash + static_cast<unsigned char>(c);
  return hash ^ hash >> 16;
}

class JavaMapOrder {
 public:
  void inserted(uint32_t hash) {
    if (buckets_ < kLeastForTrees) {
      // HashMap.treeifyBin: a small table is doubled instead.
      const auto same = std::count_if(small_.begin(), small_.end(), [&](uint32_t other) {
        return bucket(other) == bucket(hash);
      });
      small_.push_back(hash);
      if (same >= kFullBucket) buckets_ *= 2;
    }
    if (++entries_ > buckets_ / 4 * 3) buckets_ *= 2;
  }
  void erased(uint32_t hash) {
    entries_--;
    if (buckets_ >= kLeastForTrees) return;
    *std::find(small_.begin(), small_.end(), hash) = small_.back();
    small_.pop_back();
  }

  size_t bucket(uint32_t hash) const { return hash & (buckets_ - 1); }

 private:
  static constexpr size_t kLeastForTrees = 64;
  static constexpr ptrdiff_t kFullBucket = 8;

  size_t buckets_ = 16;  // never shrinks
  size_t entries_ = 0;
  std::vector<uint32_t> small_;  // the hashes, while a full bucket can still make the table grow
};

}  // namespace flowmeter
