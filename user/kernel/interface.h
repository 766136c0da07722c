// SPDX-License-Identifier: BSD-3-Clause
// The properties of a network interface that the meter needs, and the link types that it meters.
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
  bool has_link_header = true;  // Ethernet; else packets start with IP
  bool is_loopback = false;
  uint32_t mtu = 0;
  bool is_up = false;
  std::vector<std::string> alternative_names;  // as of `ip link property add altname`
  // The rank of a device that is on top of others is greater than theirs. A packet passes devices
  // of different ranks one after the other, and only one of each rank on its way in or out.
  uint32_t rank = 0;
  // For --attribute: what comes out of it may still have the socket that has sent it. (It passed
  // no real link, but for instance a veth pair.)
  bool senders_are_local = false;
  // Where the other end of a pair (veth, netkit) is. Not yet: it is being made.
  enum class Peer : uint8_t { kNone, kNotYet, kHere, kElsewhere } peer = Peer::kNone;
  unsigned peer_index = 0;  // if it is here

  bool operator==(const Interface&) const = default;
};

// The kernel's own counters (rtnl_link_stats64), as `ip -s link` shows them.
struct LinkCounters {
  uint64_t rx_packets = 0;
  uint64_t tx_packets = 0;
  uint64_t rx_bytes = 0;
  uint64_t tx_bytes = 0;

  bool operator==(const LinkCounters&) const = default;
  uint64_t packets() const { return rx_packets + tx_packets; }
};

// Sets how packets of this link type (ARPHRD_…) start. False if such links are not metered. Only
// this function decides that.
bool set_link_type(Interface& interface, unsigned short link_type);

// The rank by the kind of virtual device ("bridge", "bond", …; "" for others).
uint32_t rank_of_kind(std::string_view kind);

// Interface::senders_are_local by the kind of virtual device.
bool senders_are_local(std::string_view kind);
// Whether links of this kind are made in pairs.
bool is_pair_kind(std::string_view kind);

// The interface with this name or alternative name. Fails if links of its type are not metered, or
// if there is none; then the error names those that exist.
Result<Interface> find_interface(const std::string& name);

// Fails if the interface is not in this network namespace.
Result<LinkCounters> link_counters(unsigned index);

}  // namespace flowmeter
