// SPDX-License-Identifier: BSD-3-Clause
// Measures the cost of the BPF program per packet by BPF_PROG_TEST_RUN, next to a prototype of the
// same work (prototype.bpf.c). scripts/bench subtracts the same run with an empty program. Needs
// root.
//
// TEST_RUN repeats one packet. To visit many flows, it runs a driver program, which changes the
// packet's source address and tail-calls the program under test. Event streams and ring buffer are
// drained between the timed runs, so no event is lost and no consumer interferes. The programs take
// turns in short slices, so other work on the machine affects all of them equally; the result of a
// round is its median slice.
//
// datapath_bench ROUNDS [FLOWS ...]    prints one JSON object per line, for each program and round
// datapath_bench --sets ROUNDS         the same for each feature set and some kinds of packets
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "features/feature_sets.h"
#include "kernel/bpf_datapath.h"
#include "prototype.skel.h"
#include "support/raw_bpf.h"

namespace flowmeter {
namespace {

// Packets per timed run, which takes some ms. Their records fit into the stream or ring buffer.
constexpr uint32_t kRepeat = 1 << 16;
constexpr uint32_t kRingBytes = 8 << 20;
// Timed runs per round. One round visits all flows, even 2^20.
constexpr uint32_t kSlices = 16;

[[noreturn]] void fail(const char* doing, int os_error) {
  std::fprintf(stderr, "datapath_bench: %s: %s\n", doing, std::strerror(os_error));
  std::exit(1);
}

// Changes the source address by next_source_address(), then tail-calls the only program in
// programs_fd.
UniqueFd load_driver(int counter_fd, int programs_fd, uint32_t mask) {
  using namespace bpf;
  std::vector<bpf_insn> program = {
      mov(BPF_REG_6, BPF_REG_1),
      load32(BPF_REG_7, BPF_REG_6, offsetof(__sk_buff, data)),
      load32(BPF_REG_8, BPF_REG_6, offsetof(__sk_buff, data_end)),
      mov(BPF_REG_3, BPF_REG_7),
      add_imm(BPF_REG_3, 54),
  };
  const size_t check = program.size();
  program.push_back(jump_greater(BPF_REG_3, BPF_REG_8, 0));
  next_source_address(program, BPF_REG_7, counter_fd, mask);
  program.push_back(mov(BPF_REG_1, BPF_REG_6));
  load_map(program, BPF_REG_2, BPF_PSEUDO_MAP_FD, programs_fd);
  program.push_back(mov_imm(BPF_REG_3, 0));
  program.push_back(call(BPF_FUNC_tail_call));
  program[check].off = static_cast<__s16>(program.size() - check - 1);
  program.push_back(mov_imm(BPF_REG_0, 0));
  program.push_back(exit());
  return load_raw_program(BPF_PROG_TYPE_SCHED_CLS, program);
}

// One program under test behind a driver of its own.
class Subject {
 public:
  struct Counts {
    uint64_t counted = 0, entries = 0, events_lost = 0, payload_lost = 0, stream_bytes = 0;
  };

  Subject(std::string name, int program_fd, uint32_t flows,
          std::vector<uint8_t> frame = bench_frame(true, 100), uint32_t repeat = kRepeat)
      : name_(std::move(name)),
        frame_(std::move(frame)),
        repeat_(repeat),
        counter_(create_raw_map(BPF_MAP_TYPE_ARRAY, 8, 1)),
        programs_(create_raw_map(BPF_MAP_TYPE_PROG_ARRAY, 4, 1)) {
    const uint32_t zero = 0;
    if (bpf_map_update_elem(programs_.get(), &zero, &program_fd, BPF_ANY) != 0)
      fail("cannot fill the program array", errno);
    driver_ = load_driver(counter_.get(), programs_.get(), flows - 1);
  }
  Subject(Subject&&) = default;

  // Mean ns per packet, including the loop and the driver.
  double slice() {
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame_.data(),
                .data_size_in = static_cast<__u32>(frame_.size()),
                .repeat = static_cast<int>(repeat_));
    if (const int error = bpf_prog_test_run_opts(driver_.get(), &options); error != 0)
      fail("BPF_PROG_TEST_RUN", -error);
    sent_ += repeat_;
    if (drain) drain();
    return options.duration;
  }

