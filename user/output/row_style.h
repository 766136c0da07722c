// SPDX-License-Identifier: BSD-3-Clause
// The user's choices about the text of rows, in every format that has column names.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "features/column.h"

namespace flowmeter {

struct RowStyle {
  static constexpr int kMaxDecimals = 64;

  // The cell of a last column "label", the same in each row: the class of this traffic, for
  // training a model.
  std::optional<std::string> label;
  std::optional<int> decimals;  // of reals; if unset, the shortest text that reads back the same
  bool lowercase_columns = false;
  std::optional<TimeFormat> time_format = {};  // if unset: of the row format, else of the set

  std::string name_of(const Column& column) const {
    std::string name(column.name);
    if (lowercase_columns)
      for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    return name;
  }

  // The columns with points in time as numbers or texts of the chosen format, or else of `usual`;
  // without both, as the feature set has them.
  std::vector<Column> written(std::vector<Column> columns,
                              std::optional<TimeFormat> usual = {}) const {
    const std::optional<TimeFormat> format = time_format ? time_format : usual;
    for (Column& column : columns) {
      if (column.type != ColumnType::kTime || !format) continue;
      column.get = column.getter_as(*format);
      if (*format == TimeFormat::kEpoch) column.type = ColumnType::kReal;
      if (*format == TimeFormat::kEpochMicroseconds) column.type = ColumnType::kInteger;
    }
    return columns;
  }
};

}  // namespace flowmeter
