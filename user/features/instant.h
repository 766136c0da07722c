// SPDX-License-Identifier: BSD-3-Clause
// The text of a point in time, and the quantity that it is a cell of.
#pragma once

#include "features/column.h"

namespace flowmeter {

// UTC, "YYYY-MM-DD HH:MM:SS.ffffff", truncated, not rounded. Outside the years 0 to 9999: seconds
// since the epoch, then ".ffffff".
Cell time_text(ClockOrigin clock, uint64_t time_ns);

// Seconds since the epoch, always with nine decimals. They are made from integer nanoseconds,
// because a double is not precise enough. Before the epoch: a minus sign and the absolute value.
Cell epoch_text(ClockOrigin clock, uint64_t time_ns);

// decimals: 6 or 9, of the formats that have no fixed number of them. Truncated towards the past.
// kIso outside the years 0 to 9999: seconds since the epoch, with these decimals.
Cell instant_text(TimeFormat format, unsigned decimals, ClockOrigin clock, uint64_t time_ns);

template <TimeFormat kFormat, unsigned kDecimals, typename Read>
Cell get_instant_as(const FlowRecord& f) {
  const Instant at = Read{}(f);
  return instant_text(kFormat, kDecimals, at.clock, at.time_ns);
}

// A point in time. `Read` returns an Instant; kWrite makes the text that the feature set has, with
// this number of decimals.
template <Cell (*kWrite)(ClockOrigin, uint64_t), unsigned kDecimals, typename Read>
constexpr Quantity instant_of(Unit unit, std::string_view text, Read) {
  return {.type = ColumnType::kTime,
          .unit = unit,
          .way = Way::kBoth,
          .text = text,
          .get =
              [](const FlowRecord& f) {
                const Instant at = Read{}(f);
                return kWrite(at.clock, at.time_ns);
              },
          .instant = [](const FlowRecord& f) { return Read{}(f); },
          .getter_as = [](TimeFormat format) -> Getter {
            using enum TimeFormat;
            switch (format) {
              case kPython:
                return get_instant_as<kPython, kDecimals, Read>;
              case kIso:
                return get_instant_as<kIso, kDecimals, Read>;
              case kEpoch:
                return get_instant_as<kEpoch, kDecimals, Read>;
              case kEpochMicroseconds:
                break;
            }
            return get_instant_as<kEpochMicroseconds, kDecimals, Read>;
          }};
}

}  // namespace flowmeter
