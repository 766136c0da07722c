// SPDX-License-Identifier: BSD-3-Clause
#include "base/option.h"

#include <gtest/gtest.h>

namespace flowmeter {
namespace {

TEST(Option, AFlagTakesTheWordsOfEverySource) {
  for (const char* const word : {"true", "True", "1", "yes", "ON"}) {
    bool variable = false;
    EXPECT_TRUE(flag(variable).set({word})) << word;
    EXPECT_TRUE(variable) << word;
  }
  for (const char* const word : {"false", "FALSE", "0", "no", "off"}) {
    bool variable = true;
    EXPECT_TRUE(flag(variable).set({word})) << word;
    EXPECT_FALSE(variable) << word;
  }
}

TEST(Option, AFlagRefusesOtherTexts) {
  for (const char* const word : {"", "x", "2", "true ", "truee"}) {
    bool variable = true;
    const Status set = flag(variable).set({word});
    ASSERT_FALSE(set) << word;
    EXPECT_EQ(set.error().doing, '"' + std::string(word) + "\" is neither true nor false");
    EXPECT_TRUE(variable) << word;
  }
}

}  // namespace
}  // namespace flowmeter
