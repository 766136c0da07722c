// SPDX-License-Identifier: BSD-3-Clause
// The part of a live run that knows the owners of flows (--attribute).
#pragma once

#include <memory>

#include "base/host.h"
#include "base/result.h"
#include "flows/end_owner.h"
#include "kernel/bpf_datapath.h"
#include "run/config.h"

namespace flowmeter {

class LiveOwners {
 public:
  LiveOwners();
  ~LiveOwners();

  // datapath: its programs tell the owners.
  Status open(const Config& config, const BpfDatapath& datapath, Host& host);
  // null: owners are not asked for.
  OwnerNames* names() { return names_.get(); }

 private:
  std::unique_ptr<OwnerNames> names_;
};

}  // namespace flowmeter
