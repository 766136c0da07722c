// SPDX-License-Identifier: BSD-3-Clause
#include "containers/name_text.h"

#include <gtest/gtest.h>

namespace flowmeter {
namespace {

using namespace std::string_literals;

TEST(NameText, EveryNameIsSafeAndCanBeReadBack) {
  struct Row {
    std::string name, text;
  };
  const Row rows[] = {
      {"", ""},
      {"web-1.example_a", "web-1.example_a"},
      {"/docker/0123", "/docker/0123"},
      {"user@1000.service", "user@1000.service"},
      {"a,b\"c'd\ne\rf\tg;h|i", "a%2Cb%22c%27d%0Ae%0Df%09g%3Bh%7Ci"},
      {"\x1b[31mred\x07", "%1B%5B31mred%07"},
      {"=1+1", "%3D1+1"},
      {"+1", "%2B1"},
      {"-1+1", "%2D1+1"},
      {"@SUM(A1)", "%40SUM%28A1%29"},
      {"a=b", "a%3Db"},
      {"100%", "100%25"},
      {"%41", "%2541"},
      {"caf\xc3\xa9", "caf%C3%A9"},
      {"\xe2\x80\xae", "%E2%80%AE"},  // right-to-left override
      {"\xff\x00z"s, "%FF%00z"},
      {"$(rm -rf /)`x`", "%24%28rm%20-rf%20/%29%60x%60"},
      {"<b>&amp;", "%3Cb%3E%26amp%3B"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(name_text(row.name), row.text);
    EXPECT_EQ(name_of_text(row.text), row.name) << row.text;
  }
}

TEST(NameText, EveryByteComesBack) {
  for (int first = 0; first < 256; first++)
    for (int second = 0; second < 256; second++) {
      const std::string name{static_cast<char>(first), static_cast<char>(second)};
      const std::string text = name_text(name);
      ASSERT_EQ(text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                       "0123456789._-:/@+%"),
                std::string::npos)
          << text;
      ASSERT_EQ(std::string("=+-@").find(text[0]), std::string::npos) << text;
      ASSERT_EQ(name_of_text(text), name);
    }
}

TEST(NameText, IsCutBehindAByteAndSaysSo) {
  EXPECT_EQ(name_text("abcdef", 6), "abcdef");
  EXPECT_EQ(name_text("abcdefg", 6), "abcd%~");
  EXPECT_EQ(name_text("abc,,", 9), "abc%2C%2C");
  EXPECT_EQ(name_text("abc,,", 8), "abc%2C%~");
  EXPECT_EQ(name_text("abc,,", 7), "abc%~");
  EXPECT_EQ(name_of_text("abc%2C%~"), "abc,");
  for (size_t max = 0; max < 40; max++) EXPECT_LE(name_text(std::string(64, ','), max).size(), max);
  EXPECT_EQ(name_text(std::string(5000, 'x')).size(), 1024u);
}

TEST(NameText, OtherTextsAreNone) {
  for (const char* text : {"%", "%4", "%zz", "%41", "%2c", "a,b", "-a", "=a", "a~", "%~x"})
    EXPECT_FALSE(name_of_text(text)) << text;
}

}  // namespace
}  // namespace flowmeter
