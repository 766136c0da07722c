// SPDX-License-Identifier: BSD-3-Clause
// What the process may do.
#pragma once

#include <string>

namespace flowmeter {

// The capabilities that metering an interface needs and the process lacks, as "CAP_BPF,
// CAP_NET_ADMIN"; empty if it has them all.
std::string missing_capabilities();

}  // namespace flowmeter
