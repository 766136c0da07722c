// SPDX-License-Identifier: BSD-3-Clause
// Totals of the messages in the payload of a finished flow.
#pragma once

#include <cstdint>

#include "application/http.h"

namespace flowmeter {

struct ApplicationSummary {
  uint64_t http_requests;
  uint64_t http_responses;
  uint64_t http_content_length;  // Σ of requests and responses
  HttpMethod http_method;        // most common one; empty text if none
  uint16_t http_code;            // most common one; 0 if none
  bool tls_version_known;
  bool dns_type_known;
  uint16_t tls_version;  // agreed, else offered
  uint64_t tls_messages;
  uint32_t tls_cipher_suites;
  uint32_t tls_extensions;
  uint64_t dns_queries;
  uint64_t dns_responses;
  uint16_t dns_type;  // most common one
  uint8_t dns_rcode;  // most common one; 0 if none
  bool unknown;       // payload that might have mattered was lost: all other members are invalid
};

}  // namespace flowmeter
