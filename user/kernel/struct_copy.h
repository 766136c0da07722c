// SPDX-License-Identifier: BSD-3-Clause
// Copies a struct of one version's layout into this version's, by the names of its members. Both
// layouts are in BTF (the types that clang describes in a BPF object).
//
// A member that only one of them has is skipped; the caller has zeroed the target. Integers may
// have another width, and a value that does not fit becomes the largest that does. Of arrays of
// different lengths the common part is copied. Members of unions are not copied, because only the
// caller knows which of them has a value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

struct btf;

namespace flowmeter {

// A member, also of an anonymous struct or union in the struct; in bytes.
struct MemberPlace {
  uint32_t type;
  size_t offset;
  size_t size;
};
// Null if there is no such struct or member, or if it is a bit-field.
std::optional<MemberPlace> find_member(const btf* layout, const char* in_struct,
                                       std::string_view member);
// 0 if there is no such struct.
size_t size_of_struct(const btf* layout, const char* name);

class StructCopy {
 public:
  // Compares both layouts once. If one lacks the struct, nothing is copied.
  StructCopy(const btf* from, const btf* to, const char* name);

  void operator()(const std::byte* from, void* to) const;
  // Of the source.
  size_t size() const { return size_; }

 private:
  // An integer, wherever it is.
  struct Bits {
    uint32_t at;
    uint32_t count;
  };
  struct Move {
    Bits from;
    Bits to;
  };
  void add_struct(const btf* from, uint32_t from_type, uint32_t from_at, const btf* to,
                  uint32_t to_type, uint32_t to_at);
  void add_value(const btf* from, uint32_t from_type, Bits from_bits, const btf* to,
                 uint32_t to_type, Bits to_bits);

  static uint64_t read(const std::byte* bytes, Bits bits);
  static void write(std::byte* bytes, Bits bits, uint64_t value);

  size_t size_ = 0;
  std::vector<Move> moves_;
};

}  // namespace flowmeter
