// SPDX-License-Identifier: BSD-3-Clause
// Which interfaces lead to the rest of the world.
#pragma once

#include <array>
#include <optional>

namespace flowmeter {

// The indexes of the interfaces through which this network namespace reaches global addresses, by
// IPv4 and by IPv6; 0: none. In a container, it is the container's own end of its veth pair.
// Nothing: the kernel could not be asked.
std::optional<std::array<unsigned, 2>> find_uplinks();

}  // namespace flowmeter
