// SPDX-License-Identifier: BSD-3-Clause
#include "base/option.h"

#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace flowmeter {
namespace {

std::string short_decimal(double number) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.12g", number);
  return text;
}

// long double, because a double would be a nanosecond off for a month and longer.
Result<long double> to_seconds(const std::string& text, double least, double most) {
  long double value = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  if (read.ec != std::errc() || read.ptr != end || !std::isfinite(value))
    return Error{"\"" + text + "\" is not a number of seconds"};
  if (value < least || value > most)
    return Error{"\"" + text + "\" is not between " + short_decimal(least) + " and " +
                 short_decimal(most) + " seconds"};
  return value;
}

// store: called with the seconds.
OptionValue number_of_seconds(double least, double most, std::function<void(long double)> store,
                              std::function<std::string()> in_force) {
  OptionValue value = custom(
      "SECONDS",
      [=](const std::string& text) -> Status {
        auto number = to_seconds(text, least, most);
        if (!number) return number.error();
        store(*number);
        return Done{};
      },
      std::move(in_force));
  value.is_number = true;
  return value;
}

}  // namespace

std::vector<std::string> Option::long_names() const {
  std::vector<std::string> all;
  const std::string every = names + "," + std::string(rules.former_name) + ",";
  for (size_t at = 0, end; (end = every.find(',', at)) != std::string::npos; at = end + 1)
    if (every.compare(at, 2, "--") == 0) all.push_back(every.substr(at + 2, end - at - 2));
  return all;
}

std::string Option::long_name() const {
  return long_names().front();
}

Result<bool> to_truth(std::string text) {
  const std::string given = text;
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (text == "true" || text == "1" || text == "yes" || text == "on") return true;
  if (text == "false" || text == "0" || text == "no" || text == "off") return false;
  return Error{"\"" + given + "\" is neither true nor false"};
}

OptionValue flag(bool& variable) {
  OptionValue value;
  value.set = [&variable](const std::vector<std::string>& texts) -> Status {
    auto truth = to_truth(texts.at(0));
    if (!truth) return truth.error();
    variable = *truth;
    return Done{};
  };
  return value;
}

OptionValue custom(std::string type, std::function<Status(const std::string&)> set,
                   std::function<std::string()> in_force) {
  OptionValue value;
  value.type = std::move(type);
  value.set = [set = std::move(set)](const std::vector<std::string>& texts) {
    return set(texts.at(0));
  };
  value.in_force = std::move(in_force);
  return value;
}

OptionValue text(std::string& variable, std::string type, std::string needs) {
  return custom(
      std::move(type),
      [&variable, needs = std::move(needs)](const std::string& given) -> Status {
        if (given.empty() && !needs.empty()) return Error{needs};
        variable = given;
        return Done{};
      },
      [&variable] { return variable; });
}

OptionValue list(std::vector<std::string>& variable, std::string type) {
  OptionValue value;
  value.type = std::move(type);
  value.is_list = true;
  value.set = [&variable](const std::vector<std::string>& texts) -> Status {
    variable = texts;
    return Done{};
  };
  return value;
}

OptionValue seconds(unsigned long long& ns) {
  return number_of_seconds(
      0, kTenYearsInSeconds,
      [&ns](long double s) { ns = static_cast<unsigned long long>(std::llroundl(s * 1e9L)); },
      [&ns] { return short_decimal(static_cast<double>(ns) / 1e9); });
}

OptionValue seconds(double& variable, double least, double most) {
  return number_of_seconds(
      least, most, [&variable](long double s) { variable = static_cast<double>(s); },
      [&variable] { return short_decimal(variable); });
}

OptionValue seconds(std::optional<double>& variable) {
  return number_of_seconds(0, kTenYearsInSeconds,
                           [&variable](long double s) { variable = static_cast<double>(s); }, {});
}

Result<uint64_t> to_count(const std::string& text, uint64_t least, uint64_t most) {
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  if (read.ec == std::errc() && read.ptr == end && value >= least && value <= most) return value;
  return Error{"\"" + text + "\" is not a whole number between " + std::to_string(least) + " and " +
               std::to_string(most)};
}

Error unknown_choice(const std::string& text, std::string_view noun,
                     const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : ", ") + word;
  return Error{"\"" + text + "\" is not " + std::string(noun) + " (choose from: " + all + ")"};
}

}  // namespace flowmeter
