// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/pins.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace flowmeter {
namespace {

constexpr const char* kJournal = "journal";

}  // namespace

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

Result<JournalOf> whose_journal(const std::string& directory, uint64_t schema) {
  const UniqueFd map(bpf_obj_get(pin_path(directory, kJournal).c_str()));
  if (!map && errno == ENOENT) return JournalOf::kNobody;
  bpf_map_info info{};
  __u32 size = sizeof(info);
  if (!map || bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0)
    return Error{"--pin: cannot open the state in " + directory, errno};
  const __u32 zero = 0;
  std::vector<std::byte> journal(std::max<size_t>(info.value_size, sizeof(schema)));
  if (bpf_map_lookup_elem(map.get(), &zero, journal.data()) != 0)
    return Error{"--pin: cannot read the state in " + directory, errno};
  const bool ours = info.value_size == sizeof(fm_journal) &&
                    std::memcmp(journal.data(), &schema, sizeof(schema)) == 0;
  return ours ? JournalOf::kThisVersion : JournalOf::kAnotherVersion;
}

bool is_another_journal(const std::string& directory, const std::string& kept) {
  const auto id_in = [](const std::string& where) {
    const UniqueFd map(bpf_obj_get(pin_path(where, kJournal).c_str()));
    bpf_map_info info{};
    __u32 size = sizeof(info);
    return map && bpf_obj_get_info_by_fd(map.get(), &info, &size) == 0 ? info.id : 0;
  };
  const __u32 other = id_in(kept);
  return other != 0 && other != id_in(directory);
}

Result<fm_journal> pinned_journal(const std::string& directory, const fm_journal& wanted) {
  const UniqueFd map(bpf_obj_get(pin_path(directory, kJournal).c_str()));
  const __u32 zero = 0;
  fm_journal found{};
  if (!map || bpf_map_lookup_elem(map.get(), &zero, &found) != 0)
    return Error{"--pin: cannot read the state in " + directory, errno};
  const auto refuse = [&](const std::string& why) {
    return Error{"--pin: the state in " + directory + " " + why + "; end it with --unpin and the " +
                 "same options and version, or remove the directory"};
  };
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
  return found;
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

Status pin_layouts(const std::string& directory, const btf* layouts) {
  const std::string path = pin_path(directory, "layouts");
  __u32 size = 0;
  const void* bytes = btf__raw_data(layouts, &size);
  const __u32 zero = 0;
  const UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "layouts", sizeof(zero), size, 1, nullptr));
  if (!bytes || !map || bpf_map_update_elem(map.get(), &zero, bytes, BPF_ANY) != 0 ||
      bpf_obj_pin(map.get(), path.c_str()) != 0)
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
