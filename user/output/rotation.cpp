// SPDX-License-Identifier: BSD-3-Clause
#include "output/rotation.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

namespace flowmeter {
namespace {

enum class Unit { kFiles, kTime, kSize };

struct Suffix {
  std::string_view name;
  uint64_t factor;
  Unit unit;
};

constexpr std::array kSuffixes = {
    Suffix{"", 1, Unit::kFiles},         Suffix{"s", 1, Unit::kTime},
    Suffix{"m", 60, Unit::kTime},        Suffix{"h", 3600, Unit::kTime},
    Suffix{"d", 86400, Unit::kTime},     Suffix{"KB", 1000, Unit::kSize},
    Suffix{"MB", 1000000, Unit::kSize},  Suffix{"GB", 1000000000, Unit::kSize},
    Suffix{"KiB", 1 << 10, Unit::kSize}, Suffix{"MiB", 1 << 20, Unit::kSize},
    Suffix{"GiB", 1 << 30, Unit::kSize},
};

struct Amount {
  uint64_t value;
  Unit unit;
};

std::optional<Amount> parse_amount(const std::string& text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view rest(end, static_cast<size_t>(text.data() + text.size() - end));
  const auto suffix = std::find_if(kSuffixes.begin(), kSuffixes.end(),
                                   [rest](const Suffix& each) { return each.name == rest; });
  // A billion is more than anyone needs, and its products do not overflow.
  if (error != std::errc() || number == 0 || number > 1'000'000'000 || suffix == kSuffixes.end())
    return std::nullopt;
  return Amount{number * suffix->factor, suffix->unit};
}

}  // namespace

Result<Rotation> Rotation::parse(const std::string& text) {
  const auto amount = parse_amount(text);
  if (!amount || amount->unit == Unit::kFiles)
    return Error{"\"" + text +
                 "\" is neither a time (90s, 15m, 1h, 1d) nor a size (500KB, 500MB, "
                 "2GB, 500MiB)"};
  Rotation rotation;
  (amount->unit == Unit::kTime ? rotation.seconds : rotation.bytes) = amount->value;
  return rotation;
}

Result<Retention> Retention::parse(const std::string& text) {
  const auto amount = parse_amount(text);
  if (!amount || amount->unit == Unit::kTime)
    return Error{"\"" + text +
                 "\" is neither a number of files (48) nor a size (500MB, 10GB, 500MiB)"};
  Retention retention;
  (amount->unit == Unit::kFiles ? retention.files : retention.bytes) = amount->value;
  return retention;
}

}  // namespace flowmeter
