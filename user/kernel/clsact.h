// SPDX-License-Identifier: BSD-3-Clause
// Our filters on clsact qdiscs, for kernels without TCX. A filter does not vanish with its process.
// So its name identifies its owner, and it is removed in one of three ways:
//
//  - its object is destroyed,
//  - the process has died (even by kill -9), and its guardian, a child that waits for this, removes
//    the filter,
//  - the guardian has died as well, and remove_stale_filters() of a later start removes the filter.
//
// A clsact qdisc that we made is removed with our last filter, if it has no filters of others.
//
// The name is flowmeter-ebpf/PID/TOKEN/NUMBER, followed by "/qdisc" if we made the qdisc. TOKEN is
// also the name of an abstract Unix socket of the owner. The socket is in the same network
// namespace as the filter and vanishes with the owner, whatever PID namespaces exist. So an owner
// is considered dead only if nothing answers there.
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
  ClsactFilter(std::shared_ptr<FilterOwner> owner, std::string name, unsigned interface_index,
               Direction direction)
      : owner_(std::move(owner)),
        name_(std::move(name)),
        interface_index_(interface_index),
        direction_(direction) {}

  const std::shared_ptr<FilterOwner> owner_;
  const std::string name_;
  const unsigned interface_index_;
  const Direction direction_;
};

// Removes the filters of owners that have died without their guardian, on all interfaces of this
// network namespace. Returns how many there were. Filters of live instances stay.
Result<size_t> remove_stale_filters();

}  // namespace flowmeter
