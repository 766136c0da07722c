// SPDX-License-Identifier: BSD-3-Clause
// What the application layer says of a finished flow.
#pragma once

#include <cstdint>
#include <string_view>

namespace flowmeter {

struct ApplicationSummary {
  uint64_t http_requests = 0;
  uint64_t http_responses = 0;
  std::string_view http_method = {};  // of most requests; empty: none
  uint32_t http_status = 0;           // of most responses; 0: none
  uint64_t http_content_length = 0;
  uint64_t tls_handshakes = 0;
  uint16_t tls_version = 0;  // 0: none
  uint64_t tls_cipher_suites = 0;
  uint64_t tls_extensions = 0;
  uint64_t dns_queries = 0;
  uint64_t dns_responses = 0;
  int dns_query_type = -1;  // of most queries; -1: none
  uint32_t dns_response_code = 0;
  bool unknown = false;  // payload of the flow was lost on the way: none of the above holds
};

}  // namespace flowmeter
