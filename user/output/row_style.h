// SPDX-License-Identifier: BSD-3-Clause
// The user's choices about the text of rows, in every format that has column names.
#pragma once

#include <optional>
#include <string>

#include "features/column.h"

namespace flowmeter {

struct RowStyle {
  static constexpr int kMaxDecimals = 64;

  // The cell of a last column "label", the same in each row: the class of this traffic, for
  // training a model.
  std::optional<std::string> label;
  std::optional<int> decimals;  // of reals; if unset, the shortest text that reads back the same
  bool lowercase_columns = false;

  std::string name_of(const Column& column) const {
    std::string name(column.name);
    if (lowercase_columns)
      for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    return name;
  }
};

}  // namespace flowmeter
