// SPDX-License-Identifier: BSD-3-Clause
// Text that identifies a flow: its addresses, its protocol, and the time of its first packet.
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

// UTC, "YYYY-MM-DD HH:MM:SS.ffffff", truncated, not rounded. Outside the years 0 to 9999: seconds
// since the epoch, then ".ffffff".
Cell time_text(ClockOrigin clock, uint64_t time_ns);

// Seconds since the epoch, always with nine decimals. They are made from integer nanoseconds,
// because a double is not precise enough. Before the epoch: a minus sign and the absolute value.
Cell epoch_text(ClockOrigin clock, uint64_t time_ns);

}  // namespace flowmeter
