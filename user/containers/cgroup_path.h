// SPDX-License-Identifier: BSD-3-Clause
// What the path of a cgroup tells about its container, as the engines and the kubelet name cgroups
// with both cgroup drivers. The outermost container counts: its cgroup was named by the engine of
// this machine, while what is below may have been made by the container itself (systemd or Docker
// in it), under any name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace flowmeter {

inline constexpr size_t kContainerIdDigits = 64;
// Whether these are 64 hexadecimal digits.
bool is_container_id(std::string_view text);

struct CgroupPath {
  static constexpr uint32_t kNobody = UINT32_MAX;
  // 64 hexadecimal digits; empty: it is in no container.
  std::string_view container_id;
  // As in the path, with dashes: a UUID, or 32 hexadecimal digits (static pods), or Podman's id
  // of 64. Empty: it is in no pod.
  std::string pod_uid;
  // Who has named it. Below user.slice it is the user without privileges of user-1000.slice, or
  // kNobody if there is no such slice; else it is root, 0.
  uint32_t user = 0;
  // Length of the path up to the cgroup of the container, or of the pod if there is none; else of
  // the whole path.
  size_t owner_end = 0;
};

// The views are of `path`, which may have any bytes and any length.
CgroupPath parse_cgroup_path(std::string_view path);

}  // namespace flowmeter
