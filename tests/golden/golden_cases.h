// SPDX-License-Identifier: BSD-3-Clause
// Inputs of the golden cases. They are built when needed, so that the repository holds no captures.
// The expected rows are in NAME/expected.csv.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flowmeter::testing {

struct GoldenCase {
  std::string name;  // also the name of its directory
  std::vector<uint8_t> capture;
};

std::vector<GoldenCase> golden_cases();

}  // namespace flowmeter::testing
