// SPDX-License-Identifier: BSD-3-Clause
// What a parser says of octets that may go on.
#pragma once

#include <cstdint>
#include <span>

namespace flowmeter {

using Octets = std::span<const uint8_t>;

enum class Verdict : uint8_t {
  kNo,
  kMore,  // later octets decide; not said of octets that are all there will be
  kYes,
};

constexpr uint16_t be16(const uint8_t* at) {
  return static_cast<uint16_t>(at[0] << 8 | at[1]);
}

}  // namespace flowmeter
