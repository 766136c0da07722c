// SPDX-License-Identifier: BSD-3-Clause
#include "features/column.h"

namespace flowmeter {

std::string_view unit_name(Unit unit) {
  switch (unit) {
    case Unit::kNone:
      return "-";
    case Unit::kText:
      return "text";
    case Unit::kTime:
      return "UTC";
    case Unit::kSeconds:
      return "s";
    case Unit::kMicroseconds:
      return "us";
    case Unit::kPackets:
      return "packets";
    case Unit::kBytes:
      return "B";
    case Unit::kBytesSquared:
      return "B^2";
    case Unit::kBytesPerSecond:
      return "B/s";
    case Unit::kPerSecond:
      return "1/s";
  }
  return "-";
}

std::string Column::definition() const {
  constexpr std::string_view kWays[] = {"forward ", "backward ", ""}, kPlace = "{}";
  std::string all(text);
  for (size_t at = 0; (at = all.find(kPlace, at)) != std::string::npos;)
    all.replace(at, kPlace.size(), kWays[static_cast<size_t>(way)]);
  return all.append(note);
}

}  // namespace flowmeter
