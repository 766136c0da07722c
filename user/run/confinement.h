// SPDX-License-Identifier: BSD-3-Clause
// What a run needs once its outputs are open: the one list of the paths that it still uses.
#pragma once

#include "base/confinement.h"
#include "run/config.h"

namespace flowmeter {

// keep: capabilities (ops/privileges.h).
Confinement confinement_of(const Config& config, uint64_t keep);

}  // namespace flowmeter
