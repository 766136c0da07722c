// SPDX-License-Identifier: BSD-3-Clause
#include "containers/cgroup_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <deque>
#include <fstream>
#include <memory>
#include <sstream>
#include <vector>

namespace flowmeter {
namespace {

constexpr ino_t kWholeTree = 1;  // the inode number of the root
constexpr nlink_t kLeafLinks = 2;

// Blanks and backslashes are octal in mountinfo: "\040".
std::string unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] != '\\' || text.size() - i < 4) {
      out.push_back(text[i]);
      continue;
    }
    out.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                    (text[i + 3] - '0')));
    i += 3;
  }
  return out;
}

// The mount points of cgroup v2, the latest first: one may be mounted over another.
std::vector<std::string> mount_points(const std::string& mountinfo) {
  std::ifstream file(mountinfo);
  std::vector<std::string> found;
  for (std::string line; std::getline(file, line);) {
    if (line.find(" - cgroup2 ") == std::string::npos) continue;
    std::istringstream words(line);
    std::string word;
    for (int i = 0; i < 5; i++) words >> word;
    found.insert(found.begin(), unescaped(word));
  }
  return found;
}

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

}  // namespace

Result<CgroupTree> CgroupTree::open(const std::string& mountinfo) {
  std::string part;
  for (std::string& mount : mount_points(mountinfo)) {
    struct stat about {};
    if (::stat(mount.c_str(), &about) != 0) continue;
    if (about.st_ino == kWholeTree) return CgroupTree(std::move(mount));
    if (part.empty()) part = std::move(mount);
  }
  if (part.empty()) return Error{"cgroup v2 is not mounted"};
  return CgroupTree(std::move(part));
}

Status CgroupTree::walk(size_t most, const Visit& visit) const {
  struct stat about {};
  if (::stat(mount_.c_str(), &about) != 0) return Error{"read " + mount_, errno};
  visit(about.st_ino, "/");
  std::deque<std::string> waiting{""};
  for (size_t visited = 1; !waiting.empty(); waiting.pop_front()) {
    const std::string& above = waiting.front();
    const Directory directory(::opendir((mount_ + above).c_str()), ::closedir);
    if (!directory && above.empty()) return Error{"read " + mount_, errno};
    if (!directory) continue;  // has gone, or its path is too long
    while (const dirent* entry = ::readdir(directory.get())) {
      const std::string_view name = entry->d_name;
      if (entry->d_type != DT_DIR || name == "." || name == "..") continue;
      if (visited++ >= most) return Done{};
      std::string path = above + "/";
      path += name;
      visit(entry->d_ino, path);
      // A cgroup has a link more than kLeafLinks for each one below it; most have none.
      const bool is_leaf =
          ::fstatat(::dirfd(directory.get()), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0 ||
          about.st_nlink <= kLeafLinks;
      if (!is_leaf) waiting.push_back(std::move(path));
    }
  }
  return Done{};
}

}  // namespace flowmeter
