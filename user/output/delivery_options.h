// SPDX-License-Identifier: BSD-3-Clause
// How rows are kept for a server that does not take them now, whatever it speaks.
#pragma once

#include <cstdint>
#include <string>

#include "output/spool.h"

namespace flowmeter {

struct DeliveryOptions {
  double retry_s = 60;  // with OnFull::kBlock and no spool: rows are lost after this
  std::string spool;    // directory; empty: none
  uint32_t spool_limit_mib = 1024;
  Spool::Sync spool_sync = Spool::Sync::kBatch;
};

}  // namespace flowmeter
