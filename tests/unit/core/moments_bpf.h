// SPDX-License-Identifier: BSD-3-Clause
// fm_u128_add_square as BPF compiles it, called from user space: the product is put together from
// 32-bit halves.
#pragma once

#include <cstdint>

namespace flowmeter::testing {

// *low and *high: the total, to which x * x is added.
void bpf_add_square(uint64_t* low, uint64_t* high, uint64_t x);

}  // namespace flowmeter::testing