  // Earlier packets do not count in stream_bytes.
  void mark() {
    marked_packets_ = sent_;
    if (count) marked_bytes_ = count().stream_bytes;
  }

  void print(uint32_t flows, double ns) const {
    const Counts counts = count ? count() : Counts{};
    std::printf(
        "{\"flows\": %u, \"program\": \"%s\", \"ns\": %.1f, \"sent\": %llu, \"counted\": %llu, "
        "\"entries\": %llu, \"events_lost\": %llu, \"payload_lost\": %llu, \"stream_bytes\": "
        "%.1f}\n",
        flows, name_.c_str(), ns, static_cast<unsigned long long>(sent_),
        static_cast<unsigned long long>(counts.counted),
        static_cast<unsigned long long>(counts.entries),
        static_cast<unsigned long long>(counts.events_lost),
        static_cast<unsigned long long>(counts.payload_lost),
        static_cast<double>(counts.stream_bytes - marked_bytes_) /
            static_cast<double>(sent_ - marked_packets_));
    std::fflush(stdout);
  }

  std::function<void()> drain;
  std::function<Counts()> count;

 private:
  std::string name_;
  std::vector<uint8_t> frame_;
  uint32_t repeat_;
  UniqueFd counter_;
  UniqueFd programs_;
  UniqueFd driver_;
  uint64_t sent_ = 0, marked_packets_ = 0, marked_bytes_ = 0;
};

// Enough map entries that no flow is evicted.
uint32_t map_size(uint32_t flows) {
  return std::max(131072u, 2 * flows);
}

struct Product {
  Product(Datapath kind, uint32_t flows, const fm_settings& settings = fm_default_settings(),
          uint32_t ring_bytes = kRingBytes, fm_attribute attribute = FM_ATTRIBUTE_OFF) {
    BpfDatapath::Config config;
    config.attribute = attribute;
    config.settings = settings;
    config.datapath = kind;
    config.max_entries = map_size(flows);
    config.max_fragments = 1024;
    config.stream_bytes = ring_bytes * static_cast<uint32_t>(libbpf_num_possible_cpus());
    auto loaded =
        BpfDatapath::load(config, [this](const void*, size_t size) { stream_bytes += size; });
    if (!loaded) {
      std::fprintf(stderr, "datapath_bench: %s\n", loaded.error().message().c_str());
      std::exit(1);
    }
    datapath = std::move(*loaded);
    interface.index = 1;  // where the packets of BPF_PROG_TEST_RUN come from
    if (Status added = datapath->add_interface(interface, DeviceMerging::kOff); !added) {
      std::fprintf(stderr, "datapath_bench: %s\n", added.error().message().c_str());
      std::exit(1);
    }
    datapath->set_ends(interface.index, {.senders_are_local = true, .is_one_end = true});
  }

  template <typename... Packets>
  Subject subject(const std::string& name, uint32_t flows, Packets... packets) {
    Subject s(name, datapath->program_fd(interface, FM_HOOK_INGRESS), flows, packets...);
    s.drain = [this] {
      datapath->drain(UINT64_MAX, SIZE_MAX);
      datapath->release();
    };
    s.count = [this] {
      const fm_cpu_counters c = datapath->counters();
      const fm_hook_counters hook = datapath->interface_counters().at(0).hook[FM_HOOK_INGRESS];
      return Subject::Counts{hook.by_class[FM_METERED], c.entries_inserted, c.events_lost,
                             c.payload_lost, stream_bytes};
    };
    return s;
  }

