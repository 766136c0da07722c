// SPDX-License-Identifier: BSD-3-Clause
// The CSV row of a flow of nqmn/cicflowmeter 0.4.1: Flow.get_data() and the csv module's writer.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "compat/python_flow.h"

namespace flowmeter {

class PythonRow {
 public:
  static constexpr size_t kColumns = 82;
  // Longest row in octets: decimals take most.
  static constexpr size_t kMaxText = kColumns * 50;

  // fields: comma-separated names, empty for all; the original keeps its own order of columns.
  // Fails if it names one that does not exist.
  static Result<PythonRow> make(const std::string& fields);

  char* put_header(char* at) const;

  // The end of the row's text, or null where the original fails: a flow without forward packets
  // (FlowBytes.get_min_forward_header_bytes() takes the minimum of an empty list).
  char* put(char* at, const PythonFlow& flow, const PythonChunks& chunks);

 private:
  PythonRow() = default;

  std::vector<bool> wanted_;
  // Of the flow whose row is made; kept to spare their allocation. They grow to the longest flow.
  std::vector<double> flow_gaps_, gaps_[2], lengths_[2], all_lengths_;
};

}  // namespace flowmeter
