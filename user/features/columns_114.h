// SPDX-License-Identifier: BSD-3-Clause
// The NetFlowMeter set: 7 columns that identify the flow and 114 features, by the names and order
// of its published table, with the definitions of docs/features.md. Needs sizes to be kept
// (fm_settings.with_sizes).
#pragma once

#include "features/column.h"

namespace flowmeter {

FeatureSet columns_114();

}  // namespace flowmeter
