// SPDX-License-Identifier: BSD-3-Clause
// SHA-1 (RFC 3174). It names things (Community ID, ids of flows); it protects nothing: who can
// choose the input can make two inputs with one digest.
//
// Small and without a dependency, because Community ID is defined by it. A state can be copied:
// what follows the same beginning is hashed from there.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace flowmeter {

class Sha1 {
 public:
  using Digest = std::array<uint8_t, 20>;
  static constexpr size_t kBlock = 64;

  void add(std::span<const uint8_t> bytes);
  // Adds zeros up to the next whole block.
  void fill_block();
  // Of everything that was added. Nothing can be added after it.
  Digest finish();

 private:
  void take_block(const uint8_t* block);

  std::array<uint32_t, 5> state_ = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  uint64_t bytes_ = 0;  // added so far
  std::array<uint8_t, kBlock> waiting_{};
};

}  // namespace flowmeter
