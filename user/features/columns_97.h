// SPDX-License-Identifier: BSD-3-Clause
// The real-time set: 84 flow columns in the style of CIC-IDS and 13 of HTTP, TLS and DNS. The
// duration is in microseconds, all other times are in seconds.
#pragma once

#include "features/column.h"

namespace flowmeter {

FeatureSet columns_97();

}  // namespace flowmeter
