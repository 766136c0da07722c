// SPDX-License-Identifier: BSD-3-Clause
// The clocks of a live run.
//
// BPF programs stamp packets with the kernel's monotonic clock (bpf_ktime_get_ns), which is
// CLOCK_MONOTONIC of the initial time namespace. In another time namespace (`unshare --time
// --monotonic N`, some containers) user space sees CLOCK_MONOTONIC shifted; monotonic_ns() takes
// the shift back, so that it can be compared with a packet's stamp. The wall clock knows no time
// namespaces.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace flowmeter {

// The kernel's monotonic clock. It stands still while the machine is suspended.
uint64_t monotonic_ns();

// Since 1970.
uint64_t wall_ns();

// The wall time at which the monotonic clock was 0, by the wall clock of now: it moves with every
// step of the wall clock and by the time of each suspend.
__int128 monotonic_origin_unix_ns();

// By how much CLOCK_MONOTONIC of this process is ahead of the kernel's. 0 where this cannot be read
// (no /proc, no time namespaces). Read anew by each call; monotonic_ns() reads it once.
int64_t monotonic_shift_ns();

// The same, of the text of /proc/self/timens_offsets; nothing if it does not say.
std::optional<int64_t> parse_monotonic_shift_ns(std::string_view timens_offsets);

}  // namespace flowmeter
