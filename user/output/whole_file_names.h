// SPDX-License-Identifier: BSD-3-Clause
// The names of rotated and compressed files (whole_files.h).
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

namespace flowmeter {

// The name of a file while it is written: with ".part" at its end, and before that with the number
// of the run if others go on after it (LastCommit::run), as in "flows.csv.0123456789abcdef.part".
std::string part_name(const std::string& final_name, uint64_t run);

// The directory that holds this path.
std::string parent_of(const std::string& path);

// "flows-20260131T235959Z-000001.csv.zst": the file that is started at this time, of these files.
std::string rotated_name(const std::string& path, uint64_t number,
                         std::time_t start = std::time(nullptr));

// The paths of those that exist, the oldest first.
struct RotatedFile {
  std::string final_name;
  bool is_part;  // not complete
  uint64_t run;  // of its name
};
std::vector<RotatedFile> rotated_files(const std::string& path);

}  // namespace flowmeter
