// SPDX-License-Identifier: BSD-3-Clause
// Columns that can be added to any feature set: where a flow was seen, how reliable its numbers
// are, and what identifies the row among those of many meters.
#pragma once

#include "features/column.h"

namespace flowmeter {

FeatureSet columns_extra();

// The names of the columns that say how reliable a row is, comma-separated.
extern const char kQualityColumns[];
// The names of the columns that say which meter and which flow a row is of, comma-separated.
extern const char kFleetColumns[];
// Whether one of these is in a comma-separated list of columns.
bool names_fleet_column(std::string_view names);

}  // namespace flowmeter
