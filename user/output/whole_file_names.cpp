// SPDX-License-Identifier: BSD-3-Clause
#include "output/whole_file_names.h"

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <filesystem>

#include "output/compressor.h"

namespace flowmeter {
namespace {

constexpr char kPart[] = ".part";
constexpr size_t kRunDigits = 16;

// Where the suffix of path starts; that of "a.b/flows.csv.zst" is ".csv.zst".
size_t suffix_at(const std::string& path) {
  const size_t slash = path.rfind('/');
  const size_t base = slash == std::string::npos ? 0 : slash + 1;
  const size_t at = path.size() - compression_suffix(path).size();
  const size_t dot = at == 0 ? std::string::npos : path.rfind('.', at - 1);
  return dot != std::string::npos && dot > base ? dot : at;
}

// Whether this is "-20260131T235959Z-000001", or with a longer number.
bool is_stamp(std::string_view text) {
  constexpr std::string_view kShape = "-00000000T000000Z-000000";
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return text.size() >= kShape.size() &&
         std::equal(kShape.begin(), kShape.end(), text.begin(),
                    [&](char shape, char c) { return shape == '0' ? is_digit(c) : shape == c; }) &&
         std::all_of(text.begin() + kShape.size(), text.end(), is_digit);
}

// Removes ".0123456789abcdef" from the end of a name. Returns 0 if there is none.
uint64_t take_run(std::string_view& name) {
  if (name.size() <= kRunDigits || name[name.size() - kRunDigits - 1] != '.') return 0;
  const std::string_view digits = name.substr(name.size() - kRunDigits);
  uint64_t run = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), run, 16);
  if (error != std::errc() || end != digits.end()) return 0;
  name.remove_suffix(kRunDigits + 1);
  return run;
}

}  // namespace

std::string part_name(const std::string& final_name, uint64_t run) {
  if (run == 0) return final_name + kPart;
  char number[kRunDigits + 2];
  std::snprintf(number, sizeof(number), ".%016" PRIx64, run);
  return final_name + number + kPart;
}

std::string parent_of(const std::string& path) {
  std::filesystem::path named(path);
  if (!named.has_filename()) named = named.parent_path();  // "pins/"
  const std::string directory = named.parent_path();
  return directory.empty() ? "." : directory;
}

std::string rotated_name(const std::string& path, uint64_t number, std::time_t start) {
  char stamp[64];
  std::tm utc{};
  ::gmtime_r(&start, &utc);
  const size_t length = std::strftime(stamp, sizeof(stamp), "-%Y%m%dT%H%M%SZ", &utc);
  std::snprintf(stamp + length, sizeof(stamp) - length, "-%06llu",
                static_cast<unsigned long long>(number));
  const size_t at = suffix_at(path);
  return path.substr(0, at) + stamp + path.substr(at);
}

std::vector<RotatedFile> rotated_files(const std::string& path) {
  const size_t slash = path.rfind('/'), base = slash == std::string::npos ? 0 : slash + 1;
  const std::string stem = path.substr(base, suffix_at(path) - base),
                    suffix = path.substr(suffix_at(path));
  std::vector<RotatedFile> all;
  std::error_code error;
  for (std::filesystem::directory_iterator each(parent_of(path), error), end; !error && each != end;
       each.increment(error)) {
    const std::string entry = each->path().filename();
    std::string_view name = entry;
    const bool is_part = name.ends_with(kPart);
    if (is_part) name.remove_suffix(sizeof(kPart) - 1);
    const uint64_t run = is_part ? take_run(name) : 0;
    if (name.size() < stem.size() + suffix.size() || !name.starts_with(stem) ||
        !name.ends_with(suffix) ||
        !is_stamp(name.substr(stem.size(), name.size() - stem.size() - suffix.size())))
      continue;
    all.push_back({path.substr(0, base) + std::string(name), is_part, run});
  }
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a.final_name < b.final_name; });
  return all;
}

}  // namespace flowmeter
