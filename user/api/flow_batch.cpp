// SPDX-License-Identifier: BSD-3-Clause
#include "api/flow_batch.h"

#include <limits>

#include "output/cell_text.h"

namespace flowmeter {

CellArray::CellArray(ColumnType type, size_t expected_rows) : type_(type) {
  if (type == ColumnType::kInteger) integers_.reserve(expected_rows);
  if (type == ColumnType::kReal) reals_.reserve(expected_rows);
  if (type == ColumnType::kText) text_ends_.reserve(expected_rows);
}

void CellArray::put(const Cell& cell) {
  const Cell::Kind kind = cell.kind();
  if (type_ == ColumnType::kText) return put_text(cell);
  if (type_ == ColumnType::kInteger) {
    if (kind == Cell::Kind::kInteger) return integers_.push_back(cell.integer());
    become_real();
  }
  reals_.push_back(kind == Cell::Kind::kText      ? std::numeric_limits<double>::quiet_NaN()
                   : kind == Cell::Kind::kInteger ? static_cast<double>(cell.integer())
                                                  : cell.real());
}

// A number in a text column has the same text as in a CSV.
void CellArray::put_text(const Cell& cell) {
  static const RowStyle kUsual{};
  char number[Cell::kMaxText];
  if (cell.kind() == Cell::Kind::kText)
    text_ += cell.text();
  else
    text_.append(number, put_number(number, cell, kUsual));
  text_ends_.push_back(text_.size());
}

void CellArray::become_real() {
  type_ = ColumnType::kReal;
  reals_.assign(integers_.begin(), integers_.end());
  integers_ = {};
}

FlowBatchQueue::FlowBatchQueue(std::vector<Column> columns, size_t expected_rows)
    : columns_(std::move(columns)), expected_rows_(expected_rows), filling_(empty_batch()) {}

std::unique_ptr<FlowBatch> FlowBatchQueue::empty_batch() const {
  auto batch = std::make_unique<FlowBatch>();
  batch->columns.reserve(columns_.size());
  for (const Column& column : columns_) batch->columns.emplace_back(column.type, expected_rows_);
  return batch;
}

void FlowBatchQueue::write(const FlowRecord& record) {
  if (failed()) return;
  for (size_t i = 0; i < columns_.size(); i++) filling_->columns[i].put(columns_[i].get(record));
  if (++filling_->rows == kBatchRows) hand_over();
}

Status FlowBatchQueue::flush() {
  if (filling_->rows > 0) hand_over();
  const std::lock_guard lock(mutex_);
  begun_ = true;
  handed_over_.notify_all();
  return Done{};
}

void FlowBatchQueue::hand_over() {
  auto batch = std::exchange(filling_, empty_batch());
  std::unique_lock lock(mutex_);
  taken_.wait(lock, [this] { return queued_rows_ < kQueuedRows || failed(); });
  if (failed()) return;
  queued_rows_ += batch->rows;
  queue_.push_back(std::move(batch));
  handed_over_.notify_all();
}

void FlowBatchQueue::end() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  handed_over_.notify_all();
}

std::unique_ptr<FlowBatch> FlowBatchQueue::take(std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  handed_over_.wait_for(lock, wait, [this] { return !queue_.empty() || ended_; });
  if (queue_.empty()) return nullptr;
  auto batch = std::move(queue_.front());
  queue_.pop_front();
  queued_rows_ -= batch->rows;
  taken_.notify_one();
  return batch;
}

bool FlowBatchQueue::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_ && queue_.empty();
}

bool FlowBatchQueue::wait_begun() {
  std::unique_lock lock(mutex_);
  handed_over_.wait(lock, [this] { return begun_ || ended_; });
  return begun_;
}

void FlowBatchQueue::abandon() {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
  queue_.clear();
  queued_rows_ = 0;
  taken_.notify_one();
}

}  // namespace flowmeter
