// SPDX-License-Identifier: BSD-3-Clause
// What the meter must know of a network interface, and which link types it meters.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace flowmeter {

struct Interface {
  std::string name;
  unsigned index = 0;           // in its network namespace
  bool has_link_header = true;  // Ethernet; else packets begin with IP
  bool is_loopback = false;
  uint32_t mtu = 0;
  bool is_up = false;
  std::vector<std::string> alternative_names;  // as of `ip link property add altname`
  // Of a device that is made of others, greater than theirs: a packet passes devices of different
  // ranks one after the other, and only one of each rank on its way in or out.
  uint32_t rank = 0;

  bool operator==(const Interface&) const = default;
};

// As the kernel counts on its own (rtnl_link_stats64): what `ip -s link` shows.
struct LinkCounters {
  uint64_t rx_packets = 0;
  uint64_t tx_packets = 0;
  uint64_t rx_bytes = 0;
  uint64_t tx_bytes = 0;

  bool operator==(const LinkCounters&) const = default;
};

// Sets how packets of this link type (ARPHRD_…) begin; false if such links are not metered. The one
// place that decides it.
bool set_link_type(Interface& interface, unsigned short link_type);

// By the kind of virtual device ("bridge", "bond", …; "" for others).
uint32_t rank_of_kind(std::string_view kind);

// The interface of this name or alternative name. Fails, naming the interfaces there are, if there
// is none, or if links of its type are not metered.
Result<Interface> find_interface(const std::string& name);

// Fails if the interface is not in this network namespace.
Result<LinkCounters> link_counters(unsigned index);

}  // namespace flowmeter
