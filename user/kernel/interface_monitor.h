// SPDX-License-Identifier: BSD-3-Clause
// Follows the interfaces of a network namespace: which exist, and which appear, change and vanish.
//
// Belongs to the namespace in which it was opened. It subscribes to the kernel's notifications
// before it lists what exists, so that it misses nothing. When notifications were lost (more at
// once than the socket's buffer holds), it lists again and reports the differences. Not for several
// threads at once.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/interface.h"
#include "kernel/rtnetlink.h"

namespace flowmeter {

class InterfaceMonitor {
 public:
  static Result<std::unique_ptr<InterfaceMonitor>> open();

  struct Change {
    enum class Kind {
      kAppeared,  // was made here, or moved here from another network namespace
      kChanged,   // any member of Interface but its index, or is_known_link_type
      kVanished,  // was deleted, or moved to another network namespace
    } kind;
    Interface interface;              // as it is now; if it vanished, as it was last
    std::string old_name;             // if it was renamed; else empty
    bool is_known_link_type = false;  // whether links of its type are metered
  };

  // Appends what has changed since the last call, in order. The first call reports all interfaces
  // that exist as appeared. Never waits. An interface that is reported may already be gone; then
  // its kVanished follows. One that replaced another under the same index is reported as vanished
  // and appeared; if notifications were lost meanwhile, only if its hardware address or link type
  // differs. The kernel reports the alternative names of a link that is down when the link goes up.
  Status poll(std::vector<Change>& changes);

  // Is readable when there is something to poll().
  int fd() const { return socket_.fd(); }

 private:
  struct Known {
    Interface interface;
    unsigned short link_type = 0;
    bool is_known_link_type = false;
    std::string hardware_address;
  };

  explicit InterfaceMonitor(RtnetlinkSocket socket) : socket_(std::move(socket)) {}
  Status list(std::vector<Change>& changes);
  void see(LinkMessage& link, std::vector<Change>& changes);
  void lose(unsigned index, std::vector<Change>& changes);

  RtnetlinkSocket socket_;
  std::map<unsigned, Known> known_;  // by index
  std::vector<LinkMessage> messages_;
  bool must_list_ = true;
};

}  // namespace flowmeter
