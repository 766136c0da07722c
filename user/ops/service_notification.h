// SPDX-License-Identifier: BSD-3-Clause
// Tells the service manager how a run stands: sd_notify(3)'s protocol, a datagram to the socket
// that $NOTIFY_SOCKET names. So a unit of Type=notify is active when metering has begun, and what
// is ordered after it misses no packet. No library is needed for that.
#pragma once

#include <string_view>

#include "base/result.h"

namespace flowmeter {

// Sends lines such as "READY=1\nSTATUS=metering eth0". Without $NOTIFY_SOCKET (not started by a
// service manager) nothing is sent, and all is well.
Status notify_service(std::string_view lines);

}  // namespace flowmeter
