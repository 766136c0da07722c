// SPDX-License-Identifier: BSD-3-Clause
// The memory of a BPF map, which the kernel and this process share.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <memory>

namespace flowmeter {

inline size_t whole_pages(size_t bytes) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

struct UnmapMemory {
  size_t bytes = 0;
  void operator()(const void* memory) const { ::munmap(const_cast<void*>(memory), bytes); }
};
template <typename Value>
using MapMemory = std::unique_ptr<Value, UnmapMemory>;

// protection: PROT_…. Null, with errno, if it fails.
template <typename Value>
MapMemory<Value> map_memory(int map_fd, size_t bytes, int protection) {
  void* memory = ::mmap(nullptr, bytes, protection, MAP_SHARED, map_fd, 0);
  return {memory == MAP_FAILED ? nullptr : static_cast<Value*>(memory), UnmapMemory{bytes}};
}

}  // namespace flowmeter