  Interface interface;
  uint64_t stream_bytes = 0;
  std::unique_ptr<BpfDatapath> datapath;
};

// The map of flows that was made last.
UniqueFd latest_flows() {
  uint32_t id = 0, latest = 0;
  while (bpf_map_get_next_id(id, &id) == 0) {
    const UniqueFd map(bpf_map_get_fd_by_id(id));
    bpf_map_info about{};
    uint32_t size = sizeof(about);
    if (map && bpf_obj_get_info_by_fd(map.get(), &about, &size) == 0 &&
        std::string(about.name) == "flows")
      latest = id;
  }
  return UniqueFd(bpf_map_get_fd_by_id(latest));
}

// Sets bits in the lock words of all flows. This also gives them other places in memory.
void rewrite_flows(int map, uint64_t bits) {
  fm_flow_key key{}, next{};
  fm_map_entry entry{};
  std::vector<fm_flow_key> keys;
  for (const fm_flow_key* last = nullptr; bpf_map_get_next_key(map, last, &next) == 0; last = &key)
    keys.push_back(key = next);
  if (keys.empty()) fail("there are no flows", ENOENT);
  for (const fm_flow_key& each : keys) {
    if (bpf_map_lookup_elem(map, &each, &entry) != 0) fail("cannot read a flow", errno);
    entry.lock |= bits;
    if (bpf_map_update_elem(map, &each, &entry, BPF_EXIST) != 0)
      fail("cannot change a flow", errno);
  }
}

struct Prototype {
  explicit Prototype(uint32_t flows) : skeleton(prototype_bpf__open()) {
    if (!skeleton) fail("cannot open the prototype", errno);
    bpf_map__set_max_entries(skeleton->maps.prototype_flows, map_size(flows));
    bpf_map__set_max_entries(skeleton->maps.prototype_events, kRingBytes);
    if (const int error = prototype_bpf__load(skeleton); error != 0)
      fail("cannot load the prototype", -error);
    ring = ring_buffer__new(
        bpf_map__fd(skeleton->maps.prototype_events), [](void*, void*, size_t) { return 0; },
        nullptr, nullptr);
    if (!ring) fail("cannot map the prototype's ring buffer", errno);
  }
  Prototype(const Prototype&) = delete;
  ~Prototype() {
    ring_buffer__free(ring);
    prototype_bpf__destroy(skeleton);
  }

  Subject subject(uint32_t flows) {
    Subject s("prototype", bpf_program__fd(skeleton->progs.prototype), flows);
    s.drain = [this] { ring_buffer__consume(ring); };
    s.count = [this] {
      return Subject::Counts{skeleton->bss->counted, skeleton->bss->slots, skeleton->bss->lost, 0,
                             0};
    };
    return s;
  }

