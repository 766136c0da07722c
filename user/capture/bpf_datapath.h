// SPDX-License-Identifier: BSD-3-Clause
// The kernel side of a live run: the loaded programs, their maps, their attachment, and the ring
// buffer.
//
// Everything is held by file descriptors of this process and nothing is pinned: however the process
// ends, the kernel detaches the programs and frees the maps.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "capture/interface.h"
#include "flowmeter/abi.h"

struct flowmeter_bpf;
struct ring_buffer;

namespace flowmeter {

class BpfDatapath {
 public:
  struct Config {
    fm_settings settings{};
    uint32_t max_flows = 0;
    uint32_t max_fragments = 0;
    uint32_t ring_bytes = 0;  // a power of two and a multiple of the page size
    bool verbose = false;     // libbpf's messages to standard error
    bool test_input = false;  // bpf/settings.bpf.h
  };
  using Consumer = std::function<void(const void* record, size_t size)>;

  // Loads the programs; nothing is attached. Fails with the missing capability or kernel feature in
  // the message.
  static Result<std::unique_ptr<BpfDatapath>> load(const Config& config, Consumer consumer);
  ~BpfDatapath();

  // TCX ingress and egress (loopback: ingress only, where each of its packets passes once).
  Status attach(const Interface& interface);
  // Packets are seen no more afterwards.
  void detach();

  // Hands at most limit waiting records to the consumer; returns how many.
  size_t drain(size_t limit);

  // Runs the closing program; answers come through the ring buffer.
  Status close_flows(std::span<const fm_close_request> requests);
  // A request (only if idle) for every flow in the map that `wanted` picks by its id.
  void list_flows(const std::function<bool(uint64_t id)>& wanted,
                  std::vector<fm_close_request>& requests);

  // Sum over CPUs.
  fm_cpu_counters counters() const;

  // Tests run this program by BPF_PROG_TEST_RUN.
  int ingress_program_fd() const;

 private:
  BpfDatapath() = default;
  static int take_record(void* self, void* record, size_t size);

  struct SkeletonDeleter {
    void operator()(flowmeter_bpf* skeleton) const;
  };
  struct RingDeleter {
    void operator()(ring_buffer* ring) const;
  };

  std::unique_ptr<flowmeter_bpf, SkeletonDeleter> skeleton_;
  std::vector<UniqueFd> links_;
  std::unique_ptr<ring_buffer, RingDeleter> ring_;
  Consumer consumer_;
  size_t drained_ = 0;
  size_t drain_limit_ = 0;
};

}  // namespace flowmeter
