// SPDX-License-Identifier: BSD-3-Clause
#include "output/json.h"

#include <cstring>

#include "base/json_string.h"
#include "output/cell_text.h"
#include "output/output_kind.h"

namespace flowmeter {
namespace {

char* put(char* at, std::string_view text) {
  if (!text.empty()) std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

}  // namespace

JsonFormat::JsonFormat(std::vector<Column> columns, RowStyle style)
    : columns_(std::move(columns)), style_(std::move(style)) {
  if (style_.label) row_end_.append(",\"label\":").append(json_string(*style_.label));
  row_end_.append("}\n");
  bound_ = row_end_.size();
  for (const Column& column : columns_) {
    std::string key(1, keys_.empty() ? '{' : ',');
    keys_.push_back(key.append(json_string(style_.name_of(column))).append(":"));
    bound_ += keys_.back().size() + 6 * Cell::kMaxText + 2;
  }
}

char* JsonFormat::put_row(char* at, const FlowRecord& record) const {
  for (size_t i = 0; i < columns_.size(); i++) {
    at = put(at, keys_[i]);
    const Cell cell = columns_[i].get(record);
    if (cell.kind() != Cell::Kind::kText)
      at = put_number(at, cell, style_);
    else if (cell.text().empty() && is_number(columns_[i].type))
      at = put(at, "null");
    else
      at = put_json_string(at, cell.text());
  }
  return put(at, row_end_);
}

extern constinit const OutputKind kJsonOutput = {
    .names = "--json",
    .type = "FILE",
    .help = "Write them as NDJSON, one object per line",
    .format = format_of<JsonFormat>,
};

}  // namespace flowmeter
