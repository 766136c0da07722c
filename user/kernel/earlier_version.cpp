// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/earlier_version.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "kernel/counter_sums.h"
#include "kernel/pins.h"

namespace flowmeter {
namespace {

struct BtfDeleter {
  void operator()(btf* layout) const { btf__free(layout); }
};
using Btf = std::unique_ptr<btf, BtfDeleter>;

// Without these nothing can be read. (A member that is missing elsewhere is 0.)
constexpr struct {
  const char* in;
  const char* name;
} kNeeded[] = {
    {"fm_journal", "units_per_stream"},
    {"fm_journal", "timing_in_kernel"},
    {"fm_journal", "with_sizes"},
    {"fm_journal", "commits"},
    {"fm_commit", "packets_written"},
    {"fm_stream", "head"},
    {"fm_stream", "committed"},
    {"fm_packet_record", "what"},
    {"fm_open_record", "key"},
    {"fm_state_record", "key"},
    {"fm_state_record", "counters"},
    {"fm_state_record", "timing"},
    {"fm_state_record", "sizes"},
    {"fm_state_record", "sizes_only"},
    {"fm_payload_record", "bytes"},
    {"fm_payload_record", "byte_count"},
    {"fm_map_entry", "tag"},
    {"fm_map_entry", "counters"},
    {"fm_flow_counters", "begun"},
    {"fm_direction_counters", "length"},
    {"fm_timed_map_entry", "timing"},
    {"fm_timed_map_entry", "sizes"},
    {"fm_interface", "ifindex"},
    {"fm_interface", "hook"},
    {"fm_hook_counters", "by_class"},
};

uint32_t possible_cpus() {
  return static_cast<uint32_t>(std::max(libbpf_num_possible_cpus(), 1));
}

template <typename Integer>
Integer load(const std::byte* from) {
  Integer value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

// Waits until every program that was running has ended. The kernel does so for whoever changes a
// map of maps, so that the old map can be used (maybe_wait_bpf_programs, since Linux 5.0).
Status wait_for_programs() {
  const UniqueFd inner(bpf_map_create(BPF_MAP_TYPE_ARRAY, "wait", 4, 4, 1, nullptr));
  LIBBPF_OPTS(bpf_map_create_opts, options, .inner_map_fd = static_cast<__u32>(inner.get()));
  const UniqueFd outer(bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "wait", 4, 4, 1, &options));
  const __u32 zero = 0;
  const int fd = inner.get();
  if (!inner || !outer || bpf_map_update_elem(outer.get(), &zero, &fd, BPF_ANY) != 0)
    return Error{"--pin: cannot wait for the programs of the earlier version", errno};
  return Done{};
}

std::array<uint64_t, 5> words_of(const fm_flow_key& key) {
  std::array<uint64_t, 5> words;
  std::memcpy(words.data(), &key, sizeof(words));
  return words;
}

}  // namespace

// Offsets are in bytes.
struct EarlierVersion::Layout {
  Layout(const btf* theirs, const btf* ours)
      : journal(theirs, ours, "fm_journal"),
        interface(theirs, ours, "fm_interface"),
        open(theirs, ours, "fm_open_record"),
        state(theirs, ours, "fm_state_record"),
        key(theirs, ours, "fm_flow_key"),
        entry(theirs, ours, "fm_map_entry"),
        timing(theirs, ours, "fm_flow_timing"),
        sizes(theirs, ours, "fm_flow_sizes"),
        unit(size_of_struct(theirs, "fm_packet_record")),
        stream(size_of_struct(theirs, "fm_stream")),
        head_at(find_member(theirs, "fm_stream", "head")->offset),
        committed_at(find_member(theirs, "fm_stream", "committed")->offset),
        what_at(find_member(theirs, "fm_packet_record", "what")->offset),
        byte_count_at(find_member(theirs, "fm_payload_record", "byte_count")->offset),
        entry_timing_at(find_member(theirs, "fm_timed_map_entry", "timing")->offset),
        owner_bytes(size_of_struct(theirs, "fm_owner_record")),
        state_timing_at(find_member(theirs, "fm_state_record", "timing")->offset),
        state_sizes_at(find_member(theirs, "fm_state_record", "sizes")->offset),
        state_sizes_only_at(find_member(theirs, "fm_state_record", "sizes_only")->offset) {}

