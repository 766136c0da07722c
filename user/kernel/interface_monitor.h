// SPDX-License-Identifier: BSD-3-Clause
// Follows the interfaces of a network namespace: which exist, and which appear, change and vanish.
//
// Belongs to the namespace in which it was opened. It subscribes to the kernel's notifications
// before it lists existing interfaces, so that it misses nothing. When notifications were lost
// (more at once than the socket's buffer holds), it lists again and reports the differences. Not
// thread-safe.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
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
      kAppeared,  // was created here, or moved here from another network namespace
      kChanged,   // any member of Interface except its index, or is_known_link_type
      kVanished,  // was deleted, or moved to another network namespace
    } kind;
    Interface interface;              // its current state; if it vanished, its last one
    std::string old_name;             // if it was renamed; else empty
    bool is_known_link_type = false;  // whether links of its type are metered
    // Its own counters at the time of the change; nothing if the change was found by listing.
    std::optional<LinkCounters> counters = {};
  };

  // Appends the changes since the last call, in order. The first call reports all existing
  // interfaces as appeared. Never waits. A reported interface may already be gone; its kVanished
  // then follows. An interface that replaced another one under the same index is reported as
  // vanished and appeared (if notifications were lost meanwhile, only if its hardware address or
  // link type differs). Also reports that the other end of a pair has left or come back, of which
  // the kernel sends no notification; but not that the end of a new pair has got its other one. The
  // kernel reports the alternative names of a link that is down only when the link goes up.
  Status poll(std::vector<Change>& changes);

  // A descriptor that is readable when poll() has something to report.
  int fd() const { return socket_.fd(); }

 private:
  explicit InterfaceMonitor(RtnetlinkSocket socket) : socket_(std::move(socket)) {}
  Status list(std::vector<Change>& changes);
  void see(LinkMessage& link, std::vector<Change>& changes);
  void lose(unsigned index, const std::optional<LinkCounters>& counters,
            std::vector<Change>& changes);
  void join(unsigned index, const Interface& end, std::vector<Change>& changes);
  void part(std::vector<Change>& changes);

  RtnetlinkSocket socket_;
  std::map<unsigned, LinkMessage> known_;              // by index
  std::vector<std::pair<unsigned, unsigned>> parted_;  // pairs: who may be here, and who has gone
  std::vector<LinkMessage> messages_;
  bool must_list_ = true;
};

}  // namespace flowmeter
