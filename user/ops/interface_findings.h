// SPDX-License-Identifier: BSD-3-Clause
// How well one interface can be metered: whether its packets can be read, how exact their counts
// are under its offloads, and who else sees them. Changes nothing. Works without any privilege, but
// then finds out less.
#pragma once

#include <string>

#include "ops/diagnosis.h"

namespace flowmeter {

// demanded: the user asked for this interface, so it must be possible to meter it.
InterfaceDiagnosis diagnose_interface(const std::string& name, bool demanded);

// The findings that follow from what is filled in already: offloads, native_xdp, attached.
std::vector<Finding> offload_findings(const InterfaceDiagnosis& interface);
std::vector<Finding> attachment_findings(const InterfaceDiagnosis& interface);

}  // namespace flowmeter
