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
  while (!text.empty()) {
    const Character character = first_character(text);
    const std::string_view bytes = text.substr(0, character.length);
    text.remove_prefix(character.length);
    switch (character.kind) {
      case CharacterKind::kPrintable:
        if (bytes == "\"" || bytes == "\\") *at++ = '\\';
        at = put(at, bytes);
        break;
      case CharacterKind::kControl:
        at = put(at, "\\u00");
        *at++ = kHex[static_cast<unsigned char>(bytes.back()) >> 4];
        *at++ = kHex[bytes.back() & 15];
        break;
      case CharacterKind::kInvalid:
        at = put(at, "\\ufffd");
        break;
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
