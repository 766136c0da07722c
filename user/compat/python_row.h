// SPDX-License-Identifier: BSD-3-Clause
// The CSV row of a flow of nqmn/cicflowmeter 0.4.1: Flow.get_data() and the csv module's writer.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "compat/python_flow.h"

namespace flowmeter {

// The lists from which the original computes its statistics.
struct PythonLists {
  std::vector<double> flow_gaps, gaps[2], lengths[2], all_lengths;  // [reverse]

  void clear() {
    for (auto* list : {&flow_gaps, &gaps[0], &gaps[1], &lengths[0], &lengths[1], &all_lengths})
      list->clear();
  }
};

class PythonRow {
 public:
  static constexpr size_t kColumns = 82;
  // Longest row in bytes: decimals take most.
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
  // The lists of the current row's flow. They are reused to avoid allocations, and grow to the
  // length of the longest flow.
  PythonLists lists_;
};

}  // namespace flowmeter