  uint32_t units(size_t bytes) const { return static_cast<uint32_t>((bytes + unit - 1) / unit); }

  // What depends on the options of the earlier daemon.
  void set(bool with_timing, bool with_sizes, size_t value_bytes) {
    timed = with_timing;
    sized = with_sizes;
    value_size = value_bytes;
    sizes_at = value_size - sizes.size();  // the last part of an entry
    if (!timed) state_sizes_at = state_sizes_only_at;
    const size_t end = sized   ? state_sizes_at + sizes.size()
                       : timed ? state_timing_at + timing.size()
                               : state_timing_at;
    state_units = units(end);
  }
  size_t value_size_needed() const {
    return (timed ? entry_timing_at + timing.size() : entry.size()) + (sized ? sizes.size() : 0);
  }

  StructCopy journal, interface, open, state, key, entry, timing, sizes;
  size_t unit, stream, head_at, committed_at, what_at, byte_count_at, entry_timing_at;
  size_t owner_bytes;  // 0: there are no such records
  size_t state_timing_at, state_sizes_at, state_sizes_only_at;
  bool timed = false, sized = false;
  size_t value_size = 0, sizes_at = 0;
  uint32_t state_units = 0;
};

EarlierVersion::EarlierVersion(std::string pins, std::string directory, const fm_settings& settings)
    : pins_(std::move(pins)), directory_(std::move(directory)), settings_(settings) {}
EarlierVersion::~EarlierVersion() = default;

Result<std::unique_ptr<EarlierVersion>> EarlierVersion::find(const std::string& directory,
                                                             bool other_journal, const btf* ours,
                                                             const fm_settings& settings) {
  const std::string kept = pin_path(directory, kDirectory);
  const bool begun = is_another_journal(directory, kept);
  if (!begun) remove(directory);
  if (begun && other_journal)
    return Error{"--pin: a start of another version has not yet taken over all flows in " +
                 directory + ": start that version once more, or remove the directory"};
  if (!begun && !other_journal) return std::unique_ptr<EarlierVersion>();
  std::unique_ptr<EarlierVersion> self(
      new EarlierVersion(directory, begun ? kept : directory, settings));
  if (Status opened = self->open(ours); !opened)
    return Error{
        "--pin: the state in " + self->directory_ + " was created by an incompatible version (" +
        opened.error().message() +
        "); end it with --unpin and the same options and version, or remove the directory"};
  return self;
}

Status EarlierVersion::open(const btf* ours) {
  for (size_t i = 0; i < std::size(kNames); i++) {
    Map& map = maps_[i];
    map.fd = UniqueFd(bpf_obj_get(pin_path(directory_, kNames[i]).c_str()));
    __u32 size = sizeof(map.info);
    if (!map.fd || bpf_obj_get_info_by_fd(map.fd.get(), &map.info, &size) != 0)
      return Error{std::string("its map ") + kNames[i] + " cannot be opened", errno};
  }
  if (Status read = read_layout(ours); !read) return read;
  if (Status checked = check_maps(); !checked) return checked;
  read_interfaces();
  return map_streams();
}

Status EarlierVersion::read_layout(const btf* ours) {
  auto bytes = first_value(layouts_);
  if (!bytes) return bytes.error();
  const Btf theirs(btf__new(bytes->data(), static_cast<__u32>(bytes->size())));
  if (!theirs) return Error{"its layouts cannot be read", errno};
  for (const auto& [in, name] : kNeeded)
    if (!find_member(theirs.get(), in, name))
      return Error{std::string("its ") + in + " has no " + name};
  layout_ = std::make_unique<Layout>(theirs.get(), ours);

  auto journal = first_value(journal_map_);
  if (!journal) return journal.error();
  if (journal->size() != layout_->journal.size()) return Error{"its journal has another size"};
  layout_->journal(journal->data(), &journal_);
  layout_->set(journal_.timing_in_kernel, journal_.with_sizes, flows_.info.value_size);
  return Done{};
}

Status EarlierVersion::check_maps() const {
  const auto wrong = [](const char* name) {
    return Error{std::string("its map ") + name + " is not as its layouts say"};
  };
  const Layout& layout = *layout_;
  const auto holds = [](const Map& map, __u32 type, size_t value_size) {
    return map.info.type == type && map.info.value_size == value_size && map.info.max_entries > 0;
  };
  const __u32 type = flows_.info.type;
  if ((type != BPF_MAP_TYPE_HASH && type != BPF_MAP_TYPE_LRU_HASH) ||
      flows_.info.key_size != layout.key.size() ||
      flows_.info.value_size < layout.value_size_needed())
    return wrong("flows");
  if (!holds(interfaces_map_, BPF_MAP_TYPE_PERCPU_ARRAY, layout.interface.size()))
    return wrong("interfaces");
  const uint64_t per_stream = journal_.units_per_stream;
  const uint64_t in_streams = (streams_map_.info.max_entries - 1) * per_stream;
  if (!holds(streams_map_, BPF_MAP_TYPE_ARRAY, layout.stream)) return wrong("streams");
  if (!holds(units_map_, BPF_MAP_TYPE_ARRAY, layout.unit) || !std::has_single_bit(per_stream) ||
      units_map_.info.max_entries <= in_streams ||
      !std::has_single_bit(units_map_.info.max_entries - in_streams))
    return wrong("stream_units");
  return Done{};
}

Result<std::vector<std::byte>> EarlierVersion::first_value(const Map& map) {
  const __u32 zero = 0;
  std::vector<std::byte> value(map.info.value_size);
  if (map.info.type != BPF_MAP_TYPE_ARRAY ||
      bpf_map_lookup_elem(map.fd.get(), &zero, value.data()) != 0)
    return Error{"a map cannot be read", errno};
  return value;
}

void EarlierVersion::read_interfaces() {
  interfaces_.clear();
  std::copy(journal_.departed, journal_.departed + FM_HOOK_COUNT, counters_.begin());
  for (size_t hook = 0; hook < FM_HOOK_COUNT; hook++)
    add_counters(counters_[hook], journal_.earlier[hook]);
  before_attach_ = journal_.departed_before_attach;
  add_counters(before_attach_, journal_.earlier_before_attach);
  for (const fm_before_attach& each : journal_.before_attach) add_counters(before_attach_, each);
  const uint32_t cpus = possible_cpus();
  const size_t stride = (layout_->interface.size() + 7) / 8 * 8;
  std::vector<std::byte> values(cpus * stride);
  for (uint32_t slot = 0; slot < interfaces_map_.info.max_entries; slot++) {
    if (bpf_map_lookup_elem(interfaces_map_.fd.get(), &slot, values.data()) != 0) continue;
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
      fm_interface one{};
      layout_->interface(&values[cpu * stride], &one);
      if (one.ifindex != 0 && cpu == 0) interfaces_.push_back(one.ifindex);
      for (size_t hook = 0; hook < FM_HOOK_COUNT; hook++)
        add_counters(counters_[hook], one.hook[hook]);
    }
  }
}

