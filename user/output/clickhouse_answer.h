// SPDX-License-Identifier: BSD-3-Clause
// What an answer of ClickHouse says about the rows. Its HTTP status does not: before version 20 a
// row that cannot be parsed is a 500, a table that does not exist yet is a 404, and what fails
// after the status was sent is a 200.
#pragma once

#include <optional>
#include <string_view>

namespace flowmeter {

// The number of the exception: in the header X-ClickHouse-Exception-Code, or, before version 21,
// only in the body (clickhouse_words).
std::optional<int> clickhouse_exception(std::string_view header, std::string_view body);

// What the body says about the exception ("Code: 27, e.displayText() = DB::Exception: …"): at its
// start, or behind "__exception__" if it happened after the status was sent. "": there is none.
std::string_view clickhouse_words(std::string_view body);

// Whether it is an error of the rows, which would come again with the same rows. Others may pass,
// or somebody corrects their cause: too many parts, no memory, no such table, no right to insert.
bool is_error_of_rows(int exception);

// Whether fewer rows at once could be stored: theirs are of too many months. Too many parts have
// the same number, and are a matter of time.
bool is_of_too_many_partitions(int exception, std::string_view words);

// The server does not know this Content-Encoding.
inline constexpr int kUnknownContentEncoding = 89;

}  // namespace flowmeter
