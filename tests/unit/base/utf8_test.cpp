// SPDX-License-Identifier: BSD-3-Clause
#include "base/utf8.h"

#include <gtest/gtest.h>

namespace flowmeter {
namespace {

using namespace std::string_view_literals;

TEST(Utf8, ReplacesWhatIsNotPrintable) {
  const struct {
    const char* claim;
    std::string_view text, expected;
    bool has_control;
  } rows[] = {
      {"empty", "", "", false},
      {"ASCII", " eth0~", " eth0~", false},
      {"C0 and delete", "\0a\x1b[2J\x1f\x7f"sv, "_a_[2J__", true},
      {"C1, one for each character", "\xc2\x80\xc2\x9b[2J\xc2\x9f", "__[2J_", true},
      {"just above C1", "\xc2\xa0\xc3\x9b", "\xc2\xa0\xc3\x9b", false},
      {"bytes that are C1 in Latin-1", "\x9b", "_", false},
      {"letters of the world", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
       "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", false},
      {"cut short", "\xe2\x82", "__", false},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(printable(row.text, '_'), row.expected) << row.claim;
    EXPECT_EQ(has_control_character(row.text), row.has_control) << row.claim;
  }
}

}  // namespace
}  // namespace flowmeter
