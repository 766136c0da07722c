// SPDX-License-Identifier: BSD-3-Clause
// The NetFlowMeter set: 7 columns that identify the flow and 114 features, with the names and the
// order of its published table and the definitions of docs/features.md. Requires: sizes are kept
// (fm_settings.with_sizes).
#pragma once

#include "features/column.h"

namespace flowmeter {

FeatureSet columns_114();

}  // namespace flowmeter
