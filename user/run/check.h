// SPDX-License-Identifier: BSD-3-Clause
// What can be seen to be wrong before anything is opened.
#pragma once

#include "base/host.h"
#include "base/result.h"
#include "run/config.h"

namespace flowmeter {

// Whether the selectors can be read, and the interfaces that they name exist. In the network
// namespace of the run.
Status check_interfaces(const Config& config);

// The same; and capabilities, terminal and captures. No output is also an input.
Status check_inputs(const Config& config, Host& host);

}  // namespace flowmeter
