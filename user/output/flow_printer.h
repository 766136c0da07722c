// SPDX-License-Identifier: BSD-3-Clause
// Prints one human-readable line per finished flow on standard error, in addition to the rows of
// another sink:
//   HH:MM:SS.mmm PROTO SRC:SPORT > DST:DPORT T s, FWD/BWD packets, FWD/BWD bytes
// followed, if the flow has it, by ", HTTP GET 200", ", TLS 0x0304", ", DNS q1 r0" (most common
// query type and response code). The time is that of the flow's first packet, in UTC.
#pragma once

#include <string>
#include <vector>

#include "flows/flow_record.h"

namespace flowmeter {

// With its line end.
std::string flow_line(const FlowRecord& record);

class FlowPrinter final : public RecordSink {
 public:
  // Requires: sink outlives this object.
  explicit FlowPrinter(RecordSink& sink) : sink_(sink) {}

  void write(const FlowRecord& record) override;
  bool failed() const override { return sink_.failed(); }
  // Errors of the terminal are ignored, so that they do not make the run fail.
  Status flush() override;
  Status finish() override { return sink_.finish(); }
  Status resume(const LastCommit& last) override { return sink_.resume(last); }
  Status retry() override { return sink_.retry(); }
  bool safe() const override { return sink_.safe(); }
  bool full() const override { return sink_.full(); }
  void positions(std::vector<fm_output_position>& all) const override { sink_.positions(all); }
  void note_commit() override { sink_.note_commit(); }
  uint64_t rows_unwritten() const override { return sink_.rows_unwritten(); }
  std::vector<OutputAccount> accounts() const override { return sink_.accounts(); }

 private:
  void print();

  RecordSink& sink_;
  std::string lines_;
};

}  // namespace flowmeter
