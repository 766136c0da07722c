// SPDX-License-Identifier: BSD-3-Clause
// golden_inputs DIRECTORY: writes the input of each golden case, for the independent model
// (flowmeter.models.cic82) and for other programs.
#include <cstdio>
#include <cstring>

#include "golden/golden_cases.h"
#include "support/capture_writer.h"

int main(int argc, char** argv) {
  if (argc != 2 || argv[1][0] == '-') {
    const bool help = argc == 2 && std::strcmp(argv[1], "--help") == 0;
    std::fprintf(help ? stdout : stderr, "usage: golden_inputs DIRECTORY\n");
    return help ? 0 : 2;
  }
  for (const auto& golden : flowmeter::testing::golden_cases()) {
    const std::string path = std::string(argv[1]) + "/" + golden.name + ".capture";
    if (!flowmeter::testing::write_file(path, golden.capture)) {
      std::perror(path.c_str());
      return 1;
    }
    std::puts(path.c_str());
  }
  return 0;
}
