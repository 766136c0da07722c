// SPDX-License-Identifier: BSD-3-Clause
// The clocks of a live run.
//
// BPF programs stamp packets with the kernel's monotonic clock (bpf_ktime_get_ns), which is
// CLOCK_MONOTONIC of the initial time namespace. In another time namespace (`unshare --time
// --monotonic N`, some containers) user space sees CLOCK_MONOTONIC shifted; monotonic_ns() removes
// the shift, so that it can be compared with a packet's stamp. Time namespaces do not change the
// wall clock.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace flowmeter {

// The kernel's monotonic clock. It stops while the machine is suspended.
uint64_t monotonic_ns();

// Nanoseconds since 1970.
uint64_t wall_ns();

// The wall time at which the monotonic clock was 0, by the current wall clock. It changes with
// every step of the wall clock, and with each suspend by its length.
__int128 monotonic_origin_unix_ns();

// How far CLOCK_MONOTONIC of this process is ahead of the kernel's. 0 where this cannot be read
// (no /proc, no time namespaces). Each call reads it again; monotonic_ns() reads it once.
int64_t monotonic_shift_ns();

// The same, read from the text of /proc/self/timens_offsets. Returns nothing if the text has no
// such offset.
std::optional<int64_t> parse_monotonic_shift_ns(std::string_view timens_offsets);

}  // namespace flowmeter
