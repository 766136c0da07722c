// SPDX-License-Identifier: BSD-3-Clause
// moments.h with __bpf__ defined, in a translation unit of its own. Its functions are always
// inlined, so the two versions do not meet at link time. Nothing else of the core may be included
// here: a wire struct would differ.
#define __bpf__ 1
#include "flowmeter/moments.h"

#include "core/moments_bpf.h"

namespace flowmeter::testing {

void bpf_add_square(uint64_t* low, uint64_t* high, uint64_t x) {
  fm_u128 total{*low, *high};
  fm_u128_add_square(&total, x);
  *low = total.low;
  *high = total.high;
}

}  // namespace flowmeter::testing
