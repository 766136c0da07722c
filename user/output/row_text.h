// SPDX-License-Identifier: BSD-3-Clause
// Rows as text on their way to a file. A row ends with its line feed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace flowmeter {

uint64_t count_rows(std::string_view text);

// The text up to its last line end, without an incomplete row after it.
std::string_view whole_rows(std::string_view text);

// Writes all of the text. Waits for the reader of a pipe, even if another process has made the pipe
// non-blocking. Returns the number of bytes that were written. If it is smaller, errno has the
// error.
size_t write_all(int fd, std::string_view text);

}  // namespace flowmeter
