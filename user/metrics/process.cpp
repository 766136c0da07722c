// SPDX-License-Identifier: BSD-3-Clause
#include "metrics/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace flowmeter {
namespace {

// The fields of /proc/self/stat that follow the name, from field 3 (proc(5)) on; empty if it cannot
// be read.
std::vector<uint64_t> fields() {
  char text[1024];
  const UniqueFd file(::open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
  const ssize_t size = file ? ::read(file.get(), text, sizeof(text)) : 0;
  std::vector<uint64_t> all;
  if (size <= 0) return all;
  const std::string_view line(text, static_cast<size_t>(size));
  // The name may contain anything.
  const size_t name_end = line.rfind(')');
  for (size_t at = name_end == std::string_view::npos ? line.size() : name_end + 1;
       at < line.size();) {
    at = line.find_first_not_of(" \n", at);
    if (at == std::string_view::npos) break;
    uint64_t number = 0;  // also for the state, and for negative numbers, which are not needed
    std::from_chars(line.data() + at, line.data() + line.size(), number);
    all.push_back(number);
    at = std::min(line.find(' ', at), line.size());
  }
  return all;
}

uint64_t field(const std::vector<uint64_t>& all, size_t number) {
  return number - 3 < all.size() ? all[number - 3] : 0;
}

double seconds_of_ticks(uint64_t ticks) {
  return static_cast<double>(ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

uint64_t count_descriptors() {
  DIR* const directory = ::opendir("/proc/self/fd");
  if (!directory) return 0;
  uint64_t count = 0;
  while (const dirent* entry = ::readdir(directory)) count += entry->d_name[0] != '.';
  ::closedir(directory);
  return count > 0 ? count - 1 : 0;  // without that of the directory
}

}  // namespace

ProcessReader::ProcessReader() {
  timespec since_boot{};
  ::clock_gettime(CLOCK_BOOTTIME, &since_boot);
  const double up_s =
      static_cast<double>(since_boot.tv_sec) + static_cast<double>(since_boot.tv_nsec) / 1e9;
  const double started_s = seconds_of_ticks(field(fields(), 22));
  start_unix_s_ = static_cast<double>(wall_ns()) / 1e9 - (up_s - started_s);
}

ProcessMetrics ProcessReader::read() const {
  const std::vector<uint64_t> all = fields();
  ProcessMetrics process;
  process.cpu_seconds = seconds_of_ticks(field(all, 14) + field(all, 15));
  process.threads = field(all, 20);
  process.virtual_bytes = field(all, 23);
  process.resident_bytes = field(all, 24) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  process.open_fds = count_descriptors();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) process.max_fds = limit.rlim_cur;
  process.start_unix_s = start_unix_s_;
  return process;
}

}  // namespace flowmeter
