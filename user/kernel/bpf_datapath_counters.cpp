// SPDX-License-Identifier: BSD-3-Clause
// What the loaded programs have counted, and what the kernel has measured of them.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>

#include "kernel/bpf_datapath.h"
// The skeletons need the types of the header above.
#include "flowmeter.skel.h"
#include "flowmeter_xdp.skel.h"
#include "kernel/counter_sums.h"

namespace flowmeter {

// values: room for one per CPU.
InterfaceCounters BpfDatapath::counters_of(uint32_t slot, std::vector<fm_interface>& values) const {
  constexpr int kTries = 100;
  const auto whole = [](const fm_interface& one) {
    for (const fm_hook_counters& hook : one.hook) {
      uint64_t sum = 0;
      for (const uint64_t packets : hook.by_class) sum += packets;
      if (sum != hook.seen) return false;
    }
    return true;
  };
  InterfaceCounters sum;
  sum.index = slots_[slot];
  // If the copy was made while a packet was being added, it is made again.
  for (int i = 0; i < kTries; i++)
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.interfaces), &slot, values.data()) != 0 ||
        std::all_of(values.begin(), values.end(), whole))
      break;
  for (const fm_interface& one : values)
    for (int hook = 0; hook < FM_HOOK_COUNT; hook++) add_counters(sum.hook[hook], one.hook[hook]);
  return sum;
}

std::vector<InterfaceCounters> BpfDatapath::interface_counters() const {
  std::vector<InterfaceCounters> all;
  std::vector<fm_interface> values(cpus_);
  for (uint32_t slot = 0; slot < FM_INTERFACE_SLOTS; slot++)
    if (slots_[slot] != 0 && slots_[slot] != kRetired) all.push_back(counters_of(slot, values));
  return all;
}

InterfaceCounters BpfDatapath::interface_counters(unsigned index) const {
  std::vector<fm_interface> values(cpus_);
  const auto slot = slot_of(index);
  return slot ? counters_of(*slot, values) : InterfaceCounters{};
}

fm_hook_counters BpfDatapath::departed(int hook) const {
  fm_hook_counters sum = journal_->departed[hook];
  add_counters(sum, journal_->earlier[hook]);
  return sum;
}

fm_before_attach BpfDatapath::departed_before_attach() const {
  fm_before_attach sum = journal_->departed_before_attach;
  add_counters(sum, journal_->earlier_before_attach);
  return sum;
}

fm_before_attach BpfDatapath::before_attach(unsigned index) const {
  const auto slot = slot_of(index);
  return slot ? journal_->before_attach[*slot] : fm_before_attach{};
}

void BpfDatapath::add_before_attach(unsigned index, const fm_before_attach& before) {
  const auto slot = slot_of(index);
  add_counters(slot ? journal_->before_attach[*slot] : journal_->departed_before_attach, before);
}

Status BpfDatapath::measure_programs() {
  measuring_ = UniqueFd(bpf_enable_stats(BPF_STATS_RUN_TIME));
  if (measuring_) return Done{};
  return Error{errno == EPERM ? "--bpf-stats needs CAP_SYS_ADMIN (root)"
                              : "--bpf-stats: the kernel cannot measure BPF programs",
               errno};
}

std::vector<ProgramRuns> BpfDatapath::program_runs() const {
  std::vector<ProgramRuns> all;
  for (const bpf_object* object : {skeleton_->obj, xdp_ ? xdp_->obj : nullptr}) {
    bpf_program* program = nullptr;
    while (object && (program = bpf_object__next_program(object, program))) {
      bpf_prog_info info{};
      __u32 size = sizeof(info);
      if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) == 0)
        all.push_back({bpf_program__name(program), info.run_cnt, info.run_time_ns});
    }
  }
  return all;
}

fm_cpu_counters BpfDatapath::counters() const {
  std::vector<fm_cpu_counters> all(cpus_);
  const __u32 zero = 0;
  fm_cpu_counters sum{};
  if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.cpu_counters), &zero, all.data()) != 0)
    return sum;
  for (const fm_cpu_counters& one : all) add_counters(sum, one);
  return sum;
}

}  // namespace flowmeter
