// SPDX-License-Identifier: BSD-3-Clause
// Text that identifies a flow: its addresses and its protocol.
#pragma once

#include <string>

#include "features/column.h"

namespace flowmeter {

// As glibc's inet_ntop writes it.
Cell address_text(const fm_address& address, uint8_t ip_version);

// "192.0.2.1:80", "[2001:db8::1]:80"; only the address of ICMP flows.
std::string endpoint_text(const fm_flow_key& key, unsigned end);

// "TCP", "UDP", "ICMP" or "ICMPv6".
std::string_view protocol_name(uint8_t protocol);

}  // namespace flowmeter
