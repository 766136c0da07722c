// SPDX-License-Identifier: BSD-3-Clause
#include "output/json.h"

#include <algorithm>
#include <cstring>

#include "base/json_string.h"
#include "output/cell_text.h"
#include "output/output_kind.h"

namespace flowmeter {
namespace {

constexpr std::string_view kLabelKey = ",\"label\":", kRowEnd = "}\n";

char* put(char* at, std::string_view text) {
  if (!text.empty()) std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

// The position after the value at `at`: a number, null or a string.
size_t value_end(std::string_view text, size_t at) {
  if (at >= text.size() || text[at] != '"')
    return std::min(text.find_first_of(",}\n", at), text.size());
  for (at++; at < text.size() && text[at] != '"'; at++)
    if (text[at] == '\\') at++;
  return std::min(at + 1, text.size());
}

}  // namespace

JsonFormat::JsonFormat(std::vector<Column> columns, RowStyle style)
    : style_(std::move(style)), columns_(style_.written(std::move(columns), TimeFormat::kIso)) {
  if (style_.label) row_end_.append(kLabelKey).append(json_string(*style_.label));
  row_end_.append(kRowEnd);
  bound_ = row_end_.size();
  for (const Column& column : columns_) {
    std::string key(1, keys_.empty() ? '{' : ',');
    keys_.push_back(key.append(json_string(style_.name_of(column))).append(":"));
    bound_ += keys_.back().size() + 6 * column.max_text + 2;
  }
}

char* JsonFormat::put_row(char* at, const FlowRecord& record) const {
  for (size_t i = 0; i < columns_.size(); i++) {
    at = put(at, keys_[i]);
    const Cell cell = columns_[i].get(record);
    if (cell.kind() != Cell::Kind::kText)
      at = put_number(at, cell, style_);
    else if (is_number(columns_[i].type))
      at = put(at, cell.text().empty() ? "null" : cell.text());
    else
      at = put_json_string(at, cell.text());
  }
  return put(at, row_end_);
}

// The first row must have these keys in this order, up to where the text is cut.
bool JsonFormat::recognizes(std::string_view start) const {
  start = start.substr(0, std::min(start.find('\n'), start.size() - 1) + 1);
  size_t at = 0;
  const auto passes = [&](std::string_view expected) {
    const std::string_view found = start.substr(at, expected.size());
    at += found.size();
    return expected.starts_with(found);
  };
  for (const std::string& key : keys_) {
    if (!passes(key)) return false;
    at = value_end(start, at);
  }
  if (style_.label) {
    if (!passes(kLabelKey)) return false;
    at = value_end(start, at);
  }
  return passes(kRowEnd);
}

extern constinit const OutputKind kJsonOutput = {
    .names = "--json",
    .type = "FILE",
    .help = "Write them as NDJSON, one object per line",
    .format = format_of<JsonFormat>,
};

}  // namespace flowmeter
