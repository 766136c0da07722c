// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/bpf_datapath.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "base/host.h"
#include "flowmeter.skel.h"
#include "flowmeter/fragment.h"
#include "flowmeter_xdp.skel.h"
#include "kernel/attachment.h"
#include "kernel/counter_sums.h"
#include "kernel/earlier_version.h"
#include "kernel/map_walk.h"
#include "kernel/pins.h"

namespace flowmeter {
namespace {

// The receiver of libbpf's messages. libbpf has one print function per process, without a context,
// and calls it on the thread that called libbpf. So each thread has its own host.
thread_local Host* libbpf_log = nullptr;

// A message may have many lines (the verifier's log).
__attribute__((format(printf, 2, 0))) int print_libbpf(libbpf_print_level level, const char* format,
                                                       va_list arguments) {
  if (!libbpf_log) return 0;
  char* message = nullptr;
  if (::vasprintf(&message, format, arguments) < 0) return 0;
  for (std::string_view rest = message; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    libbpf_log->log(level == LIBBPF_DEBUG ? LogLevel::kDebug : LogLevel::kInfo,
                    rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  std::free(message);
  return 0;
}

// One line that says what is missing.
Error load_error(int os_error) {
  if (os_error == EPERM || os_error == EACCES) {
    // The program's own filter comes later: this one is a container's or a service manager's.
    const bool filtered = ::prctl(PR_GET_SECCOMP) == SECCOMP_MODE_FILTER;
    return Error{
        std::string("the kernel refuses to load BPF programs: ") +
            (filtered ? "the seccomp profile that is in force here must allow bpf(2), and " : "") +
            "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are needed in the initial user "
            "namespace (-v shows libbpf's messages)",
        os_error};
  }
  if (os_error == ENOMEM)
    return Error{"not enough memory for the BPF maps (--max-flows and --event-memory bound them)"};
  return Error{"cannot load the BPF programs into kernel " + kernel_release() +
                   " (-v shows libbpf's messages)",
               os_error};
}

// A map that the XDP object shares with the other one.
struct SharedMap {
  const char* name;
  // Sizes and offsets of what it holds. A map with a layout is pinned: a later daemon continues
  // with it.
  std::initializer_list<size_t> layout = {};

  bool pinned() const { return layout.size() > 0; }
};
// The journal is the last: if it exists, all of them exist.
constexpr SharedMap kSharedMaps[] = {
    {"flows",
     {sizeof(fm_flow_key), sizeof(fm_map_entry), sizeof(fm_timed_map_entry),
      sizeof(fm_sized_map_entry), sizeof(fm_flow_counters), sizeof(fm_direction_counters),
      sizeof(fm_flow_timing), sizeof(fm_direction_timing), sizeof(fm_flow_sizes),
      offsetof(fm_map_entry, counters), offsetof(fm_map_entry, point),
      offsetof(fm_flow_counters, direction), offsetof(fm_flow_counters, ece_packets),
      offsetof(fm_direction_counters, flag_packets), offsetof(fm_flow_timing, direction),
      offsetof(fm_flow_timing, run), offsetof(fm_flow_timing, active)}},
    {"fragments", {sizeof(fm_fragment_key), sizeof(fm_first_fragment)}},
    {"interfaces",
     {FM_INTERFACE_SLOTS, FM_PACKET_CLASS_COUNT, sizeof(fm_interface),
      offsetof(fm_interface, hook)}},
    {"streams", {sizeof(fm_stream)}},
    {"stream_units",
     {sizeof(fm_packet_record), sizeof(fm_open_record), sizeof(fm_state_record),
      sizeof(fm_owner_record)}},
    {"cpu_counters", {sizeof(fm_cpu_counters)}},
    {"journal", {sizeof(fm_journal), offsetof(fm_journal, commit), offsetof(fm_journal, departed)}},
    {"interface_ends"},
    {"socket_owners"},
    {"new_entry"},
    {"long_record"},
};

// A hash that changes whenever a layout changes.
uint64_t abi_schema() {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  const auto add = [&hash](uint64_t number) {
    for (unsigned shift = 0; shift < 64; shift += 8)
      hash = (hash ^ (number >> shift & 0xff)) * 0x100000001b3;
  };
  add(FM_ABI_VERSION);
  for (const SharedMap& map : kSharedMaps)
    for (const size_t number : map.layout) add(number);
  return hash;
}

bpf_map* map_of(const bpf_object* object, const SharedMap& map) {
  return bpf_object__find_map_by_name(object, map.name);
}

uint32_t possible_cpus() {
  return static_cast<uint32_t>(std::max(libbpf_num_possible_cpus(), 1));
}

}  // namespace

void BpfDatapath::SkeletonDeleter::operator()(flowmeter_bpf* skeleton) const {
  flowmeter_bpf__destroy(skeleton);
}
void BpfDatapath::SkeletonDeleter::operator()(flowmeter_xdp_bpf* skeleton) const {
  flowmeter_xdp_bpf__destroy(skeleton);
}

BpfDatapath::BpfDatapath() = default;

BpfDatapath::~BpfDatapath() {
  libbpf_log = nullptr;
}

Result<std::unique_ptr<BpfDatapath>> BpfDatapath::load(const Config& config, Consumer consumer) {
  libbpf_log = config.libbpf_log;
  libbpf_set_print(print_libbpf);
  std::unique_ptr<BpfDatapath> datapath(new BpfDatapath);
  datapath->consumer_ = std::move(consumer);
  datapath->slots_.resize(FM_INTERFACE_SLOTS);
  datapath->pin_directory_ = config.pin_directory;
  if (Status prepared = datapath->prepare(config); !prepared) return prepared.error();
  return datapath;
}

Status BpfDatapath::prepare(const Config& config) {
  const bool timed = config.datapath == Datapath::kKernel;
  const bool sized = config.settings.with_sizes != 0;
  const uint32_t state_units = state_units_ = fm_state_units(timed, sized);
  cpus_ = possible_cpus();
  units_per_stream_ = std::bit_floor(std::max<uint32_t>(
      config.stream_bytes / cpus_ / static_cast<uint32_t>(sizeof(fm_packet_record)), 256));
  answer_units_ = std::bit_ceil(static_cast<uint32_t>(kAnswersAtOnce * state_units));

  skeleton_.reset(flowmeter_bpf__open());
  if (!skeleton_) return Error{"cannot open the embedded BPF object", errno};
  auto& maps = skeleton_->maps;
  bpf_map__set_max_entries(maps.flows, config.max_entries);
  bpf_map__set_type(maps.flows, config.lru ? BPF_MAP_TYPE_LRU_HASH : BPF_MAP_TYPE_HASH);
  bpf_map__set_value_size(maps.flows, fm_map_value_size(timed, sized));
  bpf_map__set_max_entries(maps.fragments, config.max_fragments);
  bpf_map__set_max_entries(maps.streams, cpus_ + 1);
  bpf_map__set_max_entries(maps.stream_units, cpus_ * units_per_stream_ + answer_units_);
  bpf_map__set_autocreate(maps.socket_owners, config.attribute == FM_ATTRIBUTE_PROCESS);

  auto journal = new_journal(config);
  if (!journal) return journal.error();
  if (Status resumed = resume_pinned(*journal, config.settings); !resumed) return resumed;
  set_constants(skeleton_->rodata, config, *journal);
  if (const int error = flowmeter_bpf__load(skeleton_.get()); error != 0) return load_error(-error);
  if (config.with_xdp)
    if (Status loaded = load_xdp(config, *journal); !loaded) return loaded;

  journal_ =
      map_memory<fm_journal>(bpf_map__fd(maps.journal), sizeof(fm_journal), PROT_READ | PROT_WRITE);
  if (!journal_) return Error{"cannot map the journal", errno};
  auto streams = EventStreams::map(bpf_map__fd(maps.streams), bpf_map__fd(maps.stream_units), cpus_,
                                   units_per_stream_, state_units, answer_units_,
                                   resumed_ ? journal_->commits : 0);
  if (!streams) return streams.error();
  streams_.emplace(std::move(*streams));
  if (resumed_) {
    read_slots();
    return Done{};
  }
  // Files and rows go on where another version has left them.
  if (earlier_) {
    journal->commit[0] = earlier_->last_commit();
    journal->ended = earlier_->has_ended();
    if (earlier_->outputs_id() != 0) journal->outputs_id = earlier_->outputs_id();
  }
  journal->commit[0].taken_over = 0;
  *journal_ = *journal;
  return pin_directory_.empty() ? Status(Done{}) : pin_maps();
}

Result<fm_journal> BpfDatapath::new_journal(const Config& config) const {
  fm_journal journal{};
  journal.schema = abi_schema();
  journal.max_entries = config.max_entries;
  journal.max_fragments = config.max_fragments;
  journal.units_per_stream = units_per_stream_;
  journal.timing_in_kernel = config.datapath == Datapath::kKernel;
  journal.with_sizes = config.settings.with_sizes != 0;
  journal.with_application = config.settings.with_application != 0;
  journal.count_once = config.count_once;
  journal.per_interface = config.per_interface;
  journal.lru = config.lru;
  if (::getrandom(&journal.tag_secret, sizeof(journal.tag_secret), 0) < 0 ||
      ::getrandom(&journal.id, sizeof(journal.id), 0) < 0)
    return Error{"cannot get random numbers", errno};
  for (auto& word : journal.tag_secret.words) word |= 1;
  journal.outputs_id = journal.id |= 1;
  return journal;
}

void BpfDatapath::begin_outputs(std::span<const fm_output_position> ends) {
  // The files were cut at the last commit, so for most of them this changes nothing.
  std::copy(ends.begin(), ends.end(), journal_->commit[journal_->commits & 1].outputs);
  __atomic_store_n(&journal_->ended, uint8_t{0}, __ATOMIC_RELEASE);
}

Status BpfDatapath::resume_pinned(fm_journal& journal, const fm_settings& settings) {
  if (pin_directory_.empty()) return Done{};
  auto whose = whose_journal(pin_directory_, journal.schema);
  if (!whose) return whose.error();
  auto earlier = EarlierVersion::find(pin_directory_, *whose == JournalOf::kAnotherVersion,
                                      bpf_object__btf(skeleton_->obj), settings);
  if (!earlier) return earlier.error();
  earlier_ = std::move(*earlier);
  if (*whose != JournalOf::kThisVersion) return Done{};
  auto pinned = pinned_journal(pin_directory_, journal);
  if (!pinned) return pinned.error();
  journal = *pinned;
  resumed_ = true;
  for (const SharedMap& map : kSharedMaps)
    if (map.pinned())
      if (Status reused = reuse_pinned_map(pin_directory_, map_of(skeleton_->obj, map)); !reused)
        return reused;
  return Done{};
}

template <typename Rodata>
void BpfDatapath::set_constants(Rodata* rodata, const Config& config,
                                const fm_journal& journal) const {
  rodata->settings = config.settings;
  rodata->tag_secret = journal.tag_secret;
  rodata->timing_in_kernel = journal.timing_in_kernel;
  rodata->units_per_stream = units_per_stream_;
  rodata->answer_units = answer_units_;
  rodata->answer_stream = cpus_;
#if defined(__x86_64__)
  rodata->stores_in_order = 1;
#endif
  rodata->count_once = config.count_once;
  rodata->per_interface = config.per_interface;
  rodata->attribute = static_cast<uint8_t>(config.attribute);
  rodata->test_input = config.test_input;
}

Status BpfDatapath::load_xdp(const Config& config, const fm_journal& journal) {
  xdp_.reset(flowmeter_xdp_bpf__open());
  if (!xdp_) return Error{"cannot open the embedded BPF object for XDP", errno};
  set_constants(xdp_->rodata, config, journal);
  if (config.xdp_takes_frags)
    for (bpf_program* program : {xdp_->progs.fm_xdp, xdp_->progs.fm_xdp_ip})
      bpf_program__set_flags(program, BPF_F_XDP_HAS_FRAGS);
  for (const SharedMap& map : kSharedMaps) {
    bpf_map* const ours = map_of(xdp_->obj, map);
    const int fd = bpf_map__fd(map_of(skeleton_->obj, map));
    const int error = fd < 0 ? bpf_map__set_autocreate(ours, false) : bpf_map__reuse_fd(ours, fd);
    if (error != 0) return Error{"cannot share BPF maps", -error};
  }
  if (const int error = flowmeter_xdp_bpf__load(xdp_.get()); error != 0) return load_error(-error);
  return Done{};
}

Status BpfDatapath::pin_maps() {
  if (earlier_)
    if (Status kept = earlier_->keep(); !kept) return kept;
  // A daemon that was killed may have left some pins, and another version has all. The journal goes
  // first and comes last, because its existence says that all others exist.
  remove_pins();
  if (Status pinned = pin_layouts(pin_directory_, bpf_object__btf(skeleton_->obj)); !pinned)
    return pinned;
  for (const SharedMap& map : kSharedMaps) {
    if (!map.pinned()) continue;
    if (Status pinned = pin_map(pin_directory_, map_of(skeleton_->obj, map)); !pinned)
      return pinned;
  }
  return Done{};
}

void BpfDatapath::unpin() {
  if (pin_directory_.empty()) return;
  remove_pins();
  EarlierVersion::remove(pin_directory_);
  remove_pin_directory(pin_directory_);
}

void BpfDatapath::remove_pins() {
  for (auto map = std::rbegin(kSharedMaps); map != std::rend(kSharedMaps); ++map)
    if (map->pinned()) remove_pin(pin_directory_, map->name);
  remove_pin(pin_directory_, "layouts");
}

Status BpfDatapath::end_earlier_programs() {
  if (Status ended = earlier_->end_of_programs(last_commit().taken_over); !ended) return ended;
  std::copy(earlier_->counters().begin(), earlier_->counters().end(), journal_->earlier);
  journal_->earlier_before_attach = earlier_->before_attach();
  return Done{};
}

uint64_t BpfDatapath::taken_over() const {
  return earlier_ ? earlier_->taken_over() : last_commit().taken_over;
}

void BpfDatapath::read_slots() {
  std::vector<fm_interface> values(cpus_);
  for (uint32_t slot = 0; slot < FM_INTERFACE_SLOTS; slot++)
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.interfaces), &slot, values.data()) == 0)
      slots_[slot] = values[0].ifindex;
}

