// SPDX-License-Identifier: BSD-3-Clause
#include "cli/configuration_file.h"

#include <gtest/gtest.h>

namespace flowmeter {
namespace {

using Values = std::vector<std::string>;

TEST(ConfigurationFile, Values) {
  struct Row {
    const char* what;
    std::string text;
    Values values;
  };
  for (const Row& row : {
           Row{"whole number", "a = 5", {"5"}},
           Row{"grouped digits and a sign", "a=+1_000", {"1000"}},
           Row{"fraction", "a = 0.5e3", {"0.5e3"}},
           Row{"truth", "a = true # yes", {"true"}},
           Row{"string", "a = \"x y\"\r\n", {"x y"}},
           Row{"a hash and a comma in a string", "a = \"#1,2\" # comment", {"#1,2"}},
           Row{"escapes", R"(a = "\"\\\t\u00e4\U0001F600")", {"\"\\\t\xc3\xa4\xf0\x9f\x98\x80"}},
           Row{"literal string", R"(a = 'C:\n"')", {"C:\\n\""}},
           Row{"empty string", "a = \"\"", {""}},
           Row{"array", "a = [\"x\", 'y', 3]", {"x", "y", "3"}},
           Row{"array over lines", "a = [ # of\n  \"x\", # one\n\n  \"y\",\n]", {"x", "y"}},
           Row{"empty array", "a = []", {}},
           Row{"lines before", "# comment\n\n \t\na = 5\n", {"5"}},
       }) {
    SCOPED_TRACE(row.what);
    auto entries = parse_configuration(row.text, "f");
    ASSERT_TRUE(entries) << entries.error().message();
    ASSERT_EQ(entries->size(), 1u);
    EXPECT_EQ((*entries)[0].name, "a");
    EXPECT_EQ((*entries)[0].values, row.values);
  }
}

TEST(ConfigurationFile, NamesTheLineOfAnError) {
  struct Row {
    const char* what;
    std::string text, message;
  };
  for (const Row& row : {
           Row{"no value", "\na =", "f:2: the value is missing"},
           Row{"no name", "= 5", "f:1: expected \"name = value\""},
           Row{"no equals", "quiet", "f:1: expected"},
           Row{"bare text", "a = eth0", "f:1: text must be in quotes"},
           Row{"text after the value", "a = 5 6", "f:1: unexpected text after"},
           Row{"table", "a = 5\n[b]", "f:2: tables are not supported"},
           Row{"dotted name", "a.b = 5", "f:1: expected"},
           Row{"open string", "a = \"x\nb = 5", "f:1: a quote is missing"},
           Row{"open literal string", "a = 'x", "f:1: a quote is missing"},
           Row{"multi-line string", "a = \"\"\"x\"\"\"",
               "f:1: multi-line strings are not supported"},
           Row{"multi-line literal string", "a = '''x'''",
               "f:1: multi-line strings are not supported"},
           Row{"unknown escape", R"(a = "\q")", "f:1: unknown escape"},
           Row{"surrogate", R"(a = "\ud800")", "f:1: unknown escape"},
           Row{"open array", "b = 1\na = [1,\n2", "f:2: the array is not closed"},
           Row{"no comma", "a = [1\n2]", "f:2: values of an array"},
           Row{"twice", "a = 1\nb = [1,\n2]\na = 2", "f:4: \"a\" is already set in line 1"},
       }) {
    SCOPED_TRACE(row.what);
    auto entries = parse_configuration(row.text, "f");
    ASSERT_FALSE(entries);
    EXPECT_EQ(entries.error().message().substr(0, row.message.size()), row.message);
  }
}

TEST(ConfigurationFile, NothingIsNoError) {
  for (const char* text : {"", "\n", "# only this", "  "}) {
    auto entries = parse_configuration(text, "f");
    ASSERT_TRUE(entries) << entries.error().message();
    EXPECT_TRUE(entries->empty());
  }
}

TEST(ConfigurationFile, WritesStringsThatItReads) {
  std::string bytes;
  for (int c = 1; c < 256; c++) bytes += static_cast<char>(c);
  auto entries = parse_configuration("a = " + toml_string(bytes), "f");
  ASSERT_TRUE(entries) << entries.error().message();
  EXPECT_EQ(entries->at(0).values, Values{bytes});
}

}  // namespace
}  // namespace flowmeter
