// SPDX-License-Identifier: BSD-3-Clause
#include "base/json_string.h"

#include <gtest/gtest.h>

namespace flowmeter {
namespace {

using namespace std::string_view_literals;

TEST(JsonString, EscapesWhatMustBe) {
  const struct {
    const char* claim;
    std::string_view text;
    const char* expected;
  } rows[] = {
      {"empty", "", R"("")"},
      {"plain", "eth0", R"("eth0")"},
      {"quote and backslash", R"(a"b\c)", R"("a\"b\\c")"},
      {"control characters, an escape sequence", "\x1b[2J\n\0\x7f"sv,
       R"("\u001b[2J\u000a\u0000\u007f")"},
      {"control characters of C1", "\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0",
       "\"\\u0080\\u009b\\u009f\xc2\xa0\""},
      {"UTF-8 stays", "é€😀", R"("é€😀")"},
      {"a lone continuation", "a\x80z", R"("a\ufffdz")"},
      {"cut short", "a\xe2\x82", R"("a\ufffd\ufffd")"},
      {"overlong", "\xc0\xaf\xe0\x80\xaf", R"("\ufffd\ufffd\ufffd\ufffd\ufffd")"},
      {"a surrogate", "\xed\xa0\x80", R"("\ufffd\ufffd\ufffd")"},
      {"above U+10FFFF", "\xf4\x90\x80\x80", R"("\ufffd\ufffd\ufffd\ufffd")"},
  };
  for (const auto& row : rows) EXPECT_EQ(json_string(row.text), row.expected) << row.claim;
}

}  // namespace
}  // namespace flowmeter
