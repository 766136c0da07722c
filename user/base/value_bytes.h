// SPDX-License-Identifier: BSD-3-Clause
// Values as the bytes that they are in memory, one after the other: for a file that only the same
// build of this program reads.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace flowmeter {

using ValueBytes = std::vector<std::byte>;

template <typename Value>
void append_array(ValueBytes& bytes, const Value* values, size_t count) {
  static_assert(std::is_trivially_copyable_v<Value>);
  const size_t before = bytes.size();
  bytes.resize(before + count * sizeof(Value));
  std::memcpy(bytes.data() + before, values, count * sizeof(Value));
}

template <typename Value>
void append(ValueBytes& bytes, const Value& value) {
  append_array(bytes, &value, 1);
}

// Reads values one after the other. Past the end nothing is read, and every read fails.
class ValueReader {
 public:
  explicit ValueReader(std::span<const std::byte> bytes) : left_(bytes) {}

  template <typename Value>
  bool read_array(Value* values, size_t count) {
    static_assert(std::is_trivially_copyable_v<Value>);
    const size_t size = count * sizeof(Value);
    if (left_.size() < size) return false;
    std::memcpy(static_cast<void*>(values), left_.data(), size);
    left_ = left_.subspan(size);
    return true;
  }
  template <typename Value>
  bool read(Value& value) {
    return read_array(&value, 1);
  }
  bool at_end() const { return left_.empty(); }

 private:
  std::span<const std::byte> left_;
};

}  // namespace flowmeter
