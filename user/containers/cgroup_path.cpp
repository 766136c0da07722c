// SPDX-License-Identifier: BSD-3-Clause
#include "containers/cgroup_path.h"

#include <algorithm>
#include <charconv>

namespace flowmeter {
namespace {

constexpr std::string_view kScope = ".scope", kSlice = ".slice";

struct Prefix {
  std::string_view text;
  Engine engine;
};
// "libpod-payload-" is the part of a container that shares the cgroup of a service with its
// monitor.
constexpr Prefix kPrefixes[] = {
    {"docker-", Engine::kDocker},         {"cri-containerd-", Engine::kContainerd},
    {"nerdctl-", Engine::kContainerd},    {"crio-", Engine::kCrio},
    {"libpod-", Engine::kPodman},         {"libpod-payload-", Engine::kPodman},
    {"containerd-", Engine::kContainerd},
};

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool take_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

// "" if this is not a uid. The systemd driver writes '_' for '-', which separates slices.
std::string pod_uid(std::string_view text) {
  constexpr size_t kUuid = 36, kHash = 32;
  if (text.size() == kHash && is_hex(text)) return std::string(text);
  if (text.size() != kUuid) return {};
  std::string uid(text);
  for (size_t i = 0; i < kUuid; i++) {
    const bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (is_dash ? uid[i] != '-' && uid[i] != '_' : !is_hex(text.substr(i, 1))) return {};
    if (is_dash) uid[i] = '-';
  }
  return uid;
}

// The pod whose cgroup has this name, or "". parent: the name of the cgroup above.
std::string pod_of(std::string_view name, std::string_view parent) {
  if (take_suffix(name, kSlice)) {
    constexpr std::string_view kPodman = "libpod_pod_", kPod = "-pod";
    if (const size_t at = name.rfind(kPodman); at != std::string_view::npos)
      return is_container_id(name.substr(at + kPodman.size()))
                 ? std::string(name.substr(at + kPodman.size()))
                 : std::string();
    const size_t at = name.rfind(kPod);
    return at == std::string_view::npos ? "" : pod_uid(name.substr(at + kPod.size()));
  }
  if (parent == "libpod_parent" && is_container_id(name)) return std::string(name);
  return name.starts_with("pod") ? pod_uid(name.substr(3)) : "";
}

// Of "user-1000.slice".
uint32_t user_of(std::string_view name) {
  constexpr std::string_view kUser = "user-";
  uint32_t user = 0;
  if (!take_suffix(name, kSlice) || !name.starts_with(kUser)) return CgroupPath::kNobody;
  name.remove_prefix(kUser.size());
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), user);
  return error == std::errc() && end == name.data() + name.size() ? user : CgroupPath::kNobody;
}

Engine engine_below(std::string_view parent, bool in_pod) {
  if (parent == "docker") return Engine::kDocker;
  if (parent == "libpod_parent") return Engine::kPodman;
  return in_pod ? Engine::kUnknown : parent == "default" ? Engine::kContainerd : Engine::kUnknown;
}

// Whether this is the cgroup of a container. Sets its id and engine.
bool take_container(std::string_view name, std::string_view parent, CgroupPath& path) {
  if (is_container_id(name)) {
    path.container_id = name;
    path.engine = engine_below(parent, !path.pod_uid.empty());
    return true;
  }
  take_suffix(name, kScope);
  for (const auto& [prefix, engine] : kPrefixes) {
    if (!name.starts_with(prefix) || !is_container_id(name.substr(prefix.size()))) continue;
    path.container_id = name.substr(prefix.size());
    path.engine = engine;
    return true;
  }
  return false;
}

}  // namespace

bool is_container_id(std::string_view text) {
  return text.size() == kContainerIdDigits && is_hex(text);
}

CgroupPath parse_cgroup_path(std::string_view path) {
  CgroupPath found;
  found.owner_end = path.size();
  std::string_view parent;
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view name = path.substr(begin, end - begin);
    begin = end + 1;
    if (name.empty()) continue;
    if (name == "user.slice") {
      found.is_rootless = true;
      found.user = CgroupPath::kNobody;
    }
    if (parent == "user.slice") found.user = user_of(name);
    if (std::string pod = found.pod_uid.empty() ? pod_of(name, parent) : ""; !pod.empty()) {
      found.pod_uid = std::move(pod);
      found.owner_end = end;
    } else if (take_container(name, parent, found)) {
      found.owner_end = end;
      break;
    }
    parent = name;
  }
  return found;
}

}  // namespace flowmeter
