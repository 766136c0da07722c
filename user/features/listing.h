// SPDX-License-Identifier: BSD-3-Clause
// Feature sets as text and as JSON. --list-fields and `features` print them, and the documents are
// generated from them.
#pragma once

#include <string>

#include "features/feature_sets.h"

namespace flowmeter {

// One line per column: name, unit, definition.
std::string columns_text(FeatureSet columns);

// One line per set: name, number of columns, description.
std::string feature_sets_text();

// {"name": …, "description": …, "defaults": {…}, "columns": [{"name": …, "unit": …,
// "definition": …}, …]}
std::string feature_set_json(const NamedFeatureSet& set);

// {"sets": [each as above], "further_columns": […]}
std::string feature_sets_json();

}  // namespace flowmeter