Status EarlierVersion::map_streams() {
  const Layout& layout = *layout_;
  const uint32_t number = streams_map_.info.max_entries, units = units_map_.info.max_entries;
  ends_ = map_memory<const std::byte>(streams_map_.fd.get(), whole_pages(number * layout.stream),
                                      PROT_READ);
  units_ = map_memory<const std::byte>(units_map_.fd.get(),
                                       whole_pages(size_t{units} * layout.unit), PROT_READ);
  if (!ends_ || !units_) return Error{"its event streams cannot be mapped", errno};
  const uint64_t per_stream = journal_.units_per_stream;
  for (uint32_t i = 0; i < number; i++) {
    const std::byte* ends = ends_.get() + i * layout.stream;
    const uint64_t committed =
        load<uint64_t>(ends + layout.committed_at + (journal_.commits & 1) * sizeof(uint64_t));
    const uint64_t size = i + 1 < number ? per_stream : units - (number - 1) * per_stream;
    Stream stream{ends, units_.get() + i * per_stream * layout.unit, size, committed, 0};
    read_head(stream);
    if (stream.head - stream.at > stream.size) return Error{"an event stream is not whole"};
    for (uint64_t at = stream.at; at != stream.head;) {
      const uint32_t record = units_at(stream, at);
      if (record == 0) return Error{"an event stream is not whole"};
      at += record;
    }
    streams_.push_back(stream);
  }
  return Done{};
}

