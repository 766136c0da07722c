// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/map_walk.h"

#include <bpf/bpf.h>

#include <cerrno>

namespace flowmeter {

MapWalk::MapWalk(int map, size_t key_size, size_t value_size)
    : map_(map),
      key_size_(key_size),
      value_size_(value_size),
      keys_(at_once_ * key_size),
      values_(at_once_ * value_size) {}

Result<size_t> MapWalk::next() {
  while (true) {
    uint32_t next = 0, count = at_once_;
    const int error = -bpf_map_lookup_batch(map_, begun_ ? &position_ : nullptr, &next,
                                            keys_.data(), values_.data(), &count, nullptr);
    if (error == ENOSPC) {  // a bucket has more entries than the buffer holds
      at_once_ *= 2;
      keys_.resize(at_once_ * key_size_);
      values_.resize(at_once_ * value_size_);
      continue;
    }
    if (error != 0 && error != ENOENT) return Error{"cannot walk the flow map", error};
    done_ = error == ENOENT;
    begun_ = true;
    position_ = next;
    return size_t{count};
  }
}

}  // namespace flowmeter
