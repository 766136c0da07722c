// SPDX-License-Identifier: BSD-3-Clause
// Open-addressing index from a 32-bit hash to a slot number. It does not know the keys, so the
// caller says whether a slot is the right one. Linear probing at a load of at most one half,
// deletion without tombstones, growth by doubling (entries keep their hash, so growing reads
// nothing else).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace flowmeter {

class HashIndex {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  HashIndex() { entries_.resize(kInitialEntries, kEmpty); }

  // The slot for which is_it(slot) holds, or kNone.
  template <typename IsIt>
  uint32_t find(uint32_t hash, IsIt&& is_it) const {
    for (size_t i = hash & mask(); entries_[i].slot != kNone; i = (i + 1) & mask())
      if (entries_[i].hash == hash && is_it(entries_[i].slot)) return entries_[i].slot;
    return kNone;
  }

  // The first slot with this hash, or kNone: a guess, for prefetching.
  uint32_t guess(uint32_t hash) const {
    return find(hash, [](uint32_t) { return true; });
  }

  void prefetch(uint32_t hash) const { __builtin_prefetch(&entries_[hash & mask()]); }

  // Requires: slot is not in the index.
  void insert(uint32_t hash, uint32_t slot) {
    if (2 * (size_ + 1) > entries_.size()) grow();
    place({hash, slot});
    size_++;
  }

  // Requires: slot is in the index under this hash.
  void erase(uint32_t hash, uint32_t slot) {
    size_t hole = hash & mask();
    while (entries_[hole].slot != slot) hole = (hole + 1) & mask();
    // Moves later entries of the run back into the hole, but none to a place before its own.
    for (size_t i = (hole + 1) & mask(); entries_[i].slot != kNone; i = (i + 1) & mask()) {
      const size_t home = entries_[i].hash & mask();
      if (((i - home) & mask()) >= ((i - hole) & mask())) {
        entries_[hole] = entries_[i];
        hole = i;
      }
    }
    entries_[hole] = kEmpty;
    size_--;
  }

  size_t size() const { return size_; }

 private:
  struct Entry {
    uint32_t hash;
    uint32_t slot;
  };
  static constexpr Entry kEmpty{0, kNone};
  static constexpr size_t kInitialEntries = 4096;

  size_t mask() const { return entries_.size() - 1; }

  void place(Entry entry) {
    size_t i = entry.hash & mask();
    while (entries_[i].slot != kNone) i = (i + 1) & mask();
    entries_[i] = entry;
  }

  void grow() {
    std::vector<Entry> old(entries_.size() * 2, kEmpty);
    old.swap(entries_);
    for (const Entry& entry : old)
      if (entry.slot != kNone) place(entry);
  }

  std::vector<Entry> entries_;
  size_t size_ = 0;
};

}  // namespace flowmeter
