// SPDX-License-Identifier: BSD-3-Clause
// Compresses a file by the method that the suffix of its name selects, as one frame or as a series
// of frames (gzip calls them members), of which each can be decompressed by itself.
#pragma once

#include <sys/types.h>

#include <cstdint>
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
  // Appends the remaining bytes and the end of the frame to out. The next bytes added start a new
  // frame.
  Status end_frame(std::string* out) { return compress({}, End::kOfFrame, out); }

 protected:
  enum class End { kNo, kOfFrame };
  virtual Status compress(std::string_view bytes, End end, std::string* out) = 0;
};

// The suffix of the path if it selects compression (".zst", ".gz"), else "".
std::string_view compression_suffix(std::string_view path);

// The compressor for the path's suffix; null if there is none.
Result<std::unique_ptr<Compressor>> compressor_for(const std::string& path);

// The first bytes of a file's text, or less if it ends there, also in a frame. Fails if the file is
// not compressed as the path's suffix says. Requires: that selects compression.
Result<std::string> decompressed_start(const std::string& path, int fd, size_t bytes);

// The end of the last frame of a file that is whole.
Result<off_t> end_of_frames(const std::string& path, int fd);

}  // namespace flowmeter
