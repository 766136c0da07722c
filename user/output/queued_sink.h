// SPDX-License-Identifier: BSD-3-Clause
// A sink that passes its rows to a separate thread through a bounded queue. A slow output does not
// delay the metering, except with OnFull::kBlock. Rows are made on the metering thread, so records
// are not copied.
//
// The thread starts with the first flush(), so that the program can give up its capabilities
// before: each thread has its own.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "output/row_format.h"
#include "output/row_queue.h"

namespace flowmeter {

// Writes the rows on a QueuedSink's thread.
class RowWriter {
 public:
  virtual ~RowWriter() = default;
  // The name of the output in messages.
  virtual const std::string& name() const = 0;
  // Takes rows until the queue is finished or its deadline has passed, then completes the output.
  // Returns the error that ended it early, or that says what could not be done.
  virtual Status run(RowQueue& queue) = 0;
  // " written=5 lost=0": the account of the rows that were taken. Any thread may call it.
  virtual std::string account() const = 0;
};

class QueuedSink final : public RecordSink {
 public:
  struct Options {
    size_t queue_bytes;
    OnFull on_full;
    RowQueue::Duration patience;  // at the end: RowQueue::close()
  };

  QueuedSink(std::unique_ptr<RowFormat> format, std::unique_ptr<RowWriter> writer, Options options);
  ~QueuedSink() override;

  void write(const FlowRecord& record) override;
  bool failed() const override { return failed_; }
  // Passes on the rows written so far; waits only with kBlock.
  Status flush() override;
  // Waits for the end of the thread.
  Status finish() override;
  // "output NAME: rows=7 dropped=2 written=5 lost=0"
  std::vector<std::string> accounts() const override;

 private:
  void hand_over();
  void start();
  void stop(RowQueue::Duration patience);

  const std::unique_ptr<RowFormat> format_;
  const std::unique_ptr<RowWriter> writer_;
  const Options options_;
  RowQueue queue_;
  std::unique_ptr<char[]> buffer_;
  size_t filled_;
  uint64_t rows_buffered_ = 0;
  uint64_t rows_ = 0;
  std::atomic<uint64_t> dropped_ = 0;
  Status result_ = Done{};  // of the thread; read once failed_ is set or the thread is joined
  std::atomic<bool> failed_ = false;
  std::thread thread_;
};

}  // namespace flowmeter