void EarlierVersion::read_head(Stream& stream) const {
  stream.head = __atomic_load_n(reinterpret_cast<const uint64_t*>(stream.ends + layout_->head_at),
                                __ATOMIC_ACQUIRE);
}

uint32_t EarlierVersion::units_at(const Stream& stream, uint64_t at) const {
  const std::byte* record = stream.units + (at & (stream.size - 1)) * layout_->unit;
  uint32_t units = 1;
  switch (std::to_integer<unsigned>(record[layout_->what_at]) & FM_RECORD_TYPE_MASK) {
    case FM_RECORD_OPEN:
    case FM_RECORD_OPEN_NEW:
    case FM_RECORD_UNCOUNTED:
      units = layout_->units(layout_->open.size());
      break;
    case FM_RECORD_CLOSED:
    case FM_RECORD_STATE:
      units = layout_->state_units;
      break;
    case FM_RECORD_OWNER:
      units = layout_->units(layout_->owner_bytes);
      break;
    case FM_RECORD_PAYLOAD: {
      const uint32_t bytes = load<uint32_t>(record + layout_->byte_count_at);
      units = bytes > stream.size * layout_->unit ? 0 : 1 + layout_->units(bytes);
      break;
    }
    default:
      break;
  }
  return units <= stream.head - at ? units : 0;
}

const std::byte* EarlierVersion::record_at(const Stream& stream, uint64_t at, uint32_t units) {
  const size_t unit = layout_->unit;
  const uint64_t begin = at & (stream.size - 1);
  if (begin + units <= stream.size) return stream.units + begin * unit;
  whole_.resize(units * unit);
  const size_t first = (stream.size - begin) * unit;
  std::memcpy(whole_.data(), stream.units + begin * unit, first);
  std::memcpy(whole_.data() + first, stream.units, units * unit - first);
  return whole_.data();
}

Status EarlierVersion::keep() {
  const std::string kept = pin_path(pins_, kDirectory);
  if (directory_ == kept) return Done{};
  if (::mkdir(kept.c_str(), 0700) != 0 && errno != EEXIST)
    return Error{"--pin: cannot create directory " + kept, errno};
  for (size_t i = 0; i < std::size(kNames); i++)
    if (bpf_obj_pin(maps_[i].fd.get(), pin_path(kept, kNames[i]).c_str()) != 0)
      return Error{"--pin: cannot pin " + pin_path(kept, kNames[i]), errno};
  return Done{};
}

void EarlierVersion::remove(const std::string& directory) {
  const std::string kept = pin_path(directory, kDirectory);
  for (auto name = std::rbegin(kNames); name != std::rend(kNames); ++name) remove_pin(kept, *name);
  remove_pin_directory(kept);
}

Status EarlierVersion::end_of_programs(uint64_t taken_over) {
  if (Status waited = wait_for_programs(); !waited) return waited;
  read_interfaces();
  for (Stream& stream : streams_) read_head(stream);
  committed_ = taken_over;
  walk_.emplace(flows_.fd.get(), flows_.info.key_size, flows_.info.value_size);
  return Done{};
}

// One piece of the work: a stream, a batch of the map, or what is left of uncounted packets.
Result<size_t> EarlierVersion::take(const Consumer& consumer) {
  const uint64_t before = number_;
  if (stream_ < streams_.size()) {
    Stream& stream = streams_[stream_++];
    while (stream.at != stream.head) {
      const uint32_t units = units_at(stream, stream.at);
      if (units == 0) return Error{"--pin: an event stream of the earlier version is not whole"};
      take_record(record_at(stream, stream.at, units), consumer);
      stream.at += units;
    }
  } else if (!walk_->done()) {
    auto entries = walk_->next();
    if (!entries) return entries;
    for (size_t i = 0; i < *entries; i++) take_entry(walk_->key(i), walk_->value(i), consumer);
  } else {
    for (const auto& [key, flow] : uncounted_) pass_on(flow, consumer);
    uncounted_.clear();
    done_ = true;
  }
  return static_cast<size_t>(number_ - before);
}