Status BpfDatapath::add_interface(const Interface& interface, DeviceMerging merging) {
  if (slot_of(interface.index)) return Done{};
  for (uint32_t i = 0; i < FM_INTERFACE_PROBES; i++) {
    const uint32_t slot = fm_interface_slot(interface.index, i);
    if (slots_[slot] != 0) continue;
    fm_interface value{};
    value.ifindex = interface.index;
    value.merges = merging == DeviceMerging::kOn;
    value.rank = interface.rank;
    // Loopback's MTU and none are no limit.
    constexpr unsigned kEthernetHeader = 14, kTwoTags = 8, kLoopbackMtu = 65'000;
    if (interface.mtu > 0 && interface.mtu < kLoopbackMtu)
      value.frame_limit = interface.mtu + kEthernetHeader + kTwoTags;
    const std::vector<fm_interface> values(cpus_, value);
    if (bpf_map_update_elem(bpf_map__fd(skeleton_->maps.interfaces), &slot, values.data(),
                            BPF_ANY) != 0)
      return Error{"cannot register interface " + interface.name, errno};
    slots_[slot] = interface.index;
    return Done{};
  }
  return Error{"cannot also meter " + interface.name + ": all slots for its index, " +
               std::to_string(interface.index) + ", are used by other interfaces (of " +
               std::to_string(FM_INTERFACE_SLOTS) + " slots; name fewer interfaces with -i)"};
}

