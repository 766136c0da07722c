// SPDX-License-Identifier: BSD-3-Clause
// Feature sets as text and as JSON: what --list-fields and `features` print, and what the documents
// are generated from.
#pragma once

#include <string>

#include "features/feature_sets.h"

namespace flowmeter {

// A line a column: name, unit, definition.
std::string columns_text(FeatureSet columns);

// A line a set: name, number of columns, what it is.
std::string feature_sets_text();

// {"name": …, "description": …, "defaults": {…}, "columns": [{"name": …, "unit": …,
// "definition": …}, …]}
std::string feature_set_json(const NamedFeatureSet& set);

// {"sets": [each as above], "further_columns": […]}
std::string feature_sets_json();

}  // namespace flowmeter
