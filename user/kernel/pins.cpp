// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/pins.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

namespace flowmeter {

Result<UniqueFd> claim_pin_directory(const std::string& directory) {
  const bool made = ::mkdir(directory.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return Error{"--pin: cannot create directory " + directory, errno};
  UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return Error{"--pin: cannot open directory " + directory, errno};
  struct statfs file_system {};
  if (::fstatfs(fd.get(), &file_system) != 0 || file_system.f_type != BPF_FS_MAGIC) {
    if (made) ::rmdir(directory.c_str());
    return Error{"--pin: " + directory +
                 " is not in a BPF file system (mount -t bpf bpf /sys/fs/bpf)"};
  }
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return Error{"--pin: another flowmeter-ebpf uses " + directory};
  return fd;
}

std::string pin_path(const std::string& directory, const std::string& name) {
  return directory + "/" + name;
}

Result<std::optional<fm_journal>> pinned_journal(const std::string& directory,
                                                 const fm_journal& wanted) {
  const UniqueFd map(bpf_obj_get(pin_path(directory, "journal").c_str()));
  if (!map) {
    if (errno == ENOENT) return std::optional<fm_journal>();
    return Error{"--pin: cannot open the state in " + directory, errno};
  }
  const auto refuse = [&](const std::string& why) {
    return Error{"--pin: the state in " + directory + " " + why + "; end it with --unpin and the " +
                 "same options and version, or remove the directory"};
  };
  bpf_map_info info{};
  __u32 size = sizeof(info);
  const __u32 zero = 0;
  fm_journal found{};
  if (bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0 ||
      info.value_size != sizeof(fm_journal) || bpf_map_lookup_elem(map.get(), &zero, &found) != 0 ||
      found.schema != wanted.schema)
    return refuse("was created by an incompatible version");
  const auto differs = [&](const char* option, uint64_t then) {
    return refuse("was created with another " + std::string(option) + " (" + std::to_string(then) +
                  ")");
  };
  if (found.max_entries != wanted.max_entries) return differs("--max-flows", found.max_entries);
  if (found.max_fragments != wanted.max_fragments)
    return differs("--max-fragments", found.max_fragments);
  if (found.units_per_stream != wanted.units_per_stream)
    return differs("--event-memory or number of CPUs", found.units_per_stream);
  if (found.timing_in_kernel != wanted.timing_in_kernel)
    return differs("--datapath", found.timing_in_kernel);
  if (found.lru != wanted.lru) return differs("--flow-map", found.lru);
  if (found.with_sizes != wanted.with_sizes || found.with_application != wanted.with_application)
    return refuse("was created with another --features");
  if (found.per_interface != wanted.per_interface || found.count_once != wanted.count_once)
    return differs("choice of interfaces or --per-interface", found.per_interface);
  return std::optional<fm_journal>(found);
}

Status reuse_pinned_map(const std::string& directory, bpf_map* map) {
  const std::string path = pin_path(directory, bpf_map__name(map));
  const UniqueFd fd(bpf_obj_get(path.c_str()));
  if (!fd) return Error{"--pin: cannot open " + path, errno};
  bpf_map_info info{};
  __u32 size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0)
    return Error{"--pin: cannot look at " + path, errno};
  // The programs and this process index it by what they were built with.
  if (info.type != static_cast<__u32>(bpf_map__type(map)) ||
      info.key_size != bpf_map__key_size(map) || info.value_size != bpf_map__value_size(map) ||
      info.max_entries != bpf_map__max_entries(map) || info.map_flags != bpf_map__map_flags(map))
    return Error{"--pin: " + path +
                 " is not the map that was pinned there (another type, size or flags): remove the "
                 "directory to end its flows"};
  if (const int error = bpf_map__reuse_fd(map, fd.get()); error != 0)
    return Error{"--pin: cannot reuse " + path, -error};
  return Done{};
}

Status pin_map(const std::string& directory, bpf_map* map) {
  const std::string path = pin_path(directory, bpf_map__name(map));
  if (bpf_obj_pin(bpf_map__fd(map), path.c_str()) != 0)
    return Error{"--pin: cannot pin " + path, errno};
  return Done{};
}

void remove_pin(const std::string& directory, const std::string& name) {
  ::unlink(pin_path(directory, name).c_str());
}

void remove_pin_directory(const std::string& directory) {
  ::rmdir(directory.c_str());
}

}  // namespace flowmeter
