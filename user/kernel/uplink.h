// SPDX-License-Identifier: BSD-3-Clause
// Which interfaces lead to the rest of the world.
#pragma once

namespace flowmeter {

// Whether this network namespace reaches global addresses through the interface: then it is for
// instance a container's own end of its veth pair. False if no route is known.
bool is_uplink(unsigned index);

}  // namespace flowmeter
