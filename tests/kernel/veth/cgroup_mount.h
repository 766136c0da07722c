// SPDX-License-Identifier: BSD-3-Clause
// Where cgroup v2 is mounted here, and cgroups of a test.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "containers/cgroup_tree.h"

namespace flowmeter::testing {

// "" if it is not mounted.
inline std::string cgroup_mount() {
  auto tree = CgroupTree::open();
  return tree ? tree->mount() : "";
}

// A cgroup below the root, removed with all that is in it.
class TestCgroup {
 public:
  explicit TestCgroup(const std::string& name)
      : path_("/" + name + "-" + std::to_string(::getpid())) {
    std::filesystem::create_directory(directory());
  }
  TestCgroup(const TestCgroup&) = delete;
  TestCgroup& operator=(const TestCgroup&) = delete;
  ~TestCgroup() { remove(directory()); }

  // From the root of the hierarchy.
  const std::string& path() const { return path_; }
  std::string directory() const { return cgroup_mount() + path_; }
  uint64_t id(const std::string& below = "") const {
    struct stat file {};
    return ::stat((directory() + below).c_str(), &file) == 0 ? file.st_ino : 0;
  }

 private:
  // The files of a cgroup go with its directory, and cannot be removed.
  static void remove(const std::filesystem::path& directory) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error))
      if (entry.is_directory(error)) remove(entry.path());
    ::rmdir(directory.c_str());
  }

  const std::string path_;
};

}  // namespace flowmeter::testing
