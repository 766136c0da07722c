// SPDX-License-Identifier: BSD-3-Clause
// Selects columns of a feature set by name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "features/column.h"

namespace flowmeter {

// The comma-separated names, without the blanks around them.
std::vector<std::string_view> column_names(std::string_view list);

// names: comma-separated, blanks around them are ignored; an empty list selects the whole set. The
// columns come in the order of the names, which may be in `extra` as well. Those that `more` names
// are appended; if `extra` has a column of a name that the set has, too, it is that one, and it
// replaces the set's. An unknown name is a usage error that lists similar names.
Result<std::vector<Column>> select_columns(FeatureSet set, const std::string& names,
                                           FeatureSet extra = {}, const std::string& more = "");

}  // namespace flowmeter
