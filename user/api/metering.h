// SPDX-License-Identifier: BSD-3-Clause
// The meter within another program: a run, as the command line would have it, on a thread of its
// own, with its flows as batches of columns or in a CSV file. The thread leaves the program's
// signals, standard streams and privileges alone; a network namespace (--netns) is entered by that
// thread only.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "api/embedded_host.h"
#include "api/flow_batch.h"
#include "output/sink_group.h"
#include "run/config.h"

namespace flowmeter {

class Metering {
 public:
  // Long names of options, each with its values.
  using Keywords = std::map<std::string, std::vector<std::string>>;
  // The configuration with these options. Fails as the command line would. Without an output, flows
  // come as batches.
  static Result<Config> configure(const Keywords& keywords);

  // Starts a run. Flows go to config.outputs, or come as batches if there are none. With batches,
  // live metering is under way when this returns.
  static Result<std::unique_ptr<Metering>> start(Config config);

  // Abandons the flows that are still there, and waits for the thread.
  ~Metering();
  Metering(const Metering&) = delete;
  Metering& operator=(const Metering&) = delete;

  // Returns null if none came in that time, or if no more will come. Requires: no outputs.
  std::unique_ptr<FlowBatch> take(std::chrono::milliseconds wait);
  // Whether the thread is done and every batch was taken. Waits that long for it.
  bool finished(std::chrono::milliseconds wait);

  // Whether this is a child that was forked meanwhile. The thread is the parent's: here only
  // abandon() may be called, which does nothing.
  bool forked() const;

  // Metering ends; the flows that are open come as the last ones. Any thread may call this.
  void stop() { host_.stop(); }
  // The same, but nobody wants any more flows. take() and finished() tell when it has ended.
  void abandon();

  // Returns the log lines since the last call.
  std::vector<LogLine> lines() { return host_.take_lines(); }
  // Requires: finished.
  bool succeeded() const { return code_ == kOk; }
  // Whether all outputs have all flows. Requires: finished.
  bool outputs_complete() const { return !sinks_ || sinks_->complete(); }

  const std::vector<Column>& columns() const { return columns_; }
  const std::vector<ColumnType>& types() const { return queue_->types(); }

 private:
  Metering(Config config, std::vector<Column> columns);
  void run();
  ExitCode meter();
  void interrupt_reading();

  Config config_;
  const std::vector<Column> columns_;
  std::unique_ptr<FlowBatchQueue> queue_;
  EmbeddedHost host_;  // which the sinks log to
  std::unique_ptr<SinkGroup> sinks_;
  const int process_;

  std::mutex mutex_;
  std::condition_variable over_;
  bool done_ = false;
  ExitCode code_ = kOk;
  std::thread thread_;
};

}  // namespace flowmeter
