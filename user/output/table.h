// SPDX-License-Identifier: BSD-3-Clause
// Flows as a human-readable table: when each started, who talked to whom, how long and how much. It
// fits the width of the terminal, which may change. Numbers have units and few digits; programs
// should read CSV or NDJSON.
#pragma once

#include <string>

#include "output/row_format.h"

namespace flowmeter {

struct OutputKind;
extern const OutputKind kTableOutput;

class TableFormat final : public RowFormat {
 public:
  // terminal_fd: the terminal that the table has to fit. -1, or not a terminal: wide, one header.
  explicit TableFormat(int terminal_fd) : terminal_fd_(terminal_fd) {}

  std::string header() const override;
  char* put_row(char* at, const FlowRecord& record) const override;
  size_t bound() const override { return 2 * kMaxLine; }  // a row may come after a header

 private:
  static constexpr size_t kMaxLine = 512;
  struct Size {
    unsigned columns, lines;
  };
  Size size() const;

  const int terminal_fd_;
  // The header is repeated for a new width and on each page.
  mutable unsigned columns_ = 0;
  mutable unsigned lines_left_ = 0;
};

// 7 characters at most: "999 B", "1.5 kB", "12.3 MB" (decimal).
std::string human_bytes(uint64_t bytes);
// 6 characters at most: "99999", "1.2 M".
std::string human_count(uint64_t count);
// 8 characters at most: "0 s", "12 us", "1.5 ms", "12.3 s", "2m 05s", "3h 07m", "12d 03h".
std::string human_duration(uint64_t ns);
// At most `width` characters; ".." in the middle stands for omitted characters.
std::string shortened(const std::string& text, size_t width);

}  // namespace flowmeter
