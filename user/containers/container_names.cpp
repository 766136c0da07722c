// SPDX-License-Identifier: BSD-3-Clause
#include "containers/container_names.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "containers/cgroup_path.h"
#include "containers/docker_json.h"
#include "containers/name_text.h"

namespace flowmeter {
namespace {

constexpr uint64_t kLookEvery = 1'000'000'000;
constexpr size_t kMostConfig = 1 << 20;  // bytes of a config.v2.json, which is some 4 KiB

// Nothing if the file is larger.
std::optional<std::string> read_file(const std::string& path, size_t most) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file) return {};
  std::string text(most + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0) return {};
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > most) return {};
  text.resize(size);
  return text;
}

}  // namespace

std::optional<LogFile> parse_log_file(std::string_view file_name) {
  constexpr std::string_view kLog = ".log";
  if (!file_name.ends_with(kLog)) return {};
  file_name.remove_suffix(kLog.size());
  if (file_name.size() <= kContainerIdDigits) return {};
  LogFile log;
  log.container_id = file_name.substr(file_name.size() - kContainerIdDigits);
  file_name.remove_suffix(kContainerIdDigits);
  if (!is_container_id(log.container_id) || !file_name.ends_with('-')) return {};
  file_name.remove_suffix(1);
  // No name of Kubernetes has a '_'.
  const size_t pod = file_name.find('_'), end = file_name.rfind('_');
  if (pod == std::string_view::npos || end == pod) return {};
  log.name.pod = name_text(file_name.substr(0, pod));
  log.name.pod_namespace = name_text(file_name.substr(pod + 1, end - pod - 1));
  log.name.container = name_text(file_name.substr(end + 1));
  return log;
}

std::optional<ContainerName> ContainerNames::find(std::string_view container_id, uint64_t now_ns) {
  const std::string id(container_id);
  auto found = by_log_.find(id);
  if (found == by_log_.end() && now_ns >= next_look_ns_) {
    read_log_directory(now_ns);
    found = by_log_.find(id);
  }
  if (found != by_log_.end()) return found->second;
  return from_docker(container_id);
}

void ContainerNames::read_log_directory(uint64_t now_ns) {
  const uint64_t begin = monotonic_ns();
  next_look_ns_ = now_ns + kLookEvery;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(places_.log_directory.c_str()),
                                                      ::closedir);
  if (!directory) return;
  NamesById all;
  while (const dirent* entry = ::readdir(directory.get())) {
    if (all.size() >= kMostContainers) break;
    if (auto log = parse_log_file(entry->d_name))
      all.emplace(log->container_id, std::move(log->name));
  }
  by_log_ = std::move(all);
  // A large directory takes at most a fiftieth of the time.
  next_look_ns_ = now_ns + std::max(kLookEvery, 50 * (monotonic_ns() - begin));
}

std::optional<ContainerName> ContainerNames::from_docker(std::string_view container_id) const {
  if (!is_container_id(container_id)) return {};
  const auto config = read_file(
      places_.docker_directory + "/" + std::string(container_id) + "/config.v2.json", kMostConfig);
  return config ? parse_docker_config(*config) : std::nullopt;
}

void ContainerNames::add_needs(Confinement& needs) const {
  needs.reads.push_back(places_.log_directory);
  needs.reads.push_back(places_.docker_directory);
}

}  // namespace flowmeter
