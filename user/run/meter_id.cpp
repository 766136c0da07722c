// SPDX-License-Identifier: BSD-3-Clause
#include "run/meter_id.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

namespace flowmeter {

MeterIdentity meter_identity(const Config& config, uint64_t run) {
  return {config.meter_id.empty() ? default_meter_id() : config.meter_id, config.community_id_seed,
          run};
}

std::string machine_id_in(const std::string& file_text) {
  constexpr size_t kDigits = 32;
  const std::string id = file_text.substr(0, file_text.find('\n'));
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  // "uninitialized" while the system boots for the first time.
  return id.size() == kDigits && std::all_of(id.begin(), id.end(), is_digit) ? id : "";
}

std::string meter_id_of_host(const std::string& host_name) {
  std::string id = host_name.substr(0, MeterIdentity::kMaxId);
  for (char& c : id)
    if (!MeterIdentity::valid_id({&c, 1})) c = '_';
  return id.empty() ? "unknown" : id;
}

std::string default_meter_id() {
  std::string line;
  std::ifstream file("/etc/machine-id");
  std::getline(file, line);
  if (std::string id = machine_id_in(line); !id.empty()) return id;
  char name[256] = "";
  if (::gethostname(name, sizeof(name) - 1) != 0) name[0] = '\0';
  return meter_id_of_host(name);
}

}  // namespace flowmeter
