// SPDX-License-Identifier: BSD-3-Clause
// A text as a JSON string with its quotes. Control characters are escaped, also those of C1; each
// byte that is not UTF-8 becomes U+FFFD.
#pragma once

#include <string>
#include <string_view>

namespace flowmeter {

std::string json_string(std::string_view text);

// Writes it, and returns its end. Requires: 6 bytes of room for each byte of text, and 2 more, at
// `at`.
char* put_json_string(char* at, std::string_view text);

}  // namespace flowmeter
