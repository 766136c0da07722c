// SPDX-License-Identifier: BSD-3-Clause
// The 82 columns of nqmn/cicflowmeter 0.4.1: its names and order, and the definitions of
// docs/features.md.
#pragma once

#include "features/column.h"

namespace flowmeter {

FeatureSet columns_82();

}  // namespace flowmeter
