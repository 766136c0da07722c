// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/cgroup_events.h"

#include <bpf/libbpf.h>

#include "cgroup_events.skel.h"
#include "flowmeter/cgroup_event.h"

namespace flowmeter {

void CgroupEvents::Deleter::operator()(cgroup_events_bpf* skeleton) const {
  cgroup_events_bpf__destroy(skeleton);
}
void CgroupEvents::Deleter::operator()(ring_buffer* ring) const {
  ring_buffer__free(ring);
}

CgroupEvents::~CgroupEvents() = default;

Result<std::unique_ptr<CgroupEvents>> CgroupEvents::open() {
  std::unique_ptr<CgroupEvents> events(new CgroupEvents);
  events->skeleton_.reset(cgroup_events_bpf__open());
  cgroup_events_bpf* const skeleton = events->skeleton_.get();
  if (!skeleton) return Error{"cannot open the embedded BPF object for cgroup events", errno};
  if (const int error = cgroup_events_bpf__load(skeleton); error != 0)
    return Error{"cannot load the BPF programs for cgroup events", -error};
  events->ring_.reset(
      ring_buffer__new(bpf_map__fd(skeleton->maps.cgroup_events), take, events.get(), nullptr));
  if (!events->ring_) return Error{"cannot map the cgroup events", errno};
  if (const int error = cgroup_events_bpf__attach(skeleton); error != 0)
    return Error{"cannot attach the BPF programs for cgroup events", -error};
  return events;
}

int CgroupEvents::take(void* events, void* record, size_t) {
  auto* const self = static_cast<CgroupEvents*>(events);
  const auto* const event = static_cast<const fm_cgroup_event*>(record);
  if (event->removed)
    (*self->removed_)(event->id);
  else if (event->path_bytes == FM_CGROUP_PATH_BYTES)  // perhaps cut
    self->complete_ = false;
  else
    (*self->made_)(event->id, {event->path, event->path_bytes - 1});
  return 0;
}

bool CgroupEvents::drain(const Made& made, const Removed& removed) {
  made_ = &made;
  removed_ = &removed;
  complete_ = true;
  // Before the events are taken, so what is lost meanwhile counts for the next call.
  const uint64_t lost = __atomic_load_n(&skeleton_->bss->lost, __ATOMIC_RELAXED);
  ring_buffer__consume(ring_.get());
  complete_ = complete_ && lost == lost_;
  lost_ = lost;
  return complete_;
}

}  // namespace flowmeter
