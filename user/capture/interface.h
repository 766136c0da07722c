// SPDX-License-Identifier: BSD-3-Clause
// What the meter must know of a network interface.
#pragma once

#include <string>

#include "base/result.h"

namespace flowmeter {

struct Interface {
  std::string name;
  unsigned index = 0;
  bool has_link_header = true;  // Ethernet; else packets begin with IP
  bool is_loopback = false;
};

// Fails, naming the interfaces there are, if there is none of this name, or if its link layer is
// not known.
Result<Interface> find_interface(const std::string& name);

// Whether the interface is still in this network namespace, under whatever name.
bool interface_exists(const Interface& interface);

}  // namespace flowmeter
