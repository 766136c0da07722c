// SPDX-License-Identifier: BSD-3-Clause
// Compresses a file's bytes as they come, by the method that the file's name asks for.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flowmeter {

class Compressor {
 public:
  virtual ~Compressor() = default;
  // Appends to out what is ready; the rest waits inside.
  virtual Status add(std::string_view bytes, std::string* out) = 0;
  // Appends what waits and the end of the file to out. What is added next starts a new file.
  virtual Status end_file(std::string* out) = 0;
};

// ".zst" or ".gz", which compress what goes to such a path; "" for any other.
std::string_view compression_suffix(std::string_view path);

// That of the path's suffix; null if it has none.
Result<std::unique_ptr<Compressor>> compressor_for(const std::string& path);

}  // namespace flowmeter
