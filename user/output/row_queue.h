// SPDX-License-Identifier: BSD-3-Clause
// Passes rows from the metering thread to the thread of an output, bounded in bytes. One side
// appends whole rows; if there is no room, the policy says whether it waits. The other side takes
// all rows in the queue. They count until the next take(), so the limit applies to all rows in
// memory.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

namespace flowmeter {

// What happens to rows if the queue has no room.
enum class OnFull { kBlock, kDrop };

struct Rows {
  std::string text;  // each ends with a line feed
  uint64_t count = 0;
};

class RowQueue {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;
  static constexpr Duration kForEver = Duration::max();
  static Time now() { return std::chrono::steady_clock::now(); }
  static Duration seconds(double s) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
  }

  // patience: what close() will be given, for who wants to know it before.
  RowQueue(size_t limit, OnFull on_full, Duration patience = kForEver)
      : limit_(limit), on_full_(on_full), patience_(patience) {}

  OnFull on_full() const { return on_full_; }
  Duration patience() const;

  // ---- the metering thread ----
  // Appends rows, all or none. False: there was no room, or the queue was abandoned. An append that
  // is longer than the limit fits into an empty queue. meanwhile: called each second while it
  // waits.
  bool append(std::string_view text, uint64_t rows, const std::function<void()>& meanwhile = {});
  // Declares that no more rows follow. The other side has this much time for the rest. With kBlock,
  // this is the time without progress.
  void close(Duration patience);

  // ---- the output's thread ----
  // Takes all rows; waits for some until `until`. False: none arrived, or the queue is closed and
  // empty.
  bool take(Rows* rows, Time until);
  // Sleeps until `until` or the deadline, whichever is earlier. A close() ends it early.
  void pause(Time until);
  void note_progress();
  // Abandons the queue: no more rows are taken, and new ones are refused. Returns how many rows
  // were ever appended.
  uint64_t abandon();
  bool closed() const;
  // Closed, with nothing left.
  bool finished() const;
  // Closed, and the deadline has passed.
  bool overdue() const;
  bool more_than_half_full() const;

  // The bytes of all rows that count. Any thread may call it.
  size_t bytes() const;

 private:
  const size_t limit_;
  const OnFull on_full_;
  mutable std::mutex mutex_;
  std::condition_variable room_, news_;
  Rows waiting_;
  uint64_t appended_ = 0;
  size_t taken_bytes_ = 0;
  bool closed_ = false;
  bool abandoned_ = false;
  Duration patience_;
  Time deadline_ = Time::max();
};

}  // namespace flowmeter
