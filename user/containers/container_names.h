// SPDX-License-Identifier: BSD-3-Clause
// The names of containers, by their ids, from files that are there without an API: the names of the
// kubelet's log files, and Docker's own files where they can be read. Texts are safe (name_text.h).
// Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/confinement.h"

namespace flowmeter {

// What is not known is empty.
struct ContainerName {
  std::string container;
  std::string pod;
  std::string pod_namespace;
  std::string pod_uid;

  bool operator==(const ContainerName&) const = default;
};
using NamesById = std::unordered_map<std::string, ContainerName>;

// Most containers whose names are remembered.
inline constexpr size_t kMostContainers = 65'536;

// "<pod>_<namespace>_<container>-<64 digits>.log", as in /var/log/containers. Nothing: this is
// another file.
struct LogFile {
  std::string_view container_id;
  ContainerName name;
};
std::optional<LogFile> parse_log_file(std::string_view file_name);

class ContainerNames {
 public:
  struct Places {
    std::string log_directory = "/var/log/containers";
    std::string docker_directory = "/var/lib/docker/containers";
  };

  explicit ContainerNames(Places places) : places_(std::move(places)) {}

  // The directory of logs is read at most once a second, and only for an id that is not known.
  std::optional<ContainerName> find(std::string_view container_id, uint64_t now_ns);
  void add_needs(Confinement& needs) const;

 private:
  void read_log_directory(uint64_t now_ns);
  std::optional<ContainerName> from_docker(std::string_view container_id) const;

  const Places places_;
  NamesById by_log_;
  uint64_t next_look_ns_ = 0;
};

}  // namespace flowmeter
