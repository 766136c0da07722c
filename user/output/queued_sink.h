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

  // The number of rows taken from the queue whose fate is known: they are where they should be, or
  // were given up. Any thread may call these.
  uint64_t written() const { return written_; }
  uint64_t given_up() const { return given_up_; }
  // Whether its rows outlive the program once they are written(). If not, a run with --pin does not
  // keep the kernel's records for them, and drops rows when the queue is full.
  virtual bool keeps_rows() const { return true; }
  // Adds what it knows to the account of its rows. Any thread may call it.
  virtual void describe(OutputAccount& /*account*/) const {}

  // RecordSink::resume(), positions() and note_commit(), for a writer whose sink commits. Called
  // only while no row is in the queue or in the writer's hands.
  virtual Status resume(const LastCommit& /*last*/) { return Done{}; }
  virtual void positions(std::vector<fm_output_position>& /*all*/) const {}
  virtual void note_commit() {}

 protected:
  std::atomic<uint64_t> written_ = 0, given_up_ = 0;
};

class QueuedSink final : public RecordSink {
 public:
  struct Options {
    size_t queue_bytes;
    OnFull on_full;
    RowQueue::Duration patience;  // at the end: RowQueue::close()
    // Rows are handed over only by flush(), one batch at a time, and wait for it without a limit
    // (RecordSink::resume). For writers that know when rows are safe.
    bool commits = false;
    std::function<void()> meanwhile = {};  // called while a full queue blocks
  };

  QueuedSink(std::unique_ptr<RowFormat> format, std::unique_ptr<RowWriter> writer, Options options);
  ~QueuedSink() override;

  void write(const FlowRecord& record) override;
  bool failed() const override { return failed_; }
  // Passes on the rows written so far; waits only with kBlock.
  Status flush() override;
  // Waits for the end of the thread.
  Status finish() override;
  Status retry() override { return failed_ ? result_ : Done{}; }  // the thread tries
  Status resume(const LastCommit& last) override { return writer_->resume(last); }
  bool safe() const override;
  bool full() const override;
  void positions(std::vector<fm_output_position>& all) const override;
  void note_commit() override;
  uint64_t rows_unwritten() const override {
    return rows_ + rows_buffered_ - writer_->written() - writer_->given_up() - dropped_;
  }
  std::vector<OutputAccount> accounts() const override;

 private:
  void make_room();
  void hand_over();
  void start();
  void stop(RowQueue::Duration patience);

  const std::unique_ptr<RowFormat> format_;
  const std::unique_ptr<RowWriter> writer_;
  const Options options_;
  RowQueue queue_;
  size_t capacity_;  // of the buffer, and one row
  std::unique_ptr<char[]> buffer_;
  size_t filled_ = 0;
  uint64_t rows_buffered_ = 0;
  uint64_t rows_ = 0;  // handed over
  std::atomic<uint64_t> dropped_ = 0;
  Status result_ = Done{};  // of the thread; read once failed_ is set or the thread is joined
  std::atomic<bool> failed_ = false;
  std::thread thread_;
};

}  // namespace flowmeter
