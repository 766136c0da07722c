// SPDX-License-Identifier: BSD-3-Clause
// The header and first question of a DNS message (RFC 1035).
#pragma once

#include <cstddef>
#include <cstdint>

#include "application/verdict.h"

namespace flowmeter {

struct DnsMessage {
  bool response;
  uint8_t rcode;       // the four bits in the header
  uint16_t questions;  // as stated
  uint16_t type;       // of the first question; 0 without one
};

// Whether a DNS message of this length starts here. Missing bytes may still arrive.
Verdict parse_dns(Bytes bytes, size_t length, DnsMessage* message);

}  // namespace flowmeter
