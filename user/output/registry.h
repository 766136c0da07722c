// SPDX-License-Identifier: BSD-3-Clause
// All kinds of output.
#pragma once

#include <span>

#include "output/output_kind.h"

namespace flowmeter {

// The environment variable with the value of the Authorization header. It is not an option, because
// everyone can see a command line.
inline constexpr char kAuthorizationVariable[] = "FLOWMETER_URL_AUTH";

// In the order of help.
std::span<const OutputKind* const> output_kinds();

// Appends the options of all outputs, bound to `options`.
void add_output_options(OutputOptions& options, std::vector<Option>& table);

}  // namespace flowmeter
