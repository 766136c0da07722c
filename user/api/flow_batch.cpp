// SPDX-License-Identifier: BSD-3-Clause
#include "api/flow_batch.h"

#include <limits>
#include <optional>

#include "output/cell_text.h"

namespace flowmeter {
namespace {

// The time since 1970, rounded down; none if a program that reads it could not represent it.
// Microseconds must be in the years 1 to 9999 (Python's datetime), nanoseconds in 64 bits.
std::optional<int64_t> since_epoch(const Instant& instant, TimeUnit unit) {
  constexpr __int128 kSecond = 1'000'000'000;
  constexpr __int128 kYear1 = -62'135'596'800, kYear10000 = 253'402'300'800;
  const __int128 ns = instant.clock.unix_ns + __int128{instant.time_ns};
  const __int128 s = instant.clock.unix_s + ns / kSecond;
  if (s < kYear1 || s >= kYear10000) return std::nullopt;
  if (unit == TimeUnit::kMicroseconds)
    return static_cast<int64_t>(s * 1'000'000 + ns % kSecond / 1000);
  const __int128 all = s * kSecond + ns % kSecond;
  if (all < INT64_MIN || all > INT64_MAX) return std::nullopt;
  return static_cast<int64_t>(all);
}

}  // namespace

TimeUnit time_unit(const Column& column) {
  return column.unit == Unit::kTime ? TimeUnit::kMicroseconds : TimeUnit::kNanoseconds;
}

CellArray::CellArray(const Column& column, size_t expected_rows)
    : type_(column.type),
      time_unit_(flowmeter::time_unit(column)),
      get_(column.get),
      instant_(column.instant) {
  switch (type_) {
    case ColumnType::kInteger:
      integers_.reserve(expected_rows);
      return;
    case ColumnType::kReal:
      reals_.reserve(expected_rows);
      return;
    case ColumnType::kCategory:
      codes_.reserve(expected_rows);
      break;
    case ColumnType::kTime:
      integers_.reserve(expected_rows);
      [[fallthrough]];
    case ColumnType::kText:
      text_ends_.reserve(expected_rows + 1);
      break;
  }
  text_ends_.push_back(0);
}

void CellArray::put(const FlowRecord& record) {
  const Cell cell = get_(record);
  if (!instant_) return put(cell);
  put_text(cell.text());
  const std::optional<int64_t> time = since_epoch(instant_(record), time_unit_);
  integers_.push_back(time.value_or(0));
  put_validity(time.has_value());
}

void CellArray::put(const Cell& cell) {
  if (is_number(type_)) return put_number(cell);
  static const RowStyle kUsual{};
  char number[Cell::kMaxText];
  // A number in a text column has the same text as in a CSV.
  const std::string_view text =
      cell.kind() == Cell::Kind::kText
          ? cell.text()
          : std::string_view(number, flowmeter::put_number(number, cell, kUsual));
  if (type_ == ColumnType::kCategory)
    put_category(text);
  else
    put_text(text);
  put_validity(!text.empty());
}

// A text in a number column is empty, or is a number that an int64_t cannot represent.
void CellArray::put_number(const Cell& cell) {
  const Cell::Kind kind = cell.kind();
  if (type_ == ColumnType::kInteger) {
    const bool valid = kind == Cell::Kind::kInteger;
    integers_.push_back(valid ? cell.integer() : 0);
    return put_validity(valid);
  }
  const bool valid = kind != Cell::Kind::kText;
  reals_.push_back(!valid                         ? std::numeric_limits<double>::quiet_NaN()
                   : kind == Cell::Kind::kInteger ? static_cast<double>(cell.integer())
                                                  : cell.real());
  put_validity(valid);
}

// There are few categories, and most often the last one is met again.
void CellArray::put_category(std::string_view text) {
  const auto count = static_cast<int32_t>(text_ends_.size()) - 1;
  int32_t code = codes_.empty() ? 0 : codes_.back();
  if (code >= count || this->text(static_cast<size_t>(code)) != text)
    for (code = 0; code < count && this->text(static_cast<size_t>(code)) != text;) code++;
  if (code == count) put_text(text);
  codes_.push_back(code);
}

void CellArray::put_text(std::string_view text) {
  text_ += text;
  text_ends_.push_back(static_cast<int32_t>(text_.size()));
}

void CellArray::put_validity(bool valid) {
  const size_t row = rows_++;
  if (valid && null_count_ == 0) return;
  if (null_count_ == 0) validity_.assign(row / 8 + 1, 0xff);
  if (row / 8 == validity_.size()) validity_.push_back(0xff);
  if (valid) return;
  validity_[row / 8] = static_cast<uint8_t>(validity_[row / 8] & ~(1u << row % 8));
  null_count_++;
}

FlowBatchQueue::FlowBatchQueue(std::vector<Column> columns, size_t expected_rows)
    : columns_(std::move(columns)), expected_rows_(expected_rows), filling_(empty_batch()) {}

std::unique_ptr<FlowBatch> FlowBatchQueue::empty_batch() const {
  auto batch = std::make_unique<FlowBatch>();
  batch->columns.reserve(columns_.size());
  for (const Column& column : columns_) batch->columns.emplace_back(column, expected_rows_);
  return batch;
}

void FlowBatchQueue::write(const FlowRecord& record) {
  if (failed()) return;
  for (CellArray& cells : filling_->columns) cells.put(record);
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
