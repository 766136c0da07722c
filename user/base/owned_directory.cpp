// SPDX-License-Identifier: BSD-3-Clause
#include "base/owned_directory.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <filesystem>
#include <memory>

namespace flowmeter {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

constexpr unsigned kLinksMax = 40;  // as in the kernel

bool is_trusted(uid_t owner) {
  return owner == ::geteuid() || owner == 0;
}

Status check_owner(const struct stat& status, const std::string& what, const std::string& to_do) {
  if (is_trusted(status.st_uid)) return Done{};
  return Error{what + " belongs to user " + std::to_string(status.st_uid) + ": " + to_do};
}

Status check_not_shared(const struct stat& status, const std::string& path) {
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) == 0) return Done{};
  return Error{path + " can be changed by other users: chmod go-w " + path};
}

std::string chown_to_us(const std::string& path) {
  return "chown " + std::to_string(::geteuid()) + " " + path;
}

Status check_file(const struct stat& status, const std::string& path) {
  if (!S_ISREG(status.st_mode)) return Error{path + " is not a regular file: remove it"};
  if (Status owner = check_owner(status, path, "remove it, or " + chown_to_us(path)); !owner)
    return owner;
  if (status.st_nlink > 1) return Error{path + " has another name (a hard link): remove it"};
  return Done{};
}

// Opens the directory at the end of a path, and whatever is on the way to it.
class Walk {
 public:
  Result<UniqueFd> open(const std::string& path, OwnedDirectory::IfMissing if_missing) {
    std::error_code failed;
    const std::filesystem::path whole = std::filesystem::absolute(path, failed);
    if (failed) return Error{"cannot open \"" + path + '"', failed.value()};
    push(whole.relative_path());
    if (Status root = enter("/", UniqueFd(::open("/", kAsPlace | O_DIRECTORY))); !root)
      return root.error();
    while (!left_.empty()) {
      const std::string name = std::move(left_.back());
      left_.pop_back();
      const bool create = left_.empty() && if_missing == OwnedDirectory::IfMissing::kCreate;
      if (Status stepped = step(name, create); !stepped) return stepped.error();
    }
    return UniqueFd(::openat(at_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

 private:
  static constexpr int kAsPlace = O_PATH | O_NOFOLLOW | O_CLOEXEC;

  // The parts of a relative path are what has to be entered next.
  void push(const std::filesystem::path& path) {
    const std::vector<std::string> parts(path.begin(), path.end());
    for (auto part = parts.rbegin(); part != parts.rend(); ++part)
      if (!part->empty() && *part != ".") left_.push_back(*part);
  }

  Status step(const std::string& name, bool create) {
    const std::string path = at_path_ + (at_path_.ends_with('/') ? "" : "/") + name;
    // Flows show who communicates with whom, so only their owner may read them.
    if (create && ::mkdirat(at_.get(), name.c_str(), 0700) != 0 && errno != EEXIST)
      return Error{"cannot create the directory " + path, errno};
    UniqueFd fd(::openat(at_.get(), name.c_str(), kAsPlace));
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0) return Error{"cannot open " + path, errno};
    if (!S_ISLNK(status.st_mode)) return enter(path, std::move(fd));
    if (Status owner = check_owner(status, "the symbolic link " + path,
                                   "name the directory that it points to");
        !owner)
      return owner;
    if (++links_ > kLinksMax) return Error{"cannot open " + path, ELOOP};
    std::string target(PATH_MAX, '\0');
    const ssize_t length = ::readlinkat(fd.get(), "", target.data(), target.size());
    if (length < 0) return Error{"cannot read the link " + path, errno};
    target.resize(static_cast<size_t>(length));
    const std::filesystem::path to(target);
    push(to.relative_path());
    if (to.is_relative()) return Done{};
    return enter("/", UniqueFd(::open("/", kAsPlace | O_DIRECTORY)));
  }

  Status enter(const std::string& path, UniqueFd fd) {
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0) return Error{"cannot open " + path, errno};
    if (!S_ISDIR(status.st_mode)) return Error{path + " is not a directory"};
    // The directory itself, where nothing is left to do, has a stricter check.
    if (!left_.empty() && (status.st_mode & S_IWOTH) && !(status.st_mode & S_ISVTX))
      return Error{path + " can be changed by every user: chmod o-w " + path};
    at_ = std::move(fd);
    at_path_ = path;
    return Done{};
  }

  std::vector<std::string> left_;  // the next one is the last
  UniqueFd at_;
  std::string at_path_;
  unsigned links_ = 0;
};

}  // namespace

Status check_owned_file(int fd, const std::string& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Error{"cannot look at " + path, errno};
  return check_file(status, path);
}

Result<OwnedDirectory> OwnedDirectory::open(const std::string& path, IfMissing if_missing) {
  auto fd = Walk().open(path, if_missing);
  if (!fd) return fd.error();
  struct stat status {};
  if (!*fd || ::fstat(fd->get(), &status) != 0) return Error{"cannot open " + path, errno};
  if (Status owner = check_owner(status, path, chown_to_us(path) + ", or use another"); !owner)
    return owner.error();
  if (Status own = check_not_shared(status, path); !own) return own.error();
  return OwnedDirectory(path, std::move(*fd));
}

Status OwnedDirectory::check_writable() const {
  if (::faccessat(fd(), ".", W_OK | X_OK, AT_EACCESS) == 0) return Done{};
  return Error{path_ + " must be writable for the user, also without capabilities", errno};
}

Status OwnedDirectory::sync() const {
  if (::fsync(fd()) == 0) return Done{};
  return Error{"cannot synchronise " + path_ + " to the disk", errno};
}

Result<UniqueFd> OwnedDirectory::create_file(const std::string& name, mode_t mode) const {
  UniqueFd file(
      ::openat(fd(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!file) return Error{"cannot create " + path_of(name), errno};
  return file;
}

Result<UniqueFd> OwnedDirectory::open_file(const std::string& name, int flags) const {
  UniqueFd file(::openat(fd(), name.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file && errno == ELOOP) return Error{path_of(name) + " is a symbolic link: remove it"};
  if (!file) return Error{"cannot open " + path_of(name), errno};
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return Error{"cannot look at " + path_of(name), errno};
  if (Status owned = check_file(status, path_of(name)); !owned) return owned.error();
  if (Status own = check_not_shared(status, path_of(name)); !own) return own.error();
  return file;
}

Status OwnedDirectory::rename(const std::string& from, const std::string& to) const {
  if (::renameat(fd(), from.c_str(), fd(), to.c_str()) == 0) return Done{};
  return Error{"cannot rename " + path_of(from), errno};
}

Status OwnedDirectory::unlink(const std::string& name) const {
  if (::unlinkat(fd(), name.c_str(), 0) == 0) return Done{};
  return Error{"cannot remove " + path_of(name), errno};
}

Result<std::vector<std::string>> OwnedDirectory::list() const {
  const auto failed = [this] { return Error{"cannot read " + path_, errno}; };
  UniqueFd again(::openat(fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!again) return failed();
  const std::unique_ptr<DIR, CloseDirectory> entries(::fdopendir(again.get()));
  if (!entries) return failed();
  (void)again.release();  // closedir() closes it
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(entries.get()))
    if (const std::string name = entry->d_name; name != "." && name != "..") names.push_back(name);
  if (errno != 0) return failed();
  return names;
}

}  // namespace flowmeter
