// SPDX-License-Identifier: BSD-3-Clause
// A line a finished flow on standard error, for people who watch, beside what another sink writes:
//   HH:MM:SS.mmm PROTO SRC:SPORT > DST:DPORT T s, FWD/BWD packets, FWD/BWD bytes
// and, if the flow has it, ", HTTP GET 200", ", TLS 0x0304", ", DNS q1 r0" (most common query type
// and response code). The time is that of the flow's first packet, in UTC.
#pragma once

#include <string>

#include "flows/flow_record.h"

namespace flowmeter {

// With its line end.
std::string flow_line(const FlowRecord& record);

class FlowPrinter final : public RecordSink {
 public:
  // Requires: sink lives longer than this.
  explicit FlowPrinter(RecordSink& sink) : sink_(sink) {}

  void write(const FlowRecord& record) override;
  bool failed() const override { return sink_.failed(); }
  // A terminal that fails is no failure of the run.
  Status flush() override;

 private:
  void print();

  RecordSink& sink_;
  std::string lines_;
};

}  // namespace flowmeter
