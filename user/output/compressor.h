// SPDX-License-Identifier: BSD-3-Clause
// Compression of a file's octets as they come, chosen by the file's name.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flowmeter {

class Compressor {
 public:
  virtual ~Compressor() = default;
  // Appends to out what is ready; the rest waits inside. end: the last of a file, then a new one
  // begins.
  virtual Status add(std::string_view octets, bool end, std::string* out) = 0;
};

// zstd for .zst, gzip for .gz, null for any other name.
Result<std::unique_ptr<Compressor>> compressor_for(const std::string& path);

}  // namespace flowmeter
