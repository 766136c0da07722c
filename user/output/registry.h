// SPDX-License-Identifier: BSD-3-Clause
// All kinds of output. Those of files can also be named by what uses them.
#pragma once

#include <span>

#include "output/output_kind.h"

namespace flowmeter {

extern const OutputKind kCsvOutput, kJsonOutput, kHttpOutput, kTableOutput;

// In the environment: the value of the Authorization header. It is no option, as a command line can
// be seen by everyone.
inline constexpr char kAuthorizationVariable[] = "FLOWMETER_URL_AUTH";

// In the order of help.
std::span<const OutputKind* const> output_kinds();

// Appends the options of all outputs, bound to `options`.
void add_output_options(OutputOptions& options, std::vector<Option>& table);

}  // namespace flowmeter
