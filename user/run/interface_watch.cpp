// SPDX-License-Identifier: BSD-3-Clause
#include "run/interface_watch.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"

namespace flowmeter {
namespace {

constexpr uint64_t kLooksEvery = FM_SECOND_NS / 5;
// Also if the kernel notifies of changes all the time.
constexpr uint64_t kLooksApart = FM_SECOND_NS / 1000;

// Returns whether fd (-1: none) is readable.
bool wait_readable(int fd, uint64_t ns) {
  const timespec time{static_cast<time_t>(ns / FM_SECOND_NS), static_cast<long>(ns % FM_SECOND_NS)};
  pollfd readable{fd, POLLIN, 0};
  return ::ppoll(&readable, 1, &time, nullptr) > 0;
}

}  // namespace

void sleep_ns(uint64_t ns) {
  wait_readable(-1, ns);
}

void InterfaceWatch::update(uint64_t now_ns) {
  asked_ = now_ns;
  next_look_ = now_ns + kLooksEvery;
  if (Status updated = interfaces_->update(departed_); !updated) status_ = updated;
}

void InterfaceWatch::look_in_between(uint64_t now_ns) {
  if (!interfaces_ || now_ns < asked_ + kLooksApart) return;
  asked_ = now_ns;
  const bool notified = wait_readable(interfaces_->fd(), 0);
  if (notified) notified_ = now_ns;
  if (notified || interfaces_->is_behind()) update(now_ns);
}

void InterfaceWatch::wait(uint64_t ns) {
  if (interfaces_->is_behind()) {
    next_look_ = 0;
    return;
  }
  const uint64_t now = monotonic_ns(), earliest = notified_ + kLooksApart;
  if (now < earliest) {
    const uint64_t first = std::min(ns, earliest - now);
    sleep_ns(first);
    ns -= first;
  }
  if (ns == 0) return;
  const bool notified = wait_readable(interfaces_->fd(), ns);
  (notified ? notified_ : asked_) = monotonic_ns();
  if (notified) next_look_ = 0;
}

Status InterfaceWatch::take(std::vector<unsigned>& departed) {
  departed.insert(departed.end(), departed_.begin(), departed_.end());
  departed_.clear();
  return std::exchange(status_, Done{});
}

}  // namespace flowmeter
