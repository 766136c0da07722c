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

// The unit of a kTime column's numbers: as precise as its text.
enum class TimeUnit { kMicroseconds, kNanoseconds };
TimeUnit time_unit(const Column& column);

// The cells of one column of a batch, in the memory layout of Arrow's columnar format. Its type is
// that of the column, whatever the cells are. A cell without a value is null.
class CellArray {
 public:
  CellArray(const Column& column, size_t expected_rows);

  void put(const FlowRecord& record);
  void put(const Cell& cell);

  ColumnType type() const { return type_; }
  bool is_null(size_t row) const { return null_count_ > 0 && !(validity_[row / 8] >> row % 8 & 1); }
  size_t null_count() const { return null_count_; }
  // A bit per row, the first in the lowest bit; 0 means null. Null pointer: no cell is null.
  const uint8_t* validity() const { return null_count_ > 0 ? validity_.data() : nullptr; }

  // kInteger, and kTime: time since the epoch. A null is 0.
  const std::vector<int64_t>& integers() const { return integers_; }
  // kReal. A null is a NaN.
  const std::vector<double>& reals() const { return reals_; }
  // kCategory: the number of a row's text among the categories.
  const std::vector<int32_t>& codes() const { return codes_; }

  // kText and kTime: the text of a row; kCategory: the text of a code. kTime has the text of a time
  // that is null, too.
  std::string_view text(size_t i) const {
    const auto begin = static_cast<size_t>(text_ends_[i]);
    return std::string_view(text_).substr(begin, static_cast<size_t>(text_ends_[i + 1]) - begin);
  }
  // Of kText, kTime and kCategory. text_ends()[0] is 0, and [i + 1] is where text i ends.
  const std::string& texts() const { return text_; }
  const std::vector<int32_t>& text_ends() const { return text_ends_; }

 private:
  void put_number(const Cell& cell);
  void put_category(std::string_view text);
  void put_text(std::string_view text);
  void put_validity(bool valid);

  ColumnType type_;
  TimeUnit time_unit_;
  Getter get_;
  Instant (*instant_)(const FlowRecord&);
  size_t rows_ = 0;
  size_t null_count_ = 0;
  std::vector<uint8_t> validity_;  // empty before the first null
  std::vector<int64_t> integers_;
  std::vector<double> reals_;
  std::vector<int32_t> codes_;
  std::string text_;
  std::vector<int32_t> text_ends_;
};

struct FlowBatch {
  size_t rows = 0;
  std::vector<CellArray> columns;
};

class FlowBatchQueue final : public RecordSink {
 public:
  static constexpr size_t kBatchRows = 8192;
  // About 20 MiB of 82 columns.
  static constexpr size_t kQueuedRows = 4 * kBatchRows;

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
