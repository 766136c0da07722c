// SPDX-License-Identifier: BSD-3-Clause
#include "base/clock.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/unique_fd.h"

namespace flowmeter {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

int64_t read_clock(clockid_t clock) {
  struct timespec now {};
  ::clock_gettime(clock, &now);
  return static_cast<int64_t>(now.tv_sec) * kSecond + now.tv_nsec;
}

// Takes the next word of a line.
std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(" \t"));
  line.remove_prefix(word.size());
  return word;
}

bool to_number(std::string_view word, int64_t& number) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc() && end == word.data() + word.size();
}

// timens_offsets describes the namespace of new children. That is also the namespace of the
// process, unless it was just unshared: then the process itself may still be in the initial one,
// whose inode number is fixed (TIME_NS_INIT_INO).
bool in_initial_time_namespace() {
  constexpr std::string_view kInitial = "time:[4026531834]";
  char name[64];
  const ssize_t size = ::readlink("/proc/self/ns/time", name, sizeof(name));
  return size >= 0 && std::string_view(name, static_cast<size_t>(size)) == kInitial;
}

}  // namespace

std::optional<int64_t> parse_monotonic_shift_ns(std::string_view timens_offsets) {
  while (!timens_offsets.empty()) {
    std::string_view line = timens_offsets.substr(0, timens_offsets.find('\n'));
    timens_offsets.remove_prefix(std::min(line.size() + 1, timens_offsets.size()));
    // Linux 5.6 writes the number of the clock instead of its name.
    if (const auto clock = next_word(line); clock != "monotonic" && clock != "1") continue;
    int64_t seconds = 0, nanoseconds = 0;
    if (!to_number(next_word(line), seconds) || !to_number(next_word(line), nanoseconds) ||
        !next_word(line).empty())
      return std::nullopt;
    if (nanoseconds < 0 || nanoseconds >= kSecond || seconds < -(INT64_MAX / kSecond) ||
        seconds >= INT64_MAX / kSecond)
      return std::nullopt;
    return seconds * kSecond + nanoseconds;
  }
  return std::nullopt;
}

int64_t monotonic_shift_ns() {
  if (in_initial_time_namespace()) return 0;
  const UniqueFd file(::open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC));
  char text[512];
  const ssize_t size = file ? ::read(file.get(), text, sizeof(text)) : -1;
  if (size < 0) return 0;
  return parse_monotonic_shift_ns({text, static_cast<size_t>(size)}).value_or(0);
}

uint64_t monotonic_ns() {
  static const int64_t shift = monotonic_shift_ns();
  return static_cast<uint64_t>(read_clock(CLOCK_MONOTONIC) - shift);
}

uint64_t wall_ns() {
  return static_cast<uint64_t>(read_clock(CLOCK_REALTIME));
}

__int128 monotonic_origin_unix_ns() {
  // The process may lose the CPU between the readings. The closest pair of several is accurate to
  // some ten nanoseconds.
  constexpr int kReadings = 5;
  uint64_t tightest = UINT64_MAX;
  __int128 origin = 0;
  for (int i = 0; i < kReadings; i++) {
    const uint64_t before = monotonic_ns();
    const uint64_t wall = wall_ns();
    const uint64_t took = monotonic_ns() - before;
    if (took >= tightest) continue;
    tightest = took;
    origin = static_cast<__int128>(wall) - (before + took / 2);
  }
  return origin;
}

}  // namespace flowmeter
