// SPDX-License-Identifier: BSD-3-Clause
// Reads all entries of a hash map of the kernel, in batches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"

namespace flowmeter {

class MapWalk {
 public:
  // Requires: the map stays open.
  MapWalk(int map, size_t key_size, size_t value_size);

  // Reads the next entries, which replace those of the last call. Returns how many, also 0. Call it
  // until done().
  Result<size_t> next();
  bool done() const { return done_; }
  const std::byte* key(size_t i) const { return &keys_[i * key_size_]; }
  const std::byte* value(size_t i) const { return &values_[i * value_size_]; }

 private:
  int map_;
  size_t key_size_;
  size_t value_size_;
  uint32_t at_once_ = 1024;
  uint32_t position_ = 0;
  bool begun_ = false;
  bool done_ = false;
  std::vector<std::byte> keys_;
  std::vector<std::byte> values_;
};

}  // namespace flowmeter
