// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/value_bytes.h"

namespace flowmeter {

// What rows of open flows need besides the flows, and a later daemon (--pin) cannot find out any
// more, such as the name of a container that has ended.
class KeptWithFlows {
 public:
  virtual ~KeptWithFlows() = default;
  virtual void save(ValueBytes& bytes) const = 0;
  // Takes over what an earlier daemon has saved. False if it is damaged.
  virtual bool restore(ValueReader& bytes) = 0;
};

}  // namespace flowmeter
