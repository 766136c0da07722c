// SPDX-License-Identifier: BSD-3-Clause
// The verdict of a parser about payload that may continue.
#pragma once

#include <cstdint>
#include <span>

namespace flowmeter {

using Bytes = std::span<const uint8_t>;

enum class Verdict : uint8_t {
  kNo,
  kMore,  // the next bytes decide; never returned for Extent::kAll
  kYes,
};

// Whether a parser is given all relevant bytes.
enum class Extent : uint8_t {
  kSoFar,  // more may come
  kAll,
};

constexpr uint16_t be16(const uint8_t* at) {
  return static_cast<uint16_t>(at[0] << 8 | at[1]);
}

}  // namespace flowmeter
