// SPDX-License-Identifier: BSD-3-Clause
// The outputs of a run: whether they can be combined, and their sinks.
#pragma once

#include <memory>
#include <vector>

#include "features/column.h"
#include "output/output_file.h"
#include "output/output_kind.h"
#include "output/sink_group.h"

namespace flowmeter {

// Checks the outputs as a whole; fails with a usage error. Requires: at least one is named.
Status check_outputs(const OutputOptions& options);

// Whether it is a rotated or compressed file, which is made beside its path and then renamed.
bool is_whole_file(const std::string& path, const OutputOptions& options);

// How a file that is neither rotated nor compressed is written. Requires: settle_options().
OutputFile::Options file_options(const OutputOptions& options);

// Opens all of them. Requires: settle_options() was called, no privilege has been given up, no
// thread is running, and host outlives them.
Result<std::unique_ptr<SinkGroup>> open_outputs(const OutputOptions& options,
                                                const std::vector<Column>& columns, Host& host);

}  // namespace flowmeter
