// SPDX-License-Identifier: BSD-3-Clause
// The rules of heads and starts as plainly as they can be written: all packets of a flow at once,
// all bytes kept. The application layer, which sees one packet at a time and keeps next to
// nothing, must come to the same result.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flowmeter::testing {

struct ModelPacket {
  unsigned direction;
  uint32_t sequence;
  uint32_t length;
  bool syn;
  std::string captured;
};

// The summary of the flow, as text() writes it.
std::string model_result(const std::vector<ModelPacket>& packets, bool port_53);

}  // namespace flowmeter::testing
