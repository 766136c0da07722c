// SPDX-License-Identifier: BSD-3-Clause
// -i arguments: what they match, and what is refused.
#include "kernel/interface_selector.h"

#include <gtest/gtest.h>

namespace flowmeter::testing {
namespace {

TEST(InterfaceSelector, Matches) {
  struct Row {
    const char* claim;
    const char* text;
    bool is_pattern;
    std::vector<const char*> matching, others;
  };
  const Row rows[] = {
      {"a name", "eth0", false, {"eth0"}, {"eth00", "eth", "xeth0", "ETH0", ""}},
      {"a name of 15 characters",
       "abcdefghijklmno",
       false,
       {"abcdefghijklmno"},
       {"abcdefghijklmn"}},
      {"a name of digits", "77", false, {"77"}, {"7", "777"}},
      {"a name with a dot", "eth0.100", false, {"eth0.100"}, {"eth0x100"}},
      {"any", "any", true, {"eth0", "lo", "any", "wg0"}, {}},
      {"a name that begins like any", "anyx", false, {"anyx"}, {"any", "eth0"}},
      {"star", "veth*", true, {"veth", "veth0", "veth1234abc"}, {"eth0", "xveth0"}},
      {"only a star", "*", true, {"eth0", "lo"}, {}},
      {"question mark and range",
       "en?[0-9]",
       true,
       {"enp0", "eno9"},
       {"en0", "enp", "enpx", "enp01"}},
      {"a range excluded", "eth[!0]", true, {"eth1", "ethx"}, {"eth0", "eth", "eth10"}},
      {"] first in brackets", "e[]x]", true, {"e]", "ex"}, {"e", "e[]x]"}},
      {"a class", "eth[[:digit:]]", true, {"eth7"}, {"ethx"}},
      {"an escaped star", "a\\*b", true, {"a*b"}, {"axb", "a\\*b"}},
      {"an escaped bracket", "a\\[b", true, {"a[b"}, {"a\\[b"}},
      {"an escaped backslash before a bracket", "a\\\\[b]", true, {"a\\b"}, {"a[b]"}},
      {"a leading dot is nothing special", "*", true, {".x"}, {}},
      {"a glob longer than names", "{[e][t][h][0-9][0-9]*", true, {"{eth42"}, {"eth42"}},
      {"an expression", "/^(eth|ens)/", true, {"eth0", "ens3", "eth"}, {"xeth0", "enp0"}},
      {"an expression anywhere in the name", "/th0/", true, {"eth0", "veth01"}, {"eth1"}},
      {"an expression to the end", "/^veth[0-9]+$/", true, {"veth12"}, {"veth", "veth1x"}},
      {"an expression with a slash in it", "/a/b/", true, {}, {"ab", "a"}},
      {"an expression of any", "/any/", true, {"any", "many"}, {"eth0"}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(std::string(row.claim) + ": " + row.text);
    auto selector = InterfaceSelector::parse(row.text);
    ASSERT_TRUE(selector) << selector.error().message();
    EXPECT_EQ(selector->is_pattern(), row.is_pattern);
    EXPECT_EQ(selector->text(), row.text);
    for (const char* name : row.matching) EXPECT_TRUE(selector->matches(name)) << name;
    for (const char* name : row.others) EXPECT_FALSE(selector->matches(name)) << name;
  }
}

TEST(InterfaceSelector, RefusesAsUsage) {
  struct Row {
    const char* claim;
    std::string text;
    const char* message;  // a part of it
  };
  const Row rows[] = {
      {"nothing", "", "needs a name"},
      {"a name of 16 characters", "abcdefghijklmnop", "at most 15 characters"},
      {"a slash in a name", "eth/0", "cannot contain a slash"},
      {"a slash at the end", "eth0/", "cannot contain a slash"},
      {"a slash in a glob", "eth*/", "cannot contain a slash"},
      {"an address label", "eth0:1", "no interface can have this name"},
      {"a space", "eth 0", "no interface can have this name"},
      {"a dot", ".", "no interface can have this name"},
      {"an open bracket", "eth[0-9", "a [ has no ]"},
      {"an open bracket after a whole one", "e[t]h[", "a [ has no ]"},
      {"empty brackets", "eth[]", "a [ has no ]"},
      {"a slash alone", "/", "between two slashes"},
      {"an empty expression", "//", "between two slashes"},
      {"an expression without end", "/^eth", "between two slashes"},
      {"an open group", "/^(eth/", "at \"^(\" (character 2 of"},
      {"a second open group", "/^(a)(b/", "at \"^(a)(\" (character 5 of"},
      {"an open bracket expression", "/eth[0-9/", "at \"eth["},
      {"a range upside down", "/eth[9-0]x/", "at \"eth[9-0"},
      {"a repetition upside down", "/e{3,1}th/", "at \"e{3,1}\" (character 6 of"},
      {"an unknown class", "/[[:digits:]]/", "character class"},
      {"a backslash at the end", "/eth\\/", "backslash"},
      {"far too long", "/" + std::string(2000, 'a') + "/", "at most 1024 characters"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(std::string(row.claim) + ": " + row.text);
    auto selector = InterfaceSelector::parse(row.text);
    ASSERT_FALSE(selector);
    EXPECT_TRUE(selector.error().usage);
    EXPECT_NE(selector.error().message().find(row.message), std::string::npos)
        << selector.error().message();
    EXPECT_EQ(selector.error().message().find('\n'), std::string::npos) << "one line";
  }
}

TEST(InterfaceSelector, OnlyANameMatchesAlternativeNames) {
  Interface interface;
  interface.name = "eth0";
  interface.alternative_names = {"enp0s3", "uplink"};
  EXPECT_TRUE(InterfaceSelector::parse("eth0")->matches(interface));
  EXPECT_TRUE(InterfaceSelector::parse("uplink")->matches(interface));
  EXPECT_FALSE(InterfaceSelector::parse("uplin")->matches(interface));
  EXPECT_FALSE(InterfaceSelector::parse("up*")->matches(interface));
  EXPECT_FALSE(InterfaceSelector::parse("/enp/")->matches(interface));
  EXPECT_TRUE(InterfaceSelector::parse("e*")->matches(interface));
}

TEST(InterfaceSelector, CopiesOutliveTheOriginal) {
  std::vector<InterfaceSelector> copies;
  {
    auto selector = InterfaceSelector::parse("/^veth/");
    ASSERT_TRUE(selector);
    copies.assign(3, *selector);
  }
  copies.erase(copies.begin());
  for (const auto& copy : copies) EXPECT_TRUE(copy.matches("veth7"));
}

}  // namespace
}  // namespace flowmeter::testing
