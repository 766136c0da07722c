// SPDX-License-Identifier: BSD-3-Clause
// What a parser says about payload that may go on.
#pragma once

#include <cstdint>
#include <span>

namespace flowmeter {

using Bytes = std::span<const uint8_t>;

enum class Verdict : uint8_t {
  kNo,
  kMore,  // what follows decides; never said of Extent::kAll
  kYes,
};

// How much a parser is given of what it may look at.
enum class Extent : uint8_t {
  kSoFar,  // more may come
  kAll,
};

constexpr uint16_t be16(const uint8_t* at) {
  return static_cast<uint16_t>(at[0] << 8 | at[1]);
}

}  // namespace flowmeter
