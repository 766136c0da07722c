// SPDX-License-Identifier: BSD-3-Clause
#include "base/utf8.h"

namespace flowmeter {
namespace {

constexpr Character kInvalidByte{CharacterKind::kInvalid, 1};

}  // namespace

Character first_character_beyond_ascii(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const uint8_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return kInvalidByte;
  for (size_t i = 1; i < length; i++)
    if ((byte(i) & 0xc0) != 0x80) return kInvalidByte;
  // Overlong forms, surrogates, and values above U+10FFFF are refused.
  const unsigned char second = byte(1);
  if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
      (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f))
    return kInvalidByte;
  const bool is_c1 = lead == 0xc2 && second < 0xa0;
  return {is_c1 ? CharacterKind::kControl : CharacterKind::kPrintable, length};
}

bool has_control_character(std::string_view text) {
  while (!text.empty()) {
    const Character character = first_character(text);
    if (character.kind == CharacterKind::kControl) return true;
    text.remove_prefix(character.length);
  }
  return false;
}

std::string printable(std::string_view text, char replacement) {
  std::string out;
  while (!text.empty()) {
    const Character character = first_character(text);
    if (character.kind == CharacterKind::kPrintable)
      out += text.substr(0, character.length);
    else
      out += replacement;
    text.remove_prefix(character.length);
  }
  return out;
}

}  // namespace flowmeter
