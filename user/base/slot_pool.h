// SPDX-License-Identifier: BSD-3-Clause
// A bounded array of records with stable addresses and a free list. Address space for all slots is
// reserved at once, but a slot takes memory only from its first use on. Huge pages are used if the
// kernel provides them, because with a million flows a lookup waits for the TLB.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>
#include <vector>

namespace flowmeter {

template <typename Record>
class SlotPool {
  static_assert(std::is_trivially_copyable_v<Record>);

 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  // Throws std::bad_alloc if there is not enough address space.
  explicit SlotPool(uint32_t capacity)
      : capacity_(capacity), bytes_(size_t{capacity} * sizeof(Record)) {
    void* memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    ::madvise(memory, bytes_, MADV_HUGEPAGE);
    records_ = static_cast<Record*>(memory);
  }
  ~SlotPool() { ::munmap(records_, bytes_); }
  SlotPool(const SlotPool&) = delete;
  SlotPool& operator=(const SlotPool&) = delete;

  // A slot with undefined contents, or kNone if all are in use.
  uint32_t take() {
    if (!free_.empty()) {
      const uint32_t slot = free_.back();
      free_.pop_back();
      return slot;
    }
    return used_ < capacity_ ? used_++ : kNone;
  }
  void give_back(uint32_t slot) { free_.push_back(slot); }
  // Takes slots 0 … slots-1. Requires: slots is at most capacity(), and none was handed out yet.
  void take_first(uint32_t slots) { used_ = slots; }

  Record& operator[](uint32_t slot) { return records_[slot]; }
  const Record& operator[](uint32_t slot) const { return records_[slot]; }

  // Slots 0 … used()-1 have been handed out at some time.
  uint32_t used() const { return used_; }
  uint32_t in_use() const { return used_ - static_cast<uint32_t>(free_.size()); }
  uint32_t capacity() const { return capacity_; }

 private:
  Record* records_ = nullptr;
  uint32_t capacity_;
  size_t bytes_;
  uint32_t used_ = 0;
  std::vector<uint32_t> free_;
};

}  // namespace flowmeter
