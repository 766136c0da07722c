// SPDX-License-Identifier: BSD-3-Clause
// Finished flows as columns of numbers and texts, some thousand rows at a time, for a program that
// embeds the meter. The meter's thread fills a batch and puts it into a bounded queue; another
// thread takes it from there and owns it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "features/column.h"

namespace flowmeter {

// The cells of one column. An empty cell of a number column is a NaN. Integers have no NaN, so an
// integer column with an empty cell becomes a kReal column in this batch.
class CellArray {
 public:
  CellArray(ColumnType type, size_t expected_rows);

  void put(const Cell& cell);

  ColumnType type() const { return type_; }
  // Requires: the column has that type.
  const std::vector<int64_t>& integers() const { return integers_; }
  const std::vector<double>& reals() const { return reals_; }
  std::string_view text(size_t row) const {
    const size_t begin = row == 0 ? 0 : text_ends_[row - 1];
    return std::string_view(text_).substr(begin, text_ends_[row] - begin);
  }

 private:
  void put_text(const Cell& cell);
  void become_real();

  ColumnType type_;
  std::vector<int64_t> integers_;
  std::vector<double> reals_;
  std::string text_;
  std::vector<size_t> text_ends_;
};

struct FlowBatch {
  size_t rows = 0;
  std::vector<CellArray> columns;
};

class FlowBatchQueue final : public RecordSink {
 public:
  static constexpr size_t kBatchRows = 4096;
  // About 20 MiB of 82 columns.
  static constexpr size_t kQueuedRows = 8 * kBatchRows;

  // expected_rows: per batch.
  FlowBatchQueue(std::vector<Column> columns, size_t expected_rows);

  // ---- the meter's thread ----
  // Waits while the queue is full and not abandoned.
  void write(const FlowRecord& record) override;
  bool failed() const override { return abandoned_.load(std::memory_order_relaxed); }
  // Hands over the rows written so far.
  Status flush() override;
  // Declares that there will be no more batches.
  void end();

  // ---- the other thread ----
  // Returns null at the end, or if no batch arrived in that time.
  std::unique_ptr<FlowBatch> take(std::chrono::milliseconds wait);
  bool ended() const;
  // Waits until the first flush, which happens when metering has started. Returns false if it did
  // not start.
  bool wait_begun();
  // Declares that no more batches will be taken: rows written from now on are dropped.
  void abandon();

 private:
  std::unique_ptr<FlowBatch> empty_batch() const;
  void hand_over();

  const std::vector<Column> columns_;
  const size_t expected_rows_;
  std::unique_ptr<FlowBatch> filling_;  // the meter's thread only
  std::atomic<bool> abandoned_ = false;

  mutable std::mutex mutex_;
  std::condition_variable taken_, handed_over_;
  std::deque<std::unique_ptr<FlowBatch>> queue_;
  size_t queued_rows_ = 0;
  bool begun_ = false;
  bool ended_ = false;
};

}  // namespace flowmeter
