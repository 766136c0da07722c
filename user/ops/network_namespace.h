// SPDX-License-Identifier: BSD-3-Clause
// Metering in the network namespace of a container (--netns).
#pragma once

#include <string>

#include "base/result.h"

namespace flowmeter {

// Moves the calling thread into a network namespace: interfaces, sockets and attachments made
// afterwards belong to it. `which` is
//   a path if it contains a slash: /proc/PID/ns/net, /run/netns/NAME, a container's file;
//   else a name of /run/netns (`ip netns`);
//   else a PID if it is all digits. Names take precedence, because a process can always be named by
//   its path.
// Fails, naming the namespace, if it does not exist or CAP_SYS_ADMIN is missing. Requires: the
// process has no other threads, which would stay where they are. /sys/class/net still shows the
// namespace in which it was mounted.
Status enter_network_namespace(const std::string& which);

}  // namespace flowmeter