std::optional<unsigned> BpfDatapath::slot_of(unsigned index) const {
  const auto found = std::find(slots_.begin(), slots_.end(), index);
  if (index == 0 || found == slots_.end()) return std::nullopt;
  return static_cast<unsigned>(found - slots_.begin());
}

void BpfDatapath::remove_interface(unsigned index) {
  const auto found = slot_of(index);
  if (!found) return;
  const uint32_t slot = *found;
  std::vector<fm_interface> values(cpus_);
  const InterfaceCounters last = counters_of(slot, values);
  for (int hook = 0; hook < FM_HOOK_COUNT; hook++)
    add_counters(journal_->departed[hook], last.hook[hook]);
  add_counters(journal_->departed_before_attach,
               std::exchange(journal_->before_attach[slot], fm_before_attach{}));
  const std::vector<fm_interface> none(cpus_);
  bpf_map_update_elem(bpf_map__fd(skeleton_->maps.interfaces), &slot, none.data(), BPF_ANY);
  slots_[slot] = kRetired;
}

void BpfDatapath::set_ends(unsigned index, const fm_interface_ends& ends) {
  const auto slot = slot_of(index);
  if (!slot) return;
  bpf_map_update_elem(bpf_map__fd(skeleton_->maps.interface_ends), &*slot, &ends, BPF_ANY);
}

