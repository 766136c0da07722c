// SPDX-License-Identifier: BSD-3-Clause
// Columns that can be added to any feature set: where a flow was seen, and how reliable its numbers
// are.
#pragma once

#include "features/column.h"

namespace flowmeter {

FeatureSet columns_extra();

// The names of the columns that say how reliable a row is, comma-separated.
extern const char kQualityColumns[];

}  // namespace flowmeter
