// SPDX-License-Identifier: BSD-3-Clause
// Inputs of the golden cases. They are built when they are needed, so that no capture is kept in
// the repository; what must come out is kept, in NAME/expected.csv.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flowmeter::testing {

struct GoldenCase {
  std::string name;  // of its directory
  std::vector<uint8_t> capture;
};

std::vector<GoldenCase> golden_cases();

}  // namespace flowmeter::testing
