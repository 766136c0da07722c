// SPDX-License-Identifier: BSD-3-Clause
// Our filters on clsact qdiscs, for kernels without TCX. A filter does not die with its process;
// so each one's name tells whose it is, and it goes in one of three ways:
//   its object is destroyed;
//   the process has died, kill -9 included: its guardian, a child that waits for that, removes it;
//   the guardian has died as well: remove_stale_filters() of a later start.
// A clsact qdisc that we made goes with the last filter of ours, if nobody else has put one there.
//
// The name is flowmeter-ebpf/PID/TOKEN/NUMBER, and "/qdisc" if the qdisc is of our making. TOKEN
// is also the name of an abstract Unix socket of the owner: that lives in the same network
// namespace as the filter and ends with the owner, whatever PID namespaces are about, so that an
// owner is known to be dead when nobody answers there. Anything else counts as alive.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/result.h"
#include "kernel/attachment.h"
#include "kernel/interface.h"

namespace flowmeter {

class FilterOwner;

class ClsactFilter {
 public:
  static Result<std::unique_ptr<ClsactFilter>> attach(int program_fd, const Interface& interface,
                                                      Direction direction, AttachOrder order);
  ClsactFilter(const ClsactFilter&) = delete;
  ClsactFilter& operator=(const ClsactFilter&) = delete;
  ~ClsactFilter();

  bool in_place() const;

 private:
  ClsactFilter() = default;

  std::shared_ptr<FilterOwner> owner_;
  std::string name_;
  unsigned interface_index_ = 0;
  Direction direction_ = Direction::kIngress;
};

// Removes the filters, on all interfaces of this network namespace, of owners that have died
// without their guardian; returns how many there were. Filters of live instances stay.
Result<size_t> remove_stale_filters();

}  // namespace flowmeter