int BpfDatapath::socket_owners_fd() const {
  return bpf_map__fd(skeleton_->maps.socket_owners);
}

void BpfDatapath::reuse_slots() {
  std::replace(slots_.begin(), slots_.end(), kRetired, 0u);
}

std::vector<unsigned> BpfDatapath::interfaces() const {
  std::vector<unsigned> indexes;
  for (const unsigned index : slots_)
    if (index != 0 && index != kRetired) indexes.push_back(index);
  if (earlier_)
    indexes.insert(indexes.end(), earlier_->interfaces().begin(), earlier_->interfaces().end());
  return indexes;
}

int BpfDatapath::program_fd(const Interface& interface, fm_hook hook) const {
  const auto& programs = skeleton_->progs;
  const bool ethernet = interface.has_link_header;
  if (hook == FM_HOOK_INGRESS)
    return bpf_program__fd(ethernet ? programs.fm_ingress : programs.fm_ingress_ip);
  return bpf_program__fd(ethernet ? programs.fm_egress : programs.fm_egress_ip);
}

int BpfDatapath::xdp_program_fd(const Interface& interface) const {
  return bpf_program__fd(interface.has_link_header ? xdp_->progs.fm_xdp : xdp_->progs.fm_xdp_ip);
}

size_t BpfDatapath::drain(uint64_t until_ns, size_t limit) {
  return streams_->drain(until_ns, limit, consumer_);
}

