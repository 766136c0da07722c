// SPDX-License-Identifier: BSD-3-Clause
#include "capture/bpf_datapath.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>

#include "flowmeter.skel.h"

namespace flowmeter {
namespace {

// Values of enum bpf_attach_type since Linux 6.6; older headers lack the names.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);

bool libbpf_verbose = false;

__attribute__((format(printf, 2, 0))) int print_libbpf(libbpf_print_level level, const char* format,
                                                       va_list arguments) {
  if (!libbpf_verbose || level == LIBBPF_DEBUG) return 0;
  return std::vfprintf(stderr, format, arguments);
}

std::string kernel_release() {
  struct utsname name {};
  return ::uname(&name) == 0 ? name.release : "?";
}

// One line that says what is missing.
Error load_error(int os_error) {
  if (os_error == EPERM || os_error == EACCES)
    return Error{
        "the kernel refuses to load BPF programs: CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are "
        "needed in the"
        " initial user namespace (-v shows libbpf's messages)",
        os_error};
  if (libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, nullptr) == 0)
    return Error{"kernel " + kernel_release() +
                 " has no BPF ring buffer (Linux 5.8 and newer have it)"};
  return Error{"cannot load the BPF programs into kernel " + kernel_release() +
                   " (-v shows libbpf's messages)",
               os_error};
}

}  // namespace

void BpfDatapath::SkeletonDeleter::operator()(flowmeter_bpf* skeleton) const {
  flowmeter_bpf__destroy(skeleton);
}
void BpfDatapath::RingDeleter::operator()(ring_buffer* ring) const {
  ring_buffer__free(ring);
}

BpfDatapath::~BpfDatapath() = default;

Result<std::unique_ptr<BpfDatapath>> BpfDatapath::load(const Config& config, Consumer consumer) {
  libbpf_verbose = config.verbose;
  libbpf_set_print(print_libbpf);
  std::unique_ptr<BpfDatapath> datapath(new BpfDatapath);
  datapath->consumer_ = std::move(consumer);
  datapath->skeleton_.reset(flowmeter_bpf__open());
  flowmeter_bpf* skeleton = datapath->skeleton_.get();
  if (!skeleton) return Error{"cannot open the embedded BPF object", errno};

  skeleton->rodata->settings = config.settings;
  skeleton->rodata->test_input = config.test_input;
  bpf_map__set_max_entries(skeleton->maps.flows, config.max_flows);
  bpf_map__set_max_entries(skeleton->maps.fragments, config.max_fragments);
  bpf_map__set_max_entries(skeleton->maps.events, config.ring_bytes);
  if (const int error = flowmeter_bpf__load(skeleton); error != 0) return load_error(-error);

  datapath->ring_.reset(
      ring_buffer__new(bpf_map__fd(skeleton->maps.events), take_record, datapath.get(), nullptr));
  if (!datapath->ring_) return Error{"cannot map the BPF ring buffer", errno};
  return datapath;
}

Status BpfDatapath::attach(const Interface& interface) {
  const auto& programs = skeleton_->progs;
  struct Hook {
    const bpf_program* program;
    bpf_attach_type type;
    const char* name;
  };
  const Hook hooks[] = {
      {interface.has_link_header ? programs.fm_ingress : programs.fm_ingress_ip, kTcxIngress,
       "ingress"},
      {interface.has_link_header ? programs.fm_egress : programs.fm_egress_ip, kTcxEgress,
       "egress"},
  };
  for (const Hook& hook : hooks) {
    if (interface.is_loopback && hook.type == kTcxEgress) continue;
    const int link = bpf_link_create(bpf_program__fd(hook.program),
                                     static_cast<int>(interface.index), hook.type, nullptr);
    if (link == -EINVAL)
      return Error{"cannot attach to " + interface.name + " " + hook.name + ": kernel " +
                   kernel_release() + " has no TCX (Linux 6.6 and newer have it)"};
    if (link < 0) return Error{"cannot attach to " + interface.name + " " + hook.name, -link};
    links_.emplace_back(link);
  }
  return Done{};
}

void BpfDatapath::detach() {
  links_.clear();
}

int BpfDatapath::take_record(void* self, void* record, size_t size) {
  auto* datapath = static_cast<BpfDatapath*>(self);
  datapath->consumer_(record, size);
  // A negative value stops libbpf's loop behind this record; a flood must not keep the caller from
  // its clock.
  return ++datapath->drained_ >= datapath->drain_limit_ ? -EAGAIN : 0;
}

size_t BpfDatapath::drain(size_t limit) {
  drained_ = 0;
  drain_limit_ = limit;
  ring_buffer__consume(ring_.get());
  return drained_;
}

Status BpfDatapath::close_flows(std::span<const fm_close_request> requests) {
  const int program = bpf_program__fd(skeleton_->progs.fm_close_flows);
  for (size_t i = 0; i < requests.size(); i += FM_CLOSE_BATCH) {
    const auto batch = requests.subspan(i, std::min<size_t>(FM_CLOSE_BATCH, requests.size() - i));
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = batch.data(),
                .data_size_in = static_cast<__u32>(batch.size_bytes()), .repeat = 1);
    if (const int error = bpf_prog_test_run_opts(program, &options); error != 0)
      return Error{"cannot run the closing BPF program", -error};
  }
  return Done{};
}

void BpfDatapath::list_flows(const std::function<bool(uint64_t id)>& wanted,
                             std::vector<fm_close_request>& requests) {
  const int map = bpf_map__fd(skeleton_->maps.flows);
  fm_flow_key key{}, next{};
  fm_map_entry entry;
  const fm_flow_key* at = nullptr;
  // A walk begins anew when the key it stands on is deleted meanwhile: bounded, or a flood would
  // keep it for ever.
  for (uint64_t left = 2ull * bpf_map__max_entries(skeleton_->maps.flows); left > 0; left--) {
    if (bpf_map_get_next_key(map, at, &next) != 0) break;
    key = next;
    at = &key;
    if (bpf_map_lookup_elem(map, &key, &entry) != 0) continue;
    const uint64_t id = entry.lock >> 1;
    if (wanted(id)) requests.push_back({key, id, 0});
  }
}

fm_cpu_counters BpfDatapath::counters() const {
  const int cpus = libbpf_num_possible_cpus();
  std::vector<fm_cpu_counters> all(static_cast<size_t>(std::max(cpus, 1)));
  const __u32 zero = 0;
  fm_cpu_counters sum{};
  if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.cpu_counters), &zero, all.data()) != 0)
    return sum;
  // A plain sequence of 64-bit counters: summed as such, so that a new one cannot be forgotten
  // here.
  auto* total = reinterpret_cast<fm_word*>(&sum);
  for (const fm_cpu_counters& one : all)
    for (size_t i = 0; i < sizeof(sum) / sizeof(fm_word); i++)
      total[i] += reinterpret_cast<const fm_word*>(&one)[i];
  return sum;
}

int BpfDatapath::ingress_program_fd() const {
  return bpf_program__fd(skeleton_->progs.fm_ingress);
}

}  // namespace flowmeter
