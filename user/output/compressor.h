// SPDX-License-Identifier: BSD-3-Clause
// Compresses a file as a stream, by the method that the suffix of its name selects.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flowmeter {

class Compressor {
 public:
  virtual ~Compressor() = default;
  // Appends the bytes that are ready to out. The rest is kept inside.
  Status add(std::string_view bytes, std::string* out) { return compress(bytes, End::kNo, out); }
  // Appends the remaining bytes and the end of the file to out. The next bytes added start a new
  // file.
  Status end_file(std::string* out) { return compress({}, End::kOfFile, out); }

 protected:
  enum class End { kNo, kOfFile };
  virtual Status compress(std::string_view bytes, End end, std::string* out) = 0;
};

// The suffix of the path if it selects compression (".zst", ".gz"), else "".
std::string_view compression_suffix(std::string_view path);

// The compressor for the path's suffix; null if there is none.
Result<std::unique_ptr<Compressor>> compressor_for(const std::string& path);

}  // namespace flowmeter