void BpfDatapath::release() {
  streams_->release();
}

// A kill stops this thread between two instructions, so the order in which they are written is
// enough.
void BpfDatapath::commit(const fm_commit& commit) {
  const uint64_t next = journal_->commits + 1;
  streams_->store_mark(next);
  journal_->commit[next & 1] = commit;
  __atomic_store_n(&journal_->commits, next, __ATOMIC_RELEASE);
  streams_->release_marked();
  if (earlier_ && earlier_->done() && commit.taken_over == earlier_->taken_over()) {
    EarlierVersion::remove(pin_directory_);
    earlier_.reset();
  }
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

Status BpfDatapath::list_flows(const std::function<bool(uint64_t id)>& wanted,
                               std::vector<fm_close_request>& requests,
                               const std::function<void()>& between) {
  const bpf_map* flows = skeleton_->maps.flows;
  MapWalk walk(bpf_map__fd(flows), sizeof(fm_flow_key), bpf_map__value_size(flows));
  while (!walk.done()) {
    auto count = walk.next();
    if (!count) return count.error();
    for (size_t i = 0; i < *count; i++) {
      fm_close_request request{};
      uint64_t lock;
      std::memcpy(&request.key, walk.key(i), sizeof(request.key));
      std::memcpy(&lock, walk.value(i) + offsetof(fm_map_entry, lock), sizeof(lock));
      request.flow_id = lock >> FM_LOCK_ID_SHIFT;
      if (wanted(request.flow_id)) requests.push_back(request);
    }
    if (!walk.done()) between();
  }
  return Done{};
}

}  // namespace flowmeter
