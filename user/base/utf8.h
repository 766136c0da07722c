// SPDX-License-Identifier: BSD-3-Clause
// Which bytes are UTF-8 (RFC 3629). Names of interfaces and processes may hold any bytes.
#pragma once

#include <cstddef>
#include <string_view>

namespace flowmeter {

// Length of the character that text starts with; 0 if it starts with none. Requires: not empty.
size_t utf8_length(std::string_view text);

}  // namespace flowmeter
