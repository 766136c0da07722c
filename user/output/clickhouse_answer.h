// SPDX-License-Identifier: BSD-3-Clause
// What an answer of ClickHouse says about the rows. Its HTTP status does not: before version 20 a
// row that cannot be parsed is a 500, and a table that does not exist yet is a 404.
#pragma once

#include <optional>
#include <string_view>

namespace flowmeter {

// The number of the exception: in the header X-ClickHouse-Exception-Code, or, before version 21,
// only at the start of the body ("Code: 27, e.displayText() = DB::Exception: …").
std::optional<int> clickhouse_exception(std::string_view header, std::string_view body);

// Whether it is an error of the rows, which would come again with the same rows. Others may pass,
// or somebody corrects their cause: too many parts, no memory, no such table, no right to insert.
bool is_error_of_rows(int exception);

// The server does not know this Content-Encoding.
inline constexpr int kUnknownContentEncoding = 89;

}  // namespace flowmeter
