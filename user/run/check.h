// SPDX-License-Identifier: BSD-3-Clause
// Checks of the configuration, before anything is opened.
#pragma once

#include "base/host.h"
#include "base/result.h"
#include "run/config.h"

namespace flowmeter {

// Whether the selectors are valid, and the interfaces that they name exist. Requires: the thread is
// in the network namespace of the run.
Status check_interfaces(const Config& config);

// The same; also checks capabilities, kernel, terminal and captures, and that no output is also an
// input.
Status check_inputs(const Config& config, Host& host);

}  // namespace flowmeter
