// SPDX-License-Identifier: BSD-3-Clause
// Flows as a table for people: when each began, who talked to whom, how long and how much. It fits
// the terminal's width, which may change; numbers have units and few digits. For programs there are
// CSV and NDJSON.
#pragma once

#include <string>

#include "output/row_format.h"

namespace flowmeter {

class TableFormat final : public RowFormat {
 public:
  // terminal_fd: of the terminal whose size counts; -1 or none: wide, and one header.
  explicit TableFormat(int terminal_fd) : terminal_fd_(terminal_fd) {}

  char* put_header(char* at) const override;
  char* put_row(char* at, const FlowRecord& record) const override;
  size_t bound() const override { return 2 * kMaxLine; }  // a header may come before a row

 private:
  static constexpr size_t kMaxLine = 512;
  struct Size {
    unsigned columns, lines;
  };
  Size size() const;

  const int terminal_fd_;
  // The header comes again with a new width and at each new page.
  mutable unsigned columns_ = 0;
  mutable unsigned lines_left_ = 0;
};

// 7 characters at most: "999 B", "1.5 kB", "12.3 MB" (decimal).
std::string human_bytes(uint64_t bytes);
// 6 characters at most: "99999", "1.2 M".
std::string human_count(uint64_t count);
// 8 characters at most: "0 s", "12 us", "1.5 ms", "12.3 s", "2m 05s", "3h 07m", "12d 03h".
std::string human_duration(uint64_t ns);
// At most `width` characters; what is left out, in the middle, is marked by "..".
std::string shortened(const std::string& text, size_t width);

}  // namespace flowmeter
