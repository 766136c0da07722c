// SPDX-License-Identifier: BSD-3-Clause
// The start of an HTTP/1.x message: the start line, and Content-Length in the header. Reads only
// the given bytes, and keeps only the method, which can only contain A-Z, - and _.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "application/verdict.h"

namespace flowmeter {

// Up to 16 letters in ten bytes: each flow keeps eight methods.
class HttpMethod {
 public:
  static constexpr size_t kMinLength = 3, kMaxLength = 16;

  HttpMethod() = default;
  // Requires: at most kMaxLength characters of A-Z, - and _.
  explicit HttpMethod(std::string_view text);
  std::string text() const;
  bool operator==(const HttpMethod&) const = default;

 private:
  std::array<uint16_t, 5> letters_;  // five bits each
};

struct HttpMessage {
  bool request;
  HttpMethod method;        // of a request
  uint16_t code;            // of a response
  uint64_t content_length;  // 0 without a valid one
  uint32_t header_bytes;    // including the empty line; all bytes if that line is missing
};

// Whether an HTTP message starts here. kMore means that its kind, the end of its start line or the
// end of its header is still missing.
Verdict parse_http(Bytes bytes, Extent extent, HttpMessage* message);

}  // namespace flowmeter
