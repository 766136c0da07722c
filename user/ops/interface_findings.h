// SPDX-License-Identifier: BSD-3-Clause
// What metering one interface would give: whether its packets can be read, how exact their counts
// are under its offloads, and who else sees them. Only asks. Works without any privilege, with less
// to say.
#pragma once

#include <string>

#include "ops/diagnosis.h"

namespace flowmeter {

// demanded: the user asked for this interface, so that metering it is what must be possible.
InterfaceDiagnosis diagnose_interface(const std::string& name, bool demanded);

// The findings that follow from what is filled in already: offloads, native_xdp, attached.
std::vector<Finding> offload_findings(const InterfaceDiagnosis& interface);
std::vector<Finding> attachment_findings(const InterfaceDiagnosis& interface);

}  // namespace flowmeter
