// SPDX-License-Identifier: BSD-3-Clause
// The beginning of an HTTP/1.x message: start line and, of the header, Content-Length. Reads only
// the octets given and keeps nothing of them but the method, in which only A-Z, - and _ can stand.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "application/verdict.h"

namespace flowmeter {

// Up to 16 letters in ten octets: flows keep eight of them.
class HttpMethod {
 public:
  static constexpr size_t kMinLength = 3, kMaxLength = 16;

  HttpMethod() = default;
  // Requires: at most kMaxLength octets of A-Z, - and _.
  explicit HttpMethod(Octets text);
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
  uint32_t header_octets;   // with the empty line; all there are if that is missing
};

// Whether an HTTP message begins at the first octet. Without all, kMore means that its kind, the
// end of its start line or the end of its header is still to come.
Verdict parse_http(Octets octets, bool all, HttpMessage* message);

}  // namespace flowmeter
