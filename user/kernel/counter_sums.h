// SPDX-License-Identifier: BSD-3-Clause
// Sums of structs that consist of 64-bit counters only, so that a new counter cannot be forgotten.
#pragma once

#include <cstddef>
#include <cstdint>

#include "flowmeter/base.h"

namespace flowmeter {

template <typename Counters>
void add_counters(Counters& total, const Counters& more) {
  auto* to = reinterpret_cast<fm_word*>(&total);
  const auto* from = reinterpret_cast<const fm_word*>(&more);
  for (size_t i = 0; i < sizeof(Counters) / sizeof(uint64_t); i++) to[i] += from[i];
}

}  // namespace flowmeter
