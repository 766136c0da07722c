// SPDX-License-Identifier: BSD-3-Clause
#include "base/sha1.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace flowmeter {
namespace {

uint32_t load_be32(const uint8_t* at) {
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

void store_be32(uint8_t* at, uint32_t value) {
  for (int i = 0; i < 4; i++) at[i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

}  // namespace

void Sha1::add(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const size_t at = bytes_ % kBlock;
    const size_t size = std::min(bytes.size(), kBlock - at);
    std::memcpy(waiting_.data() + at, bytes.data(), size);
    bytes_ += size;
    bytes = bytes.subspan(size);
    if (bytes_ % kBlock == 0) take_block(waiting_.data());
  }
}

void Sha1::fill_block() {
  static constexpr std::array<uint8_t, kBlock> kZeros{};
  if (const size_t at = bytes_ % kBlock; at != 0) add({kZeros.data(), kBlock - at});
}

Sha1::Digest Sha1::finish() {
  constexpr size_t kLengthAt = kBlock - sizeof(uint64_t);
  const uint64_t bits = bytes_ * 8;
  size_t at = bytes_ % kBlock;
  waiting_[at++] = 0x80;
  if (at > kLengthAt) {
    std::memset(waiting_.data() + at, 0, kBlock - at);
    take_block(waiting_.data());
    at = 0;
  }
  std::memset(waiting_.data() + at, 0, kLengthAt - at);
  store_be32(&waiting_[kLengthAt], static_cast<uint32_t>(bits >> 32));
  store_be32(&waiting_[kLengthAt + 4], static_cast<uint32_t>(bits));
  take_block(waiting_.data());
  Digest digest;
  for (size_t i = 0; i < state_.size(); i++) store_be32(&digest[4 * i], state_[i]);
  return digest;
}

void Sha1::take_block(const uint8_t* block) {
  std::array<uint32_t, 16> w;
  for (size_t i = 0; i < w.size(); i++) w[i] = load_be32(block + 4 * i);
  uint32_t a = state_[0], b = state_[1], c = state_[2], d = state_[3], e = state_[4];
  // The schedule's word t is made where word t - 16 was.
  const auto word = [&w](size_t t) {
    uint32_t& at = w[t % 16];
    if (t >= 16) at = std::rotl(at ^ w[(t + 2) % 16] ^ w[(t + 8) % 16] ^ w[(t + 13) % 16], 1);
    return at;
  };
  const auto step = [&](size_t t, uint32_t f, uint32_t k) {
    const uint32_t next = std::rotl(a, 5) + f + e + k + word(t);
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  };
  for (size_t t = 0; t < 20; t++) step(t, d ^ (b & (c ^ d)), 0x5a827999);
  for (size_t t = 20; t < 40; t++) step(t, b ^ c ^ d, 0x6ed9eba1);
  for (size_t t = 40; t < 60; t++) step(t, (b & c) | (d & (b | c)), 0x8f1bbcdc);
  for (size_t t = 60; t < 80; t++) step(t, b ^ c ^ d, 0xca62c1d6);
  state_ = {state_[0] + a, state_[1] + b, state_[2] + c, state_[3] + d, state_[4] + e};
}

}  // namespace flowmeter
