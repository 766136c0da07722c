// SPDX-License-Identifier: BSD-3-Clause
// The first fragments that a replay remembers. When the table is full, the oldest one is removed,
// so its later fragments count as unattributed_fragment. Live, the kernel has an LRU map instead.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "flowmeter/fragment.h"
#include "flows/hash_index.h"
#include "flows/key_hash.h"

namespace flowmeter {

class FragmentTable {
 public:
  explicit FragmentTable(uint32_t capacity) : capacity_(capacity) {}

  // era: the packet's (flow_table.h).
  void remember(const fm_fragment_key& key, const fm_packet& first, int64_t era = 0) {
    const uint32_t hash = hash_(key);
    const uint32_t old = slot_of(key, hash);
    if (old != HashIndex::kNone) {  // a new first fragment of the same identity replaces the old
      index_.erase(hash, old);
      ring_[old].live = false;
    }
    if (ring_.size() < capacity_) {
      ring_.emplace_back();
      next_ = static_cast<uint32_t>(ring_.size()) - 1;
    }
    Entry& entry = ring_[next_];
    if (entry.live) index_.erase(entry.hash, next_);
    entry = {key, fm_fragment_remember(&first), era, hash, true};
    index_.insert(hash, next_);
    next_ = next_ + 1 == capacity_ ? 0 : next_ + 1;
  }

  // The first fragment of this datagram, or null if it is not remembered.
  const fm_first_fragment* find(const fm_fragment_key& key, int64_t era = 0) const {
    const uint32_t slot = slot_of(key, hash_(key));
    return slot == HashIndex::kNone || ring_[slot].era != era ? nullptr : &ring_[slot].first;
  }

 private:
  struct Entry {
    fm_fragment_key key;
    fm_first_fragment first;
    int64_t era;
    uint32_t hash;
    bool live;
  };

  uint32_t slot_of(const fm_fragment_key& key, uint32_t hash) const {
    return index_.find(
        hash, [&](uint32_t slot) { return std::memcmp(&ring_[slot].key, &key, sizeof(key)) == 0; });
  }

  KeyHash hash_;
  HashIndex index_;
  std::vector<Entry> ring_;
  uint32_t capacity_;
  uint32_t next_ = 0;
};

}  // namespace flowmeter
