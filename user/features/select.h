// SPDX-License-Identifier: BSD-3-Clause
// Picking columns of a feature set by name.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "features/column.h"

namespace flowmeter {

// names: comma-separated, blanks around them ignored; empty means all of set. The order is that of
// the names, which may be of extra as well; more are appended. An unknown name is a usage error
// that lists the names near to it.
Result<std::vector<Column>> select_columns(FeatureSet set, const std::string& names,
                                           FeatureSet extra = {}, const std::string& more = "");

}  // namespace flowmeter
