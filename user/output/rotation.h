// SPDX-License-Identifier: BSD-3-Clause
// The limits of rotated files: when one ends, and how much is kept of those that are complete.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace flowmeter {

// When a file ends and the next one starts, at whole rows. At least one of the two is set.
struct Rotation {
  uint64_t seconds = 0;  // at multiples of this since 1970
  uint64_t bytes = 0;    // before a file gets longer than this; a compressed one soon after

  // "90s", "15m", "1h", "1d"; "500KB", "500MB", "2GB" (decimal), "500MiB", ….
  static Result<Rotation> parse(const std::string& text);
};

// How much is kept. One of the two is set.
struct Retention {
  uint64_t files = 0;
  uint64_t bytes = 0;  // of all files together

  // "48"; "500MB", "10GB", "500MiB", ….
  static Result<Retention> parse(const std::string& text);
};

}  // namespace flowmeter
