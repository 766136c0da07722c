// SPDX-License-Identifier: BSD-3-Clause
// Connections that the kernel tracks (nf_conntrack), by ctnetlink: those that exist, and those that
// begin. Only TCP and UDP.
//
// Belongs to the network namespace in which it is opened. Needs CAP_NET_ADMIN, to open and to list.
#pragma once

#include <functional>
#include <string_view>

#include "base/result.h"
#include "flowmeter/flow_key.h"
#include "kernel/netlink_notifications.h"

namespace flowmeter {

// One way of a connection, as its packets have it.
struct ConntrackTuple {
  fm_address source{}, destination{};
  uint16_t source_port = 0, destination_port = 0;
};

struct ConntrackEntry {
  uint8_t protocol = 0;
  uint8_t ip_version = 0;
  ConntrackTuple original;  // as the client sends
  ConntrackTuple reply;     // as the server answers: another source if the destination was changed
};

class Conntrack {
 public:
  using Take = std::function<void(const ConntrackEntry&)>;

  static Result<Conntrack> open();

  // Passes on all that exist.
  static Status list(const Take& take);
  // Passes on those that have begun since the last call, at most `most` messages. Never waits.
  // Returns false if some were lost because too many began.
  Result<bool> receive(const Take& take, size_t most);

 private:
  explicit Conntrack(NetlinkNotifications notifications)
      : notifications_(std::move(notifications)) {}

  NetlinkNotifications notifications_;
};

// Passes on the entries of one datagram of the kernel. False if it is damaged.
bool parse_conntrack_messages(std::string_view datagram, const Conntrack::Take& take);

}  // namespace flowmeter
