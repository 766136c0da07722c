// SPDX-License-Identifier: BSD-3-Clause
// Which cgroups (v2) are made and removed, as the kernel tells it. So a container that lives for a
// moment only is known by its path, although nothing of it is left in the file system.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "base/result.h"

struct cgroup_events_bpf;
struct ring_buffer;

namespace flowmeter {

class CgroupEvents {
 public:
  // path: from the root of the hierarchy ("/system.slice"); bytes as the kernel has them, which
  // anybody may have chosen.
  using Made = std::function<void(uint64_t id, std::string_view path)>;
  using Removed = std::function<void(uint64_t id)>;

  // Fails if the kernel has no BTF or CAP_PERFMON is missing. Later calls need no privileges.
  static Result<std::unique_ptr<CgroupEvents>> open();
  ~CgroupEvents();
  CgroupEvents(const CgroupEvents&) = delete;
  CgroupEvents& operator=(const CgroupEvents&) = delete;

  // Passes on all events since the last call, in order. Returns false if some were lost since then,
  // or a path was too long for the kernel: the tree has to be searched.
  bool drain(const Made& made, const Removed& removed);

 private:
  CgroupEvents() = default;
  static int take(void* events, void* record, size_t size);

  struct Deleter {
    void operator()(cgroup_events_bpf* skeleton) const;
    void operator()(ring_buffer* ring) const;
  };

  std::unique_ptr<cgroup_events_bpf, Deleter> skeleton_;
  std::unique_ptr<ring_buffer, Deleter> ring_;
  const Made* made_ = nullptr;  // of the drain() that runs
  const Removed* removed_ = nullptr;
  bool complete_ = true;
  uint64_t lost_ = 0;
};

}  // namespace flowmeter
