// SPDX-License-Identifier: BSD-3-Clause
// A time in which a file accepts nothing, because the disk is full or broken: when to try again,
// and what the user is told.
#pragma once

#include <string>

#include "base/host.h"
#include "output/row_queue.h"

namespace flowmeter {

class Outage {
 public:
  // Requires: host outlives this object.
  Outage(std::string output, Host& host) : output_(std::move(output)), host_(&host) {}

  // Whether the last attempt to write has failed.
  bool lasts() const { return os_error_ != 0; }
  int os_error() const { return os_error_; }
  // When the next attempt may be made.
  RowQueue::Time next_try() const { return next_try_; }
  bool may_try() const { return !lasts() || RowQueue::now() >= next_try_; }

  // Logs the first of several failures, and the success after them.
  void note_failure(int os_error);
  void note_success() {
    if (lasts()) end();
  }

 private:
  void end();

  std::string output_;
  Host* host_;
  int os_error_ = 0;
  RowQueue::Time since_, next_try_;
  RowQueue::Duration pause_{};
};

}  // namespace flowmeter