void EarlierVersion::pass_on(const Flow& flow, const Consumer& consumer) {
  packets_ += fm_flow_packets(&flow.flow.counters);
  if (number_++ >= committed_) consumer(flow);
}

// Of the records that are not committed, the ends of flows are needed, and packets that are nowhere
// else. All others are also in the counters of an entry or in the end of a flow.
void EarlierVersion::take_record(const std::byte* record, const Consumer& consumer) {
  const unsigned type = std::to_integer<unsigned>(record[layout_->what_at]) & FM_RECORD_TYPE_MASK;
  if (type == FM_RECORD_UNCOUNTED) return add_uncounted(record);
  if (type != FM_RECORD_CLOSED) return;
  fm_state_record state{};
  layout_->state(record, &state);
  if (fm_flow_packets(&state.counters) == 0) return;  // the map had no such flow
  Flow flow;
  flow.key = state.key;
  flow.flow.counters = state.counters;
  flow.ifindex = state.ifindex;
  flow.hook = state.hook;
  if (state.end < FM_END_COUNT) flow.end = static_cast<fm_end_reason>(state.end);
  add_timing(flow, record + layout_->state_timing_at, record + layout_->state_sizes_at);
  pass_on(flow, consumer);
}

void EarlierVersion::take_entry(const std::byte* key, const std::byte* value,
                                const Consumer& consumer) {
  fm_map_entry entry{};
  layout_->entry(value, &entry);
  // Without a tag, the record of the flow's end was written, but the entry could not be deleted.
  if (!entry.counters.begun || entry.tag == 0) return;
  Flow flow;
  layout_->key(key, &flow.key);
  flow.flow.counters = entry.counters;
  flow.ifindex = entry.ifindex;
  flow.hook = entry.hook;
  add_timing(flow, value + layout_->entry_timing_at, value + layout_->sizes_at);
  if (const auto found = uncounted_.find(words_of(flow.key)); found != uncounted_.end()) {
    merge(flow, found->second);
    uncounted_.erase(found);
  }
  pass_on(flow, consumer);
}

void EarlierVersion::add_timing(Flow& flow, const std::byte* timing, const std::byte* sizes) const {
  if (layout_->timed)
    layout_->timing(timing, &flow.flow.timing);
  else
    flow.packets_without_timing = fm_flow_packets(&flow.flow.counters);
  if (layout_->sized) layout_->sizes(sizes, &flow.sizes);
}

void EarlierVersion::add_uncounted(const std::byte* record) {
  fm_open_record open{};
  layout_->open(record, &open);
  fm_packet packet{};
  packet.key = open.key;
  fm_packet_from_record(&packet, &open.packet);
  const auto [found, is_new] = uncounted_.try_emplace(words_of(open.key));
  Flow& flow = found->second;
  if (is_new) {
    flow.key = open.key;
    flow.ifindex = open.ifindex;
    flow.hook = open.hook;
    fm_flow_counters_begin(&flow.flow.counters, &packet, open.inherited);
  }
  if (layout_->sized) fm_flow_sizes_update(&flow.sizes, &flow.flow.counters, &packet);
  fm_flow_update(&flow.flow, &packet, &settings_);
}

// Adds packets that the entry lacks, also in its timing.
void EarlierVersion::merge(Flow& flow, const Flow& uncounted) const {
  fm_flow_counters& counters = flow.flow.counters;
  const uint8_t forward_direction = counters.forward_direction;
  if (layout_->sized)
    fm_flow_sizes_merge(&flow.sizes, &counters, &uncounted.sizes, &uncounted.flow.counters);
  fm_flow_counters_merge(&counters, &uncounted.flow.counters);
  counters.forward_direction = forward_direction;
  flow.packets_without_timing += fm_flow_packets(&uncounted.flow.counters);
}

uint64_t EarlierVersion::packets_lost() const {
  uint64_t metered = 0;
  for (const fm_hook_counters& hook : counters_) metered += hook.by_class[FM_METERED];
  const uint64_t in_rows = last_commit().packets_written + packets_;
  return metered - std::min(metered, in_rows);
}

}  // namespace flowmeter
