// SPDX-License-Identifier: BSD-3-Clause
// Reads what the system says about this process, from /proc/self.
#pragma once

#include "metrics/snapshot.h"

namespace flowmeter {

class ProcessReader {
 public:
  // Requires: the process was not confined yet.
  ProcessReader();
  // Any thread may call it. What cannot be read is 0.
  ProcessMetrics read() const;

 private:
  double start_unix_s_ = 0;
};

}  // namespace flowmeter
