// SPDX-License-Identifier: BSD-3-Clause
// The outputs of a run: whether they go together, and the sinks that they ask for.
#pragma once

#include <memory>
#include <vector>

#include "features/column.h"
#include "output/output_kind.h"
#include "output/sink_group.h"

namespace flowmeter {

// What is wrong with the outputs as a whole: a usage error. Requires: at least one is named.
Status check_outputs(const OutputOptions& options);

// Opens all of them. Requires: no privilege has been given up, and no thread runs; host lives
// longer than they do.
Result<std::unique_ptr<SinkGroup>> open_outputs(const OutputOptions& options,
                                                const std::vector<Column>& columns, bool live,
                                                bool quiet, Host& host);

}  // namespace flowmeter
