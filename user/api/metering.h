// SPDX-License-Identifier: BSD-3-Clause
// The meter inside another program: one run, configured as on the command line, on a thread of its
// own. Its flows are delivered as batches of columns, or go to outputs such as a CSV file. The
// thread does not change the program's signals, standard streams and privileges; only this thread
// enters a network namespace (--netns).
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
  // The configuration with these options. Fails like the command line. Without an output, flows are
  // delivered as batches.
  static Result<Config> configure(const Keywords& keywords);

  // Starts a run. Flows go to config.outputs, or are delivered as batches if there are none. With
  // batches, live metering has started when this returns.
  static Result<std::unique_ptr<Metering>> start(Config config);

  // Discards the flows that were not taken, and waits for the thread.
  ~Metering();
  Metering(const Metering&) = delete;
  Metering& operator=(const Metering&) = delete;

  // Returns null if no batch arrived in that time, or if there will be no more. Requires: no
  // outputs.
  std::unique_ptr<FlowBatch> take(std::chrono::milliseconds wait);
  // Waits up to that long for the thread to end. Returns whether it has, and every batch was taken.
  bool finished(std::chrono::milliseconds wait);

  // Whether this process was forked after the start. The thread belongs to the parent, so only
  // abandon() may be called here, and it does nothing.
  bool forked() const;

  // Ends the metering. The flows that are still open are then delivered. Any thread may call this.
  void stop() { host_.stop(); }
  // The same, but discards all further flows. take() and finished() say when the run has ended.
  void abandon();

  // How much of the captures was read.
  uint64_t packets_read() const { return host_.packets_read(); }
  uint64_t bytes_read() const { return host_.bytes_read(); }
  // Returns the log lines since the last call.
  std::vector<LogLine> lines() { return host_.take_lines(); }
  // Requires: finished.
  bool succeeded() const { return code_ == kOk; }
  // Whether all outputs have all flows. Requires: finished.
  bool outputs_complete() const { return !sinks_ || sinks_->complete(); }

  const std::vector<Column>& columns() const { return columns_; }
  // What rows depend on, besides the packets: the version, and each setting in force.
  using Provenance = std::vector<std::pair<std::string, std::string>>;
  Provenance provenance() const;

 private:
  Metering(Config config, std::vector<Column> columns);
  void run();
  ExitCode meter();
  void interrupt_reading();

  Config config_;
  const std::vector<Column> columns_;
  std::unique_ptr<FlowBatchQueue> queue_;
  EmbeddedHost host_;  // before the sinks, which log to it
  std::unique_ptr<SinkGroup> sinks_;
  const int process_;

  std::mutex mutex_;
  std::condition_variable over_;
  bool done_ = false;
  ExitCode code_ = kOk;
  std::thread thread_;
};

}  // namespace flowmeter
