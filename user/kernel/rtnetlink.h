// SPDX-License-Identifier: BSD-3-Clause
// Network interfaces ("links") by rtnetlink(7): listing them, reading one, and notifications of
// changes.
//
// A socket belongs to the network namespace in which it was opened.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernel/interface.h"
#include "kernel/netlink_notifications.h"

namespace flowmeter {

struct LinkMessage {
  // It is gone from this network namespace: deleted or moved. Only interface.index and, if the
  // kernel has told them, its last counters are set.
  bool is_deleted = false;
  Interface interface;
  unsigned short link_type = 0;  // ARPHRD_…
  bool is_known_link_type = false;
  std::string hardware_address;  // bytes
  std::optional<LinkCounters> counters;
};

// Appends the messages of one datagram that are about links. False if the datagram is damaged; the
// messages before the damage are appended.
bool parse_link_messages(std::string_view datagram, std::vector<LinkMessage>& messages);

// The kernel's notifications of changes, from open() on.
class RtnetlinkSocket {
 public:
  static Result<RtnetlinkSocket> open();

  enum class Receipt {
    kMessages,  // one datagram's messages, perhaps none
    kNothing,   // nothing is waiting
    kLost,      // a message did not fit into the socket's buffer or into ours, or was damaged
  };
  // Appends the messages of the next datagram. Never waits.
  Result<Receipt> receive(std::vector<LinkMessage>& messages);

  int fd() const { return notifications_.fd(); }

 private:
  explicit RtnetlinkSocket(NetlinkNotifications notifications)
      : notifications_(std::move(notifications)) {}

  NetlinkNotifications notifications_;
};

struct LinkList {
  std::vector<LinkMessage> links;
  bool is_whole = true;  // no link changed during the listing
};
// All links, without their counters.
Result<LinkList> list_links();

// With its counters.
Result<LinkMessage> read_link(unsigned index);

}  // namespace flowmeter
