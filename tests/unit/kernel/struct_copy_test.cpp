// SPDX-License-Identifier: BSD-3-Clause
// Structs of one layout are copied into another, by the names of their members.
#include "kernel/struct_copy.h"

#include <bpf/btf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

namespace flowmeter {
namespace {

// Describes one struct, "s", and the types of its members.
class Layout {
 public:
  Layout() : btf_(btf__new_empty(), btf__free) {}

  int integer(unsigned bytes) {
    const std::string name = "u" + std::to_string(8 * bytes);
    const int known = btf__find_by_name(types(), name.c_str());
    return known > 0 ? known : btf__add_int(types(), name.c_str(), bytes, 0);
  }
  int array(int type, unsigned count) { return btf__add_array(types(), integer(4), type, count); }
  int type_name(int type) { return btf__add_typedef(types(), "name", type); }

  struct Member {
    const char* name;
    int type;
    unsigned bit_offset;
    unsigned bits = 0;
  };
  int structure(const char* name, unsigned bytes, const std::vector<Member>& members) {
    return add(btf__add_struct(types(), name, bytes), members);
  }
  int either(unsigned bytes, const std::vector<Member>& members) {
    return add(btf__add_union(types(), nullptr, bytes), members);
  }
  struct btf* types() const {
    return btf_.get();
  }

