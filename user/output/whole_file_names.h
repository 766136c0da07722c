// SPDX-License-Identifier: BSD-3-Clause
// The names of rotated and compressed files (whole_files.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flowmeter {

// At the end of a file's name while it is written.
inline constexpr char kPart[] = ".part";

// The directory that holds this path.
std::string parent_of(const std::string& path);

// "flows-20260131T235959Z-000001.csv.zst": the file that is started now, of these files.
std::string rotated_name(const std::string& path, uint64_t number);

// The paths of those that exist, the oldest first, and which are complete.
struct RotatedFile {
  std::string final_name;
  bool is_part;
};
std::vector<RotatedFile> rotated_files(const std::string& path);

}  // namespace flowmeter
