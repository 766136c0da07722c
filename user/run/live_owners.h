// SPDX-License-Identifier: BSD-3-Clause
// The part of a live run that knows the owners of flows (--attribute).
#pragma once

#include <memory>

#include "flows/end_owner.h"
#include "run/config.h"

namespace flowmeter {

class LiveOwners {
 public:
  explicit LiveOwners(const Config& config);
  ~LiveOwners();

  // null: owners are not asked for.
  OwnerNames* names() { return names_.get(); }

 private:
  std::unique_ptr<OwnerNames> names_;
};

}  // namespace flowmeter
