// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/struct_copy.h"

#include <bpf/btf.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace flowmeter {
namespace {

struct Found {
  const btf_type* type;
  uint32_t id;
};

// The type itself, without const, volatile and typedefs. Null if it has no size.
Found resolve(const btf* layout, uint32_t id) {
  const int resolved = btf__resolve_type(layout, id);
  if (resolved < 0) return {nullptr, 0};
  return {btf__type_by_id(layout, static_cast<__u32>(resolved)), static_cast<uint32_t>(resolved)};
}

Found find_struct(const btf* layout, const char* name) {
  const int id = btf__find_by_name_kind(layout, name, BTF_KIND_STRUCT);
  if (id < 0) return {nullptr, 0};
  return {btf__type_by_id(layout, static_cast<__u32>(id)), static_cast<uint32_t>(id)};
}

uint32_t bits_of(const btf* layout, uint32_t id) {
  const auto bytes = btf__resolve_size(layout, id);
  return bytes > 0 && bytes <= UINT32_MAX / 8 ? static_cast<uint32_t>(bytes) * 8 : 0;
}

struct Member {
  uint32_t type;
  uint32_t at;     // in bits
  uint32_t count;  // bits
  bool bit_field;
};

enum class Unions { kEnter, kSkip };

// The member of this name; anonymous structs belong to the struct that they are in.
std::optional<Member> member_of(const btf* layout, const btf_type* type, std::string_view name,
                                Unions unions, uint32_t base = 0) {
  const btf_member* members = btf_members(type);
  for (uint32_t i = 0; i < btf_vlen(type); i++) {
    const uint32_t at = base + btf_member_bit_offset(type, i);
    const std::string_view found = btf__name_by_offset(layout, members[i].name_off);
    if (found.empty()) {
      const Found inner = resolve(layout, members[i].type);
      if (!inner.type || !btf_is_composite(inner.type)) continue;
      if (btf_is_union(inner.type) && unions == Unions::kSkip) continue;
      if (auto member = member_of(layout, inner.type, name, unions, at)) return member;
    } else if (found == name) {
      const uint32_t bit_field = btf_member_bitfield_size(type, i);
      return Member{members[i].type, at, bit_field ? bit_field : bits_of(layout, members[i].type),
                    bit_field != 0};
    }
  }
  return std::nullopt;
}

bool is_integer(const btf_type* type) {
  return btf_is_int(type) || btf_is_any_enum(type);
}

}  // namespace

std::optional<MemberPlace> find_member(const btf* layout, const char* in_struct,
                                       std::string_view member) {
  const Found found = find_struct(layout, in_struct);
  if (!found.type) return std::nullopt;
  const auto place = member_of(layout, found.type, member, Unions::kEnter);
  if (!place || place->bit_field) return std::nullopt;
  return MemberPlace{place->type, place->at / 8, place->count / 8};
}

size_t size_of_struct(const btf* layout, const char* name) {
  const Found found = find_struct(layout, name);
  return found.type ? found.type->size : 0;
}

StructCopy::StructCopy(const btf* from, const btf* to, const char* name) {
  const Found source = find_struct(from, name), target = find_struct(to, name);
  if (!source.type || !target.type) return;
  size_ = source.type->size;
  add_struct(from, source.id, 0, to, target.id, 0);
}

void StructCopy::add_struct(const btf* from, uint32_t from_type, uint32_t from_at, const btf* to,
                            uint32_t to_type, uint32_t to_at) {
  const btf_type* source = btf__type_by_id(from, from_type);
  const btf_type* target = btf__type_by_id(to, to_type);
  const btf_member* members = btf_members(target);
  for (uint32_t i = 0; i < btf_vlen(target); i++) {
    const uint32_t at = to_at + btf_member_bit_offset(target, i);
    const char* name = btf__name_by_offset(to, members[i].name_off);
    const Found inner = resolve(to, members[i].type);
    if (!inner.type || btf_is_union(inner.type)) continue;
    if (*name == '\0') {
      if (btf_is_struct(inner.type)) add_struct(from, from_type, from_at, to, inner.id, at);
      continue;
    }
    const auto member = member_of(from, source, name, Unions::kSkip);
    if (!member) continue;
    const uint32_t bit_field = btf_member_bitfield_size(target, i);
    add_value(from, member->type, {from_at + member->at, member->count}, to, members[i].type,
              {at, bit_field ? bit_field : bits_of(to, members[i].type)});
  }
}

