// SPDX-License-Identifier: BSD-3-Clause
// Which bytes are UTF-8 (RFC 3629), and which of its characters are printable: all except those
// that control a terminal or end a line. Names of interfaces and processes may hold any bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace flowmeter {

enum class CharacterKind : uint8_t {
  kPrintable,
  kControl,  // C0, delete or C1 (U+0080 to U+009F); its last byte is its code point
  kInvalid,  // one byte that is not UTF-8
};

struct Character {
  CharacterKind kind;
  uint8_t length;  // in bytes
};

Character first_character_beyond_ascii(std::string_view text);

// The character that text starts with. Requires: not empty.
inline Character first_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead >= 0x80) return first_character_beyond_ascii(text);
  const bool is_control = lead < 0x20 || lead == 0x7f;
  return {is_control ? CharacterKind::kControl : CharacterKind::kPrintable, 1};
}

bool has_control_character(std::string_view text);

// The text with this instead of each character that is not printable.
std::string printable(std::string_view text, char replacement);

}  // namespace flowmeter
