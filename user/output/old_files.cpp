// SPDX-License-Identifier: BSD-3-Clause
#include "output/old_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <vector>

#include "output/whole_file_names.h"

namespace flowmeter {
namespace {

struct OldFile {
  std::string name;
  uint64_t bytes;
};

// The complete files, the newest first.
std::vector<OldFile> complete_files(const std::string& path) {
  std::vector<OldFile> all;
  for (const RotatedFile& each : rotated_files(path)) {
    struct stat file {};
    if (each.is_part || ::lstat(each.final_name.c_str(), &file) != 0 || !S_ISREG(file.st_mode) ||
        (file.st_uid != 0 && file.st_uid != ::geteuid()))
      continue;
    all.push_back({each.final_name, static_cast<uint64_t>(file.st_size)});
  }
  // Names with a time that is far from being reached are from before the clock was set back. They
  // are the oldest; otherwise they would stay, and each new file would be removed in their place.
  constexpr std::time_t kDay = 86400;
  const std::string latest = rotated_name(path, 0, std::time(nullptr) + kDay);
  const auto to_come = std::upper_bound(
      all.begin(), all.end(), latest,
      [](const std::string& name, const OldFile& file) { return name < file.name; });
  std::rotate(all.begin(), to_come, all.end());
  std::reverse(all.begin(), all.end());
  return all;
}

}  // namespace

void OldFiles::remove() {
  if (!retention_) return;
  uint64_t files = 0, bytes = 0;
  for (const OldFile& file : complete_files(path_)) {
    bytes += file.bytes;
    const bool is_newest = files++ == 0;
    if (is_newest ||
        (retention_->bytes > 0 ? bytes <= retention_->bytes : files <= retention_->files))
      continue;
    if (::unlink(file.name.c_str()) == 0 || errno == ENOENT || reported_) continue;
    host_.log_warning("cannot remove the old output " + file.name + " (" + std::strerror(errno) +
                      "): more is kept than --keep says");
    reported_ = true;
  }
}

}  // namespace flowmeter
