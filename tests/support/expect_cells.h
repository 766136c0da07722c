// SPDX-License-Identifier: BSD-3-Clause
// Expected cells of a row, by column name.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <string>

#include "support/replay_rows.h"

namespace flowmeter::testing {

using Cells = std::map<std::string, std::string>;

// Text columns and integers as text, reals with a relative tolerance of 1e-9.
inline void expect_cells(const Row& row, const Cells& expected) {
  for (const auto& [column, text] : expected) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    const bool real = *end == '\0' && text.find_first_of(".e") != std::string::npos;
    if (real) {
      EXPECT_NEAR(row.number(column), value, 1e-9 * std::fabs(value)) << column;
    } else {
      EXPECT_EQ(row.text(column), text) << column;
    }
  }
}

}  // namespace flowmeter::testing
