// SPDX-License-Identifier: BSD-3-Clause
#include "output/clickhouse_answer.h"

#include <algorithm>
#include <charconv>

namespace flowmeter {
namespace {

constexpr std::string_view kStart = "Code: ", kLate = "__exception__";

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || value <= 0) return std::nullopt;
  return value;
}

}  // namespace

std::optional<int> clickhouse_exception(std::string_view header, std::string_view body) {
  if (const auto code = number(header)) return code;
  const std::string_view words = clickhouse_words(body);
  return number(words.substr(std::min(words.size(), kStart.size())));
}

std::string_view clickhouse_words(std::string_view body) {
  if (!body.starts_with(kStart)) {
    const size_t behind = body.find(kLate);
    if (behind == std::string_view::npos) return {};
    body.remove_prefix(std::min(body.find(kStart, behind), body.size()));
  }
  return body.find("DB::") == std::string_view::npos ? std::string_view() : body;
}

bool is_of_too_many_partitions(int exception, std::string_view words) {
  return exception == 252 && words.find("Too many partitions") != std::string_view::npos;
}

bool is_error_of_rows(int exception) {
  // From ClickHouse's ErrorCodes.cpp.
  static constexpr int kOfRows[] = {
      6,    // CANNOT_PARSE_TEXT
      16,   // NO_SUCH_COLUMN_IN_TABLE
      25,   // CANNOT_PARSE_ESCAPE_SEQUENCE
      26,   // CANNOT_PARSE_QUOTED_STRING
      27,   // CANNOT_PARSE_INPUT_ASSERTION_FAILED
      33,   // CANNOT_READ_ALL_DATA
      38,   // CANNOT_PARSE_DATE
      41,   // CANNOT_PARSE_DATETIME
      53,   // TYPE_MISMATCH
      69,   // ARGUMENT_OUT_OF_BOUND
      70,   // CANNOT_CONVERT_TYPE
      72,   // CANNOT_PARSE_NUMBER
      117,  // INCORRECT_DATA: for example an unknown field
      131,  // TOO_LARGE_STRING_SIZE
      190,  // SIZES_OF_ARRAYS_DONT_MATCH
      321,  // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
      349,  // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
      376,  // CANNOT_PARSE_UUID
      407,  // DECIMAL_OVERFLOW
      441,  // CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING
      467,  // CANNOT_PARSE_BOOL
      469,  // VIOLATED_CONSTRAINT
      675,  // CANNOT_PARSE_IPV4
      676,  // CANNOT_PARSE_IPV6
      691,  // UNKNOWN_ELEMENT_OF_ENUM
  };
  return std::find(std::begin(kOfRows), std::end(kOfRows), exception) != std::end(kOfRows);
}

}  // namespace flowmeter
