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

}  // namespace flowmeter
