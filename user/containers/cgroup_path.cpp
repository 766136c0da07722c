// SPDX-License-Identifier: BSD-3-Clause
#include "containers/cgroup_path.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace flowmeter {
namespace {

constexpr std::string_view kScope = ".scope", kSlice = ".slice", kUsers = "user.slice";

// "libpod-payload-" is the part of a container that shares the cgroup of a service with its
// monitor.
constexpr std::string_view kPrefixes[] = {"docker-", "cri-containerd-", "nerdctl-",   "crio-",
                                          "libpod-", "libpod-payload-", "containerd-"};

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

// The id of the container whose cgroup has this name, or "".
std::string_view container_of(std::string_view name) {
  if (is_container_id(name)) return name;
  take_suffix(name, kScope);
  for (const std::string_view prefix : kPrefixes)
    if (name.starts_with(prefix) && is_container_id(name.substr(prefix.size())))
      return name.substr(prefix.size());
  return "";
}

}  // namespace

bool is_container_id(std::string_view text) {
  return text.size() == kContainerIdDigits && is_hex(text);
}

CgroupPath parse_cgroup_path(std::string_view path) {
  CgroupPath found;
  found.owner_end = path.size();
  std::string_view parent;
  bool is_users = false, below_users = false;
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view name = path.substr(begin, end - begin);
    begin = end + 1;
    if (name.empty()) continue;
    if (std::exchange(is_users, false)) found.user = user_of(name);
    // The uppermost alone: a user's own services are below another.
    if (name == kUsers && !std::exchange(below_users, true)) {
      is_users = true;
      found.user = CgroupPath::kNobody;
    }
    if (std::string pod = found.pod_uid.empty() ? pod_of(name, parent) : ""; !pod.empty()) {
      found.pod_uid = std::move(pod);
      found.owner_end = end;
    } else if (const std::string_view id = container_of(name); !id.empty()) {
      found.container_id = id;
      found.owner_end = end;
      break;
    }
    parent = name;
  }
  return found;
}

}  // namespace flowmeter
