// SPDX-License-Identifier: BSD-3-Clause
// Columns that can be added to any feature set: where a flow was seen, and how far its numbers can
// be trusted.
#pragma once

#include "features/column.h"

namespace flowmeter {

FeatureSet columns_extra();

// The names of those that say how far a row can be trusted, comma-separated.
extern const char kQualityColumns[];

}  // namespace flowmeter