 private:
  int add(int id, const std::vector<Member>& members) {
    for (const Member& each : members)
      EXPECT_EQ(btf__add_field(types(), each.name, each.type, each.bit_offset, each.bits), 0);
    return id;
  }
  std::unique_ptr<struct btf, void (*)(struct btf*)> btf_;
};

using Bytes = std::vector<uint8_t>;

Bytes copied(const Layout& from, const Layout& to, const Bytes& bytes) {
  Bytes result(size_of_struct(to.types(), "s"));
  const StructCopy copy(from.types(), to.types(), "s");
  EXPECT_EQ(copy.size(), bytes.size());
  copy(reinterpret_cast<const std::byte*>(bytes.data()), result.data());
  return result;
}

TEST(StructCopy, MembersMoveAndOthersStayZero) {
  Layout from, to;
  from.structure(
      "s", 8,
      {{"a", from.integer(2), 0}, {"gone", from.integer(2), 16}, {"b", from.integer(4), 32}});
  to.structure("s", 12,
               {{"b", to.integer(4), 0}, {"new", to.integer(4), 32}, {"a", to.integer(2), 64}});
  EXPECT_EQ(copied(from, to, {1, 2, 3, 4, 5, 6, 7, 8}),
            (Bytes{5, 6, 7, 8, 0, 0, 0, 0, 1, 2, 0, 0}));
}

TEST(StructCopy, IntegersChangeTheirWidth) {
  Layout from, to;
  from.structure("s", 8,
                 {{"wider", from.integer(2), 0},
                  {"fits", from.integer(2), 16},
                  {"large", from.integer(4), 32}});
  to.structure(
      "s", 7,
      {{"wider", to.integer(4), 0}, {"fits", to.integer(1), 32}, {"large", to.integer(2), 40}});
  const uint16_t wider = 0xfffe, fits = 7;
  const uint32_t large = 70'000;
  Bytes bytes(8);
  std::memcpy(&bytes[0], &wider, 2);
  std::memcpy(&bytes[2], &fits, 2);
  std::memcpy(&bytes[4], &large, 4);
  const Bytes result = copied(from, to, bytes);
  uint32_t wide;
  uint16_t narrow;
  std::memcpy(&wide, &result[0], 4);
  std::memcpy(&narrow, &result[5], 2);
  EXPECT_EQ(wide, 0xfffeu);
  EXPECT_EQ(result[4], 7);
  EXPECT_EQ(narrow, 0xffff) << "the largest that fits";
}

struct Bits {
  uint32_t low : 31;
  uint32_t high : 1;
  uint8_t four : 4;
  uint8_t other_four : 4;
};

TEST(StructCopy, BitFields) {
  constexpr unsigned kLast = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 31 : 0;
  constexpr unsigned kFirst = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 1;
  Layout from, to;
  from.structure("s", 8,
                 {{"low", from.integer(4), kFirst, 31},
                  {"high", from.integer(4), kLast, 1},
                  {"four", from.integer(1), 32, 4},
                  {"other_four", from.integer(1), 36, 4}});
  to.structure("s", 7,
               {{"high", to.integer(1), 0},
                {"other_four", to.integer(1), 8},
                {"four", to.integer(1), 16},
                {"low", to.integer(4), 24}});
  Bits bits{0x7abcdef1, 1, 5, 9};
  Bytes bytes(8);
  std::memcpy(bytes.data(), &bits, 5);
  const Bytes result = copied(from, to, bytes);
  uint32_t low;
  std::memcpy(&low, &result[3], 4);
  EXPECT_EQ(low, 0x7abcdef1u);
  EXPECT_EQ(result[0], 1);
  if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
    EXPECT_EQ(result[1], 9);
    EXPECT_EQ(result[2], 5);
  }
  const Bytes back = copied(to, from, result);
  EXPECT_EQ(Bytes(back.begin(), back.begin() + 5), Bytes(bytes.begin(), bytes.begin() + 5));
}

TEST(StructCopy, ArraysOfStructs) {
  Layout from, to;
  const int pair =
      from.structure("pair", 2, {{"x", from.integer(1), 0}, {"y", from.integer(1), 8}});
  from.structure("s", 7,
                 {{"many", from.array(pair, 3), 0}, {"few", from.array(from.integer(1), 1), 48}});
  const int wide = to.structure("pair", 4, {{"y", to.integer(2), 0}, {"x", to.integer(2), 16}});
  to.structure("s", 11, {{"few", to.array(to.integer(1), 3), 0}, {"many", to.array(wide, 2), 24}});
  const Bytes result = copied(from, to, {1, 2, 3, 4, 5, 6, 7});
  uint16_t numbers[4];
  std::memcpy(numbers, &result[3], sizeof(numbers));
  EXPECT_EQ(Bytes(result.begin(), result.begin() + 3), (Bytes{7, 0, 0}));
  EXPECT_EQ(std::vector<uint16_t>(numbers, numbers + 4), (std::vector<uint16_t>{2, 1, 4, 3}));
}

TEST(StructCopy, AnonymousStructsAndTypeNames) {
  Layout from, to;
  const int inner = from.structure(
      nullptr, 2, {{"x", from.type_name(from.integer(1)), 0}, {"y", from.integer(1), 8}});
  from.structure("s", 3, {{"first", from.integer(1), 0}, {"", inner, 8}});
  to.structure("s", 2, {{"y", to.integer(1), 0}, {"x", to.integer(1), 8}});
  EXPECT_EQ(copied(from, to, {1, 2, 3}), (Bytes{3, 2}));
}

TEST(StructCopy, MembersOfUnionsAreFoundButNotCopied) {
  Layout layout;
  const int x = layout.integer(1);
  const int both = layout.structure(nullptr, 2, {{"b", x, 0}, {"c", x, 8}});
  layout.structure("s", 3,
                   {{"a", x, 0}, {"", layout.either(2, {{"one", x, 0}, {"", both, 0}}), 8}});
  EXPECT_EQ(copied(layout, layout, {1, 2, 3}), (Bytes{1, 0, 0}));
  EXPECT_EQ(find_member(layout.types(), "s", "one")->offset, 1u);
  EXPECT_EQ(find_member(layout.types(), "s", "c")->offset, 2u);
  EXPECT_EQ(find_member(layout.types(), "s", "c")->size, 1u);
}

TEST(StructCopy, WhatIsOfAnotherKindIsSkipped) {
  Layout from, to;
  from.structure("s", 3,
                 {{"number", from.integer(1), 0}, {"many", from.array(from.integer(1), 2), 8}});
  to.structure("s", 3, {{"number", to.array(to.integer(1), 2), 0}, {"many", to.integer(1), 16}});
  EXPECT_EQ(copied(from, to, {1, 2, 3}), (Bytes{0, 0, 0}));
}

TEST(StructCopy, WhatIsMissing) {
  Layout empty, layout;
  layout.structure("s", 1, {{"a", layout.integer(1), 0, 4}});
  EXPECT_EQ(size_of_struct(empty.types(), "s"), 0u);
  EXPECT_EQ(StructCopy(empty.types(), layout.types(), "s").size(), 0u);
  EXPECT_FALSE(find_member(empty.types(), "s", "a"));
  EXPECT_FALSE(find_member(layout.types(), "s", "b"));
  EXPECT_FALSE(find_member(layout.types(), "s", "a")) << "a bit-field has no offset in bytes";
}

}  // namespace
}  // namespace flowmeter
