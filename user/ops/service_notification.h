// SPDX-License-Identifier: BSD-3-Clause
// Reports the state of a run to the service manager, by the protocol of sd_notify(3): a datagram to
// the socket that $NOTIFY_SOCKET names. So a unit with Type=notify becomes active when metering has
// started, and packets of units ordered after it are all metered. This needs no library.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/host.h"
#include "base/result.h"

namespace flowmeter {

// Sends lines such as "READY=1\nSTATUS=metering eth0". Without $NOTIFY_SOCKET (not started by a
// service manager) nothing is sent, which is not an error.
Status notify_service(std::string_view lines);

// Tells a service manager that watches the process (WatchdogSec=) that the run works, or waits on
// purpose.
class ServiceWatchdog {
 public:
  // Requires: host outlives it.
  explicit ServiceWatchdog(Host& host);
  // Sends "WATCHDOG=1", four times within the time in which the manager expects one. May be called
  // all the time.
  void note_alive();

 private:
  Host& host_;
  uint64_t every_ns_ = 0;  // 0: nobody watches
  uint64_t next_ns_ = 0;
};

}  // namespace flowmeter
