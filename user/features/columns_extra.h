// SPDX-License-Identifier: BSD-3-Clause
// Columns that go with any feature set, if asked for: where a flow was met, and how far its numbers
// can be trusted.
#pragma once

#include "features/column.h"

namespace flowmeter {

FeatureSet columns_extra();

// Names of those that tell the quality of a row, comma-separated.
extern const char kQualityColumns[];

}  // namespace flowmeter
