// SPDX-License-Identifier: BSD-3-Clause
#include "features/select.h"

#include <algorithm>
#include <numeric>

namespace flowmeter {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Levenshtein distance.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); i++) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); j++) {
      const size_t substituted = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

std::string near_names(std::span<const Column> all, std::string_view name) {
  constexpr size_t kShown = 5;
  std::vector<std::pair<size_t, std::string_view>> ranked;
  for (const Column& column : all) {
    const size_t far = distance(column.name, name);
    const bool contains = name.size() >= 3 && column.name.find(name) != std::string_view::npos;
    if (contains || far <= std::max<size_t>(2, name.size() / 3))
      ranked.emplace_back(contains ? std::min<size_t>(far, 1) : far, column.name);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string text;
  for (size_t i = 0; i < std::min(ranked.size(), kShown); i++)
    text += (i ? ", " : "") + std::string(ranked[i].second);
  return text;
}

// Appends the columns with these names; of two with the same name the first in `all`.
Status append_columns(std::span<const Column> all, const std::string& names, const char* option,
                      std::vector<Column>& columns) {
  for (const std::string_view name : column_names(names)) {
    const auto column =
        std::find_if(all.begin(), all.end(), [&](const Column& c) { return c.name == name; });
    if (column == all.end()) {
      const std::string near = near_names(all, name);
      return usage_error(option + (": no column \"" + std::string(name) + "\"") +
                         (near.empty() ? " (--list-fields shows all)" : "; near: " + near));
    }
    columns.push_back(*column);
  }
  return Done{};
}

}  // namespace

std::vector<std::string_view> column_names(std::string_view list) {
  std::vector<std::string_view> names;
  if (trimmed(list).empty()) return names;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    names.push_back(trimmed(list.substr(begin, end - begin)));
    begin = end + 1;
  }
  return names;
}

Result<std::vector<Column>> select_columns(FeatureSet set, const std::string& names,
                                           FeatureSet extra, const std::string& more) {
  std::vector<Column> all(set.begin(), set.end());
  all.insert(all.end(), extra.begin(), extra.end());
  std::vector<Column> columns;
  if (trimmed(names).empty())
    columns.assign(set.begin(), set.end());
  else if (Status chosen = append_columns(all, names, "--fields", columns); !chosen)
    return chosen.error();
  if (trimmed(more).empty()) return columns;
  std::rotate(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(set.size()), all.end());
  std::vector<Column> added;
  if (Status chosen = append_columns(all, more, "--extra", added); !chosen) return chosen.error();
  // A row has a name once, or it could not be an object of JSON.
  const auto is_replaced = [&](const Column& column) {
    const auto has_its_name = [&](const Column& other) { return other.name == column.name; };
    return std::any_of(extra.begin(), extra.end(), has_its_name) &&
           std::any_of(added.begin(), added.end(), has_its_name);
  };
  std::erase_if(columns, is_replaced);
  columns.insert(columns.end(), added.begin(), added.end());
  return columns;
}

}  // namespace flowmeter
