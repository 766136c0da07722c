// SPDX-License-Identifier: BSD-3-Clause
#include "base/json_string.h"

#include <cstring>

#include "base/utf8.h"

namespace flowmeter {
namespace {

char* put(char* at, std::string_view text) {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
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

std::string json_string(std::string_view text) {
  std::string out(6 * text.size() + 2, '\0');
  out.resize(static_cast<size_t>(put_json_string(out.data(), text) - out.data()));
  return out;
}

}  // namespace flowmeter
