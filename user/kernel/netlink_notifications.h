// SPDX-License-Identifier: BSD-3-Clause
// Notifications that the kernel sends by netlink, from open() on.
//
// A socket belongs to the network namespace in which it was opened.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace flowmeter {

class NetlinkNotifications {
 public:
  // groups: a bit mask (sockaddr_nl). buffer_bytes: how much may wait; less if that is not
  // permitted. An error has only the system's reason.
  static Result<NetlinkNotifications> open(int protocol, uint32_t groups, int buffer_bytes);

  enum class Receipt {
    kDatagram,  // of one or more messages; it may be empty
    kNothing,   // nothing is waiting
    kLost,      // some found no room in the socket's buffer or in ours
  };
  // Never waits. The datagram is valid until the next call.
  Result<Receipt> receive(std::string_view& datagram);

  int fd() const { return fd_.get(); }

 private:
  explicit NetlinkNotifications(UniqueFd fd);

  UniqueFd fd_;
  std::vector<char> buffer_;
};

}  // namespace flowmeter
