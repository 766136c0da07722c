// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <optional>
#include <string_view>

#include "flowmeter/flow_key.h"

namespace flowmeter {

// Knows which flows go to a service (FlowRecord::service). Not thread-safe.
class ServiceNames {
 public:
  virtual ~ServiceNames() = default;
  // The service's address and port, "10.96.0.10:53"; empty: the flow goes to none. Valid until the
  // next call.
  virtual std::string_view service_of(const fm_flow_key& key) = 0;

  // The same packets on the other side of the address translation.
  struct OtherSide {
    fm_flow_key key;
    bool ends_swapped;  // end 0 of one key is end 1 of the other
  };
  // Nothing: the flow goes to no service.
  virtual std::optional<OtherSide> other_side(const fm_flow_key&) { return {}; }
};

}  // namespace flowmeter
