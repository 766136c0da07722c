// SPDX-License-Identifier: BSD-3-Clause
// What the configuration of a run means for its kernel side.
#pragma once

#include "base/host.h"
#include "kernel/bpf_datapath.h"
#include "kernel/metered_interfaces.h"
#include "run/config.h"

namespace flowmeter {

// The selectors of the -i arguments.
Result<MeteredInterfaces::Options> interface_options(const Config& config);

// several: more than one interface may be metered.
BpfDatapath::Config datapath_config(const Config& config, bool several, Host& host);

}  // namespace flowmeter
