// SPDX-License-Identifier: BSD-3-Clause
// Golden cases: each is a capture and the rows that an independent model (flowmeter.models.cic82)
// computes from it.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "golden/golden_cases.h"
#include "support/capture_writer.h"
#include "support/replay_rows.h"

namespace flowmeter::testing {
namespace {

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream in(line);
  for (std::string cell; std::getline(in, cell, ',');) cells.push_back(cell);
  return cells;
}

bool is_number(const std::string& text, double* value) {
  char* end = nullptr;
  *value = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0';
}

// Real numbers must agree within 1e-9. Other cells must be equal as text.
bool same_cell(const std::string& a, const std::string& b) {
  if (a == b) return true;
  double x, y;
  if (!is_number(a, &x) || !is_number(b, &y)) return false;
  const bool integers = (a + b).find_first_of(".e") == std::string::npos;
  return !integers && std::fabs(x - y) <= 1e-9 * std::max(1.0, std::fabs(y));
}

// The order of rows is not specified. This is the order of the model: by first packet, and by
// address and port for flows that start at the same time.
std::vector<std::vector<std::string>> ordered(std::vector<std::vector<std::string>> rows) {
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    for (const size_t column : {size_t{5}, size_t{0}, size_t{1}, size_t{2}, size_t{3}, size_t{4}})
      if (a[column] != b[column]) return a[column] < b[column];
    return false;
  });
  return rows;
}

TEST(Golden, AllCases) {
  for (const GoldenCase& golden : golden_cases()) {
    SCOPED_TRACE(golden.name);
    std::ifstream file(std::string(FLOWMETER_SOURCE_DIR) + "/tests/golden/" + golden.name +
                       "/expected.csv");
    std::string line;
    ASSERT_TRUE(std::getline(file, line)) << "no expected.csv";
    EXPECT_EQ(split(line), column_names());
    std::vector<std::vector<std::string>> expected, actual;
    while (std::getline(file, line)) expected.push_back(split(line));

    TemporaryFile capture(golden.capture);
    for (const Row& row : replay_file(capture.path()).rows) actual.push_back(row.cells());
    ASSERT_EQ(actual.size(), expected.size());
    expected = ordered(expected);
    actual = ordered(actual);
    for (size_t i = 0; i < expected.size(); i++)
      for (size_t c = 0; c < column_names().size(); c++)
        EXPECT_TRUE(same_cell(actual[i][c], expected[i][c]))
            << column_names()[c] << " of " << expected[i][0] << ":" << expected[i][2] << " at "
            << expected[i][5] << ": " << actual[i][c] << ", expected " << expected[i][c];
  }
}

}  // namespace
}  // namespace flowmeter::testing
