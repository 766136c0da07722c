// SPDX-License-Identifier: BSD-3-Clause
// The safe text of a name that others choose: of containers, pods, cgroups and commands. It stands
// as it is in CSV, JSON, a terminal, a shell and a spreadsheet: letters, digits and . _ - : / @ +
// are kept, every other byte is %XX, and so is a first = + - @ that a spreadsheet takes for a
// formula. '%' itself is %25, so the name can be read back from the text.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace flowmeter {

// A longer text is cut behind a byte of the name, and ends with "%~", which no whole text contains.
std::string name_text(std::string_view name, size_t max = 1024);

// The name, or the part of it that the text has; nothing if this is not a text that name_text()
// makes.
std::optional<std::string> name_of_text(std::string_view text);

}  // namespace flowmeter
