// SPDX-License-Identifier: BSD-3-Clause
// Metering in the network namespace of a container (--netns).
#pragma once

#include <string>

#include "base/result.h"

namespace flowmeter {

// Moves the calling thread into a network namespace: interfaces, sockets and attachments made
// afterwards belong to it. `which` is one of
//
//  - a path, if it contains a slash: /proc/PID/ns/net, /run/netns/NAME, a container's file,
//  - a name in /run/netns (`ip netns`),
//  - a PID, if it is all digits and not a name in /run/netns. (Names take precedence, because a
//    process can also be given by its path.)
//
// Fails, naming the namespace, if it does not exist or CAP_SYS_ADMIN is missing. Requires: the
// process has no other threads, because they would stay in the old namespace. /sys/class/net still
// shows the namespace in which it was mounted.
Status enter_network_namespace(const std::string& which);

}  // namespace flowmeter
