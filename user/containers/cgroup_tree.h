// SPDX-License-Identifier: BSD-3-Clause
// The tree of cgroup v2, as far as this process sees it. The id of a cgroup is the inode number of
// its directory, also where the node's tree is mounted into a container.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flowmeter {

class CgroupTree {
 public:
  // Finds where cgroup v2 is mounted: the mount of the whole tree, if there is one, else of a part.
  static Result<CgroupTree> open(const std::string& mountinfo = "/proc/self/mountinfo");

  const std::string& mount() const { return mount_; }

  using Visit = std::function<void(uint64_t id, std::string_view path)>;
  // Visits every cgroup, those above first, but at most `most`. path: below the mount, "/" for the
  // mount itself. Fails only if the mount cannot be read: cgroups come and go.
  Status walk(size_t most, const Visit& visit) const;

 private:
  explicit CgroupTree(std::string mount) : mount_(std::move(mount)) {}

  std::string mount_;
};

}  // namespace flowmeter
