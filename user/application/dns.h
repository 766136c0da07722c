// SPDX-License-Identifier: BSD-3-Clause
// The header and first question of a DNS message (RFC 1035).
#pragma once

#include <cstdint>

#include "application/verdict.h"

namespace flowmeter {

struct DnsMessage {
  bool response;
  uint8_t rcode;       // the four bits of the header
  uint16_t questions;  // as stated
  uint16_t type;       // of the first question; 0 without one
};

// Whether a DNS message begins at the first octet. all: no more octets of it can come.
Verdict parse_dns(Octets octets, bool all, DnsMessage* message);

}  // namespace flowmeter
