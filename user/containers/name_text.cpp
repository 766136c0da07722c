// SPDX-License-Identifier: BSD-3-Clause
#include "containers/name_text.h"

namespace flowmeter {
namespace {

constexpr std::string_view kCut = "%~";
constexpr char kDigits[] = "0123456789ABCDEF";

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool stays(char c, bool is_first) {
  if (is_alphanumeric(c)) return true;
  if (c == '.' || c == '_' || c == ':' || c == '/') return true;
  return !is_first && (c == '-' || c == '@' || c == '+');
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

std::string name_text(std::string_view name, size_t max) {
  std::string text;
  size_t cut = 0;  // the longest part of the text to which kCut can be added
  for (const char c : name) {
    if (text.size() + kCut.size() <= max) cut = text.size();
    const bool is_kept = stays(c, text.empty());
    if (text.size() + (is_kept ? 1 : 3) > max) {
      text.resize(cut);
      return max < kCut.size() ? text : text.append(kCut);
    }
    if (is_kept) {
      text.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    text.append({'%', kDigits[byte >> 4], kDigits[byte & 15]});
  }
  return text;
}

std::optional<std::string> name_of_text(std::string_view text) {
  if (text.ends_with(kCut)) text.remove_suffix(kCut.size());
  std::string name;
  for (size_t at = 0; at < text.size(); at++) {
    if (stays(text[at], at == 0)) {
      name.push_back(text[at]);
      continue;
    }
    if (text[at] != '%' || text.size() - at < 3) return {};
    const int high = digit(text[at + 1]), low = digit(text[at + 2]);
    if (high < 0 || low < 0) return {};
    const auto byte = static_cast<char>(high << 4 | low);
    if (stays(byte, at == 0)) return {};
    name.push_back(byte);
    at += 2;
  }
  return name;
}

}  // namespace flowmeter
