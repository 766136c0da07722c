// SPDX-License-Identifier: BSD-3-Clause
#include "output/json.h"

#include <cstring>

#include "output/cell_text.h"
#include "output/registry.h"

namespace flowmeter {
namespace {

char* put(char* at, std::string_view text) {
  if (!text.empty()) std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

// Length of the UTF-8 sequence at the start of text, or 0 if there is none (RFC 3629: no overlong
// forms, no surrogates, nothing above U+10FFFF).
size_t utf8_length(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  size_t length = 0;
  unsigned char least = 0x80, most = 0xbf;  // of the second byte
  if (first >= 0xc2 && first <= 0xdf) {
    length = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    length = 3;
    if (first == 0xe0) least = 0xa0;
    if (first == 0xed) most = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    length = 4;
    if (first == 0xf0) least = 0x90;
    if (first == 0xf4) most = 0x8f;
  }
  if (length == 0 || text.size() < length || byte(1) < least || byte(1) > most) return 0;
  for (size_t i = 2; i < length; i++)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  return length;
}

std::string json_string(const std::string& text) {
  std::string out(6 * text.size() + 2, '\0');
  out.resize(static_cast<size_t>(put_json_string(out.data(), text) - out.data()));
  return out;
}

}  // namespace

char* put_json_string(char* at, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  *at++ = '"';
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '"' || c == '\\') {
      *at++ = '\\';
      *at++ = text[i++];
    } else if (c < 0x20 || c == 0x7f) {
      at = put(at, "\\u00");
      *at++ = kHex[c >> 4];
      *at++ = kHex[c & 15];
      i++;
    } else if (c < 0x80) {
      *at++ = text[i++];
    } else if (const size_t length = utf8_length(text.substr(i)); length > 0) {
      at = put(at, text.substr(i, length));
      i += length;
    } else {
      at = put(at, "\\ufffd");
      i++;
    }
  }
  *at++ = '"';
  return at;
}

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
    else if (cell.text().empty() && columns_[i].type != ColumnType::kText)
      at = put(at, "null");
    else
      at = put_json_string(at, cell.text());
  }
  return put(at, row_end_);
}

constinit const OutputKind kJsonOutput = {
    .is_file = true,
    .naming_option = [](OutputOptions& options) -> Option {
      return {"--json", OptionGroup::kOutput, targets(options, kJsonOutput, "FILE"),
              "Write them as NDJSON, one object per line"};
    },
    .format = [](const OutputOptions& options,
                 const std::vector<Column>& columns) -> std::unique_ptr<RowFormat> {
      return std::make_unique<JsonFormat>(columns, options.style);
    },
};

}  // namespace flowmeter
