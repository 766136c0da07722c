// SPDX-License-Identifier: BSD-3-Clause
#include "features/column.h"

#include <algorithm>

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

Getter getter_of(FeatureSet set, std::string_view name) {
  const auto column =
      std::find_if(set.begin(), set.end(), [&](const Column& c) { return c.name == name; });
  return column == set.end() ? nullptr : column->get;
}

}  // namespace flowmeter