void StructCopy::add_value(const btf* from, uint32_t from_type, Bits from_bits, const btf* to,
                           uint32_t to_type, Bits to_bits) {
  const Found source = resolve(from, from_type), target = resolve(to, to_type);
  if (!source.type || !target.type) return;
  if (is_integer(source.type) && is_integer(target.type)) {
    const bool readable = from_bits.count > 0 && from_bits.count <= 64;
    if (readable && to_bits.count > 0 && to_bits.count <= 64)
      moves_.push_back({from_bits, to_bits});
  } else if (btf_is_struct(source.type) && btf_is_struct(target.type)) {
    add_struct(from, source.id, from_bits.at, to, target.id, to_bits.at);
  } else if (btf_is_array(source.type) && btf_is_array(target.type)) {
    const struct btf_array* many = btf_array(source.type);
    const struct btf_array* wanted = btf_array(target.type);
    const uint32_t step = bits_of(from, many->type), to_step = bits_of(to, wanted->type);
    for (uint32_t i = 0; i < std::min(many->nelems, wanted->nelems); i++)
      add_value(from, many->type, {from_bits.at + i * step, step}, to, wanted->type,
                {to_bits.at + i * to_step, to_step});
  }
}

namespace {

constexpr bool kLittleEndian = std::endian::native == std::endian::little;

template <typename Integer>
uint64_t load(const std::byte* from) {
  Integer value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

template <typename Integer>
void store(std::byte* to, uint64_t value) {
  const auto narrow = static_cast<Integer>(value);
  std::memcpy(to, &narrow, sizeof(narrow));
}

// The bit of an integer that has `count` bits from `at` on; bit 0 is the lowest. Bits are numbered
// in the order of memory, which is that of significance on little-endian machines.
unsigned place(uint32_t at, uint32_t count, uint32_t bit, uint32_t* byte_at) {
  const uint32_t in_memory = kLittleEndian ? at + bit : at + count - 1 - bit;
  *byte_at = in_memory / 8;
  return kLittleEndian ? in_memory % 8 : 7 - in_memory % 8;
}

}  // namespace

uint64_t StructCopy::read(const std::byte* bytes, Bits bits) {
  if (bits.at % 8 == 0) {
    const std::byte* from = bytes + bits.at / 8;
    if (bits.count == 64) return load<uint64_t>(from);
    if (bits.count == 32) return load<uint32_t>(from);
    if (bits.count == 16) return load<uint16_t>(from);
    if (bits.count == 8) return load<uint8_t>(from);
  }
  uint64_t value = 0;
  for (uint32_t bit = 0; bit < bits.count; bit++) {
    uint32_t at = 0;
    const unsigned shift = place(bits.at, bits.count, bit, &at);
    value |= (std::to_integer<uint64_t>(bytes[at]) >> shift & 1) << bit;
  }
  return value;
}

void StructCopy::write(std::byte* bytes, Bits bits, uint64_t value) {
  if (bits.count < 64) value = std::min(value, (uint64_t{1} << bits.count) - 1);
  if (bits.at % 8 == 0) {
    std::byte* to = bytes + bits.at / 8;
    if (bits.count == 64) return store<uint64_t>(to, value);
    if (bits.count == 32) return store<uint32_t>(to, value);
    if (bits.count == 16) return store<uint16_t>(to, value);
    if (bits.count == 8) return store<uint8_t>(to, value);
  }
  for (uint32_t bit = 0; bit < bits.count; bit++) {
    uint32_t at = 0;
    const unsigned shift = place(bits.at, bits.count, bit, &at);
    const auto mask = static_cast<std::byte>(1u << shift);
    bytes[at] = (bytes[at] & ~mask) | (value >> bit & 1 ? mask : std::byte{0});
  }
}

void StructCopy::operator()(const std::byte* from, void* to) const {
  for (const Move& move : moves_)
    write(static_cast<std::byte*>(to), move.to, read(from, move.from));
}

}  // namespace flowmeter
