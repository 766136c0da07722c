// SPDX-License-Identifier: BSD-3-Clause
// How well one interface can be metered: whether its packets can be read, how exact their counts
// are with its offloads, and which other programs see them. Changes nothing. Works without
// privileges, but then finds out less.
#pragma once

#include <string>

#include "ops/diagnosis.h"

namespace flowmeter {

// need: kRequired if the user named this interface, so it must be possible to meter it.
InterfaceDiagnosis diagnose_interface(const std::string& name, Need need);

// Adds the findings that follow from the other members: offloads, native_xdp, attached.
std::vector<Finding> offload_findings(const InterfaceDiagnosis& interface);
std::vector<Finding> attachment_findings(const InterfaceDiagnosis& interface);

}  // namespace flowmeter
