// SPDX-License-Identifier: BSD-3-Clause
#include "output/row_queue.h"

#include <algorithm>
#include <utility>

namespace flowmeter {
namespace {

// wait_until(Time::max()) overflows where an implementation converts between clocks.
constexpr auto kLongest = std::chrono::hours(1);

}  // namespace

bool RowQueue::append(std::string_view text, uint64_t rows,
                      const std::function<void()>& meanwhile) {
  std::unique_lock lock(mutex_);
  const auto has_room = [&] {
    const size_t held = waiting_.text.size() + taken_bytes_;
    return held == 0 || held + text.size() <= limit_;
  };
  const auto may_go_on = [&] { return abandoned_ || has_room(); };
  while (on_full_ == OnFull::kBlock && !room_.wait_for(lock, std::chrono::seconds(1), may_go_on))
    if (meanwhile) meanwhile();
  if (abandoned_ || !has_room()) return false;
  waiting_.text.append(text);
  waiting_.count += rows;
  appended_ += rows;
  news_.notify_one();
  return true;
}

void RowQueue::close(Duration patience) {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  patience_ = patience;
  deadline_ = patience == kForEver ? Time::max() : now() + patience;
  news_.notify_one();
}

void RowQueue::note_progress() {
  const std::lock_guard lock(mutex_);
  if (closed_ && on_full_ == OnFull::kBlock && deadline_ != Time::max())
    deadline_ = std::max(deadline_, now() + patience_);
}

bool RowQueue::take(Rows* rows, Time until) {
  std::unique_lock lock(mutex_);
  taken_bytes_ = 0;
  room_.notify_one();
  const auto something = [this] { return closed_ || waiting_.count > 0; };
  while (!something() && now() < until)
    news_.wait_until(lock, std::min(until, now() + kLongest), something);
  rows->text.clear();
  rows->count = 0;
  if (waiting_.count == 0) return false;
  std::swap(*rows, waiting_);
  taken_bytes_ = rows->text.size();
  return true;
}

void RowQueue::pause(Time until) {
  std::unique_lock lock(mutex_);
  const bool was_closed = closed_;
  while (now() < std::min(until, deadline_)) {
    if (!was_closed && closed_) return;
    news_.wait_until(lock, std::min({until, deadline_, now() + kLongest}));
  }
}

uint64_t RowQueue::abandon() {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
  room_.notify_one();
  return appended_;
}

RowQueue::Duration RowQueue::patience() const {
  const std::lock_guard lock(mutex_);
  return patience_;
}

bool RowQueue::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

bool RowQueue::finished() const {
  const std::lock_guard lock(mutex_);
  return closed_ && waiting_.count == 0;
}

bool RowQueue::overdue() const {
  const std::lock_guard lock(mutex_);
  return closed_ && now() >= deadline_;
}

bool RowQueue::more_than_half_full() const {
  return 2 * bytes() > limit_;
}

size_t RowQueue::bytes() const {
  const std::lock_guard lock(mutex_);
  return waiting_.text.size() + taken_bytes_;
}

}  // namespace flowmeter