  prototype_bpf* skeleton;
  ring_buffer* ring = nullptr;
};

// Runs the subjects in turn, slice by slice, and prints the median slice of each round.
void time_rounds(std::vector<Subject>& subjects, uint32_t flows, int rounds) {
  for (int round = 0; round < rounds; round++) {
    std::vector<std::array<double, kSlices>> ns(subjects.size());
    for (size_t slice = 0; slice < kSlices; slice++)
      for (size_t i = 0; i < subjects.size(); i++) {
        const size_t turn = (i + slice) % subjects.size();
        ns[turn][slice] = subjects[turn].slice();
      }
    for (size_t i = 0; i < subjects.size(); i++) {
      std::nth_element(ns[i].begin(), ns[i].begin() + kSlices / 2, ns[i].end());
      subjects[i].print(flows, ns[i][kSlices / 2]);
    }
  }
}

void bench(uint32_t flows, int rounds) {
  const UniqueFd empty =
      load_raw_program(BPF_PROG_TYPE_SCHED_CLS, {bpf::mov_imm(BPF_REG_0, -1), bpf::exit()});
  Product events(Datapath::kEvents, flows), kernel(Datapath::kKernel, flows);
  Prototype prototype(flows);
  std::vector<Subject> subjects;
  subjects.emplace_back("empty", empty.get(), flows);
  subjects.push_back(prototype.subject(flows));
  subjects.push_back(events.subject("events", flows));
  subjects.push_back(kernel.subject("kernel", flows));
  for (Subject& subject : subjects)  // creates the flows
    for (uint32_t done = 0; done < std::max(flows, kRepeat); done += kRepeat) subject.slice();
  time_rounds(subjects, flows, rounds);
}

// What --attribute container adds: to flows whose owners were told, and to those whose owner stays
// unknown, so that each packet looks again who has sent it. (The buffers of BPF_PROG_TEST_RUN have
// a socket that sends nothing.)
void bench_owners(uint32_t flows, int rounds) {
  const struct {
    const char* name;
    fm_attribute attribute;
    uint64_t bits;
  } kinds[] = {{"off", FM_ATTRIBUTE_OFF, 0},
               {"told", FM_ATTRIBUTE_CONTAINER, FM_LOCK_OWNERS_TOLD},
               {"unknown", FM_ATTRIBUTE_CONTAINER, 0},
               {"off again", FM_ATTRIBUTE_OFF, 0}};
  std::vector<std::unique_ptr<Product>> products;
  std::vector<Subject> subjects;
  for (const auto& [name, attribute, bits] : kinds) {
    products.push_back(std::make_unique<Product>(Datapath::kEvents, flows, fm_default_settings(),
                                                 kRingBytes, attribute));
    const UniqueFd map = latest_flows();
    subjects.push_back(products.back()->subject(name, flows));
    for (uint32_t done = 0; done < std::max(flows, kRepeat); done += kRepeat)
      subjects.back().slice();
    rewrite_flows(map.get(), bits);
  }
  time_rounds(subjects, flows, rounds);
}

// Measures the cost of each feature set for three kinds of payload: 1400 bytes without a known
// message, the same starting like an HTTP request (which realtime97 hands over), and a DNS
// datagram.
void bench_sets(int rounds) {
  constexpr uint32_t kFlows = 1024;
  constexpr uint32_t kPackets = 4096;  // per slice: their payload fits into half of a stream
  constexpr uint32_t kStreamBytes = 32 << 20;
  constexpr size_t kPorts = 34, kTcpPayload = 54;
  const std::string request = "GET / HTTP/1.1\r\n";
  std::vector<uint8_t> bulk = bench_frame(true, 1400), begins = bulk, dns = bench_frame(false, 60);
  std::fill(bulk.begin() + kTcpPayload, bulk.end(), uint8_t{0});
  begins = bulk;
  std::copy(request.begin(), request.end(), begins.begin() + kTcpPayload);
  dns[kPorts + 2] = 0;
  dns[kPorts + 3] = FM_DNS_PORT;

  const UniqueFd empty =
      load_raw_program(BPF_PROG_TYPE_SCHED_CLS, {bpf::mov_imm(BPF_REG_0, -1), bpf::exit()});
  for (const auto& [kind, frame] :
       {std::pair{"bulk", bulk}, std::pair{"request", begins}, std::pair{"dns", dns}}) {
    std::vector<std::unique_ptr<Product>> products;
    std::vector<Subject> subjects;
    subjects.emplace_back(std::string(kind) + " empty", empty.get(), kFlows, frame, kPackets);
    for (const NamedFeatureSet& set : feature_sets()) {
      products.push_back(
          std::make_unique<Product>(Datapath::kEvents, kFlows, set.settings, kStreamBytes));
      subjects.push_back(products.back()->subject(std::string(kind) + " " + std::string(set.name),
                                                  kFlows, frame, kPackets));
    }
    for (Subject& subject : subjects)  // creates the flows and sends the head of each
      for (int slice = 0; slice < 4; slice++) subject.slice();
    for (Subject& subject : subjects) subject.mark();
    time_rounds(subjects, kFlows, rounds);
  }
}

}  // namespace
}  // namespace flowmeter

int main(int argc, char** argv) {
  const std::string kind = argc >= 2 && argv[1][0] == '-' ? argv[1] : "";
  const int first = kind.empty() ? 1 : 2;
  const int rounds = argc > first ? std::atoi(argv[first]) : 0;
  std::vector<uint32_t> flows;
  for (int i = first + 1; i < argc; i++) flows.push_back(static_cast<uint32_t>(std::atol(argv[i])));
  const bool sets = kind == "--sets", owners = kind == "--owners";
  if (flows.empty() && !sets) flows = {1, 65536, 1048576};
  const auto unusable = [](uint32_t n) { return n == 0 || n > 1 << 24 || (n & (n - 1)) != 0; };
  if (rounds < 1 || (!kind.empty() && !sets && !owners) || (sets && !flows.empty()) ||
      std::any_of(flows.begin(), flows.end(), unusable)) {
    std::fprintf(stderr,
                 "usage: datapath_bench [--owners] ROUNDS [FLOWS ...]\n       datapath_bench "
                 "--sets ROUNDS\nFLOWS: powers of two up to 2^24\n");
    return 2;
  }
  if (sets) flowmeter::bench_sets(rounds);
  for (const uint32_t n : flows)
    owners ? flowmeter::bench_owners(n, rounds) : flowmeter::bench(n, rounds);
  return 0;
}
