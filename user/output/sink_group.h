// SPDX-License-Identifier: BSD-3-Clause
// Several sinks as one. Each gets every row. A failure is reported once and does not end the
// others; the group has failed when all of them have failed.
#pragma once

#include <memory>
#include <vector>

#include "base/host.h"
#include "flows/flow_record.h"

namespace flowmeter {

class SinkGroup final : public RecordSink {
 public:
  explicit SinkGroup(Host& host) : host_(host) {}

  void log_accounts_at_end() { logs_accounts_ = true; }
  void add(std::unique_ptr<RecordSink> sink) { members_.push_back({std::move(sink)}); }

  void write(const FlowRecord& record) override {
    for (const Member& member : members_) member.sink->write(record);
  }
  bool failed() const override;
  // The error of the last sink to fail, once all have failed; earlier errors are logged.
  Status flush() override;
  // The same.
  Status retry() override;
  // Logs the errors, and the accounts if that was asked for.
  Status finish() override;
  Status resume(const LastCommit& last) override;
  bool safe() const override;
  bool full() const override;
  void positions(std::vector<fm_output_position>& all) const override;
  void note_commit() override;
  uint64_t rows_unwritten() const override;
  std::vector<OutputAccount> accounts() const override;

  // Whether each sink has all rows, as far as is known.
  bool complete() const;

 private:
  Status each(Status (RecordSink::*step)());

  struct Member {
    std::unique_ptr<RecordSink> sink;
    bool told = false;
  };

  Host& host_;
  bool logs_accounts_ = false;
  std::vector<Member> members_;
};

}  // namespace flowmeter
