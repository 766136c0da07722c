// SPDX-License-Identifier: BSD-3-Clause
// LiveFlows, with records that a test makes in place of the kernel.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "application/messages.h"
#include "flows/live_flows.h"

namespace flowmeter::live_flows_testing {

struct Row {
  uint64_t packets;
  uint64_t gaps;
  fm_end_reason end;
  int64_t start_s;
  uint64_t duration_ns;
  std::string payload = {};  // HTTP, TLS and DNS, and bulks by direction; if they are kept

  bool operator==(const Row&) const = default;
};

// The sizes of every packet here.
constexpr uint32_t kPayload = 7, kHeader = 20;

class Rows final : public RecordSink {
 public:
  void write(const FlowRecord& record) override {
    // No matter which records were lost, a row's sizes are those of the packets in its counters.
    for (int end = 0; end < 2; end++) {
      const uint64_t packets = record.flow.counters.direction[end].length.count;
      const fm_direction_sizes& sizes = record.sizes->direction[end];
      EXPECT_EQ(sizes.header_bytes, packets * kHeader);
      EXPECT_EQ(sizes.payload_squares_low, packets * kPayload * kPayload);
      EXPECT_EQ(sizes.payload_max, packets ? kPayload : 0);
      EXPECT_EQ(record.flow.counters.transport_header_min[end], packets ? kHeader : 0);
    }
    rows.push_back({fm_flow_packets(&record.flow.counters), record.flow.timing.gaps.count,
                    record.end,
                    static_cast<int64_t>(record.clock.unix_s) +
                        static_cast<int64_t>(record.flow.counters.first_ns / FM_SECOND_NS),
                    record.duration_ns(), payload_of(record)});
    initial_window = record.flow.counters.direction[0].initial_window;
    starts.push_back({record.start.first_ns, record.chain_start.first_ns});
    owners.push_back(owners_of(record));
  }
  bool failed() const override { return false; }
  Status flush() override { return Done{}; }
  std::vector<Row> rows;
  uint16_t initial_window = 0;  // of the last row
  // Of each row: when its flow and its chain of flows have started.
  std::vector<std::pair<uint64_t, uint64_t>> starts;
  std::vector<std::string> owners;  // of each row: of both ends; empty if they are not asked for

 private:
  static std::string owners_of(const FlowRecord& record) {
    if (!record.owners) return "";
    const auto text = [](const EndOwner& end) {
      return std::string(end.attribution) + " " + std::string(end.cgroup);
    };
    return text(record.owners[0]) + ", " + text(record.owners[1]);
  }
  static std::string payload_of(const FlowRecord& record) {
    if (!record.application) return "";
    std::string text = testing::text(*record.application);
    for (int end = 0; end < 2; end++) {
      const DirectionBulks::Totals& bulks = record.direction_bulks[end].totals;
      text += ", bulks " + std::to_string(bulks.count) + " " + std::to_string(bulks.packets) + " " +
              std::to_string(bulks.bytes) + " " + std::to_string(bulks.rate_sum);
    }
    return text;
  }
};

inline fm_flow_key key_of(uint16_t port) {
  fm_flow_key key{{fm_address_ipv4(1), fm_address_ipv4(2)}, {}, 0, 0, 0, 0};
  fm_key_set_ports(&key, port, 80, FM_TCP, 4);
  return key;
}

class LiveFlowsTest : public ::testing::Test {
 protected:
  // Whatever a test did: the sums that are kept are those of the flows.
  void TearDown() override {
    uint64_t packets = 0, ended = 0;
    flows.look_at(0, UINT32_MAX, [&packets](const LiveFlow& live, const EndTraces*) {
      packets += fm_flow_packets(&live.flow.counters);
    });
    EXPECT_EQ(flows.open_packets(), packets);
    for (const uint64_t count : flows.flows_by_end()) ended += count;
    EXPECT_EQ(ended, flows.flows_written());
  }

  fm_packet packet(uint16_t port, uint64_t time_ns, uint8_t flags = FM_ACK,
                   uint16_t window = kWindow) {
    fm_packet p{};
    p.window = window;
    p.key = key_of(port);
    p.time_ns = time_ns;
    p.wire_length = 61;
    p.header_bytes = 40;
    p.payload_bytes = kPayload;
    p.flags = flags;
    p.transport_header_bytes = kHeader;
    return p;
  }

  // what: FM_RECORD_NEW_ENTRY, unless the map's entry of this key continues with another flow.
  void open(uint64_t id, const fm_packet& p, uint8_t what = FM_RECORD_NEW_ENTRY) {
    fm_open_record record{};
    fm_packet_to_record(&record.packet, &p, id, static_cast<uint8_t>(FM_RECORD_OPEN | what));
    record.key = p.key;
    record.inherited.forward_direction = p.direction;
    flows.take(&record, sizeof(record));
  }
  void send(uint64_t id, const fm_packet& p) {
    fm_packet_record record{};
    fm_packet_to_record(&record, &p, id, FM_RECORD_PACKET);
    flows.take(&record, sizeof(record));
  }
  // The payload of the packet before.
  void payload(uint64_t id, unsigned direction, uint32_t sequence, std::string_view bytes,
               uint8_t flags = FM_ACK) {
    fm_payload_record record{};
    record.flow_id = id;
    record.payload_bytes = record.byte_count = static_cast<__u32>(bytes.size());
    record.sequence = sequence;
    record.flags = flags;
    record.what = static_cast<__u8>(FM_RECORD_PAYLOAD | (direction ? FM_RECORD_DIRECTION : 0));
    std::copy(bytes.begin(), bytes.end(), record.bytes);
    flows.take(&record, sizeof(record));
  }
  // Who owns an end, as the socket that has sent a packet says, or the interface behind which it
  // is.
  void owner(uint64_t id, unsigned end, fm_owner_source source, uint64_t cgroup,
             uint32_t ifindex = 0, fm_hook hook = FM_HOOK_INGRESS) {
    fm_owner_record record{};
    record.flow_id = id;
    record.cgroup = cgroup;
    record.end = static_cast<__u8>(end);
    record.source = static_cast<__u8>(source);
    record.hook = static_cast<__u8>(hook);
    record.what = FM_RECORD_OWNER;
    record.ifindex = ifindex;
    flows.take(&record, sizeof(record));
  }
  void uncounted(const fm_packet& p) {
    fm_open_record record{};
    fm_packet_to_record(&record.packet, &p, 0, FM_RECORD_UNCOUNTED);
    record.key = p.key;
    flows.take(&record, sizeof(record));
  }
  // packets: what the kernel counted.
  void close(uint64_t id, uint16_t port, uint64_t packets, fm_end_reason end) {
    tell(FM_RECORD_CLOSED, id, port, packets, end, false);
  }
  void close_announced(uint64_t id, uint16_t port, uint64_t packets, fm_end_reason end) {
    tell(FM_RECORD_CLOSED, id, port, packets, end, true);
  }
  void state(uint64_t id, uint16_t port, uint64_t packets) {
    tell(FM_RECORD_STATE, id, port, packets, FM_END_NONE, true);
  }
  void state_not_announced(uint64_t id, uint16_t port, uint64_t packets) {
    tell(FM_RECORD_STATE, id, port, packets, FM_END_NONE, false);
  }
  void tell(uint8_t what, uint64_t id, uint16_t port, uint64_t packets, fm_end_reason end,
            bool announced) {
    fm_state_record record{};
    record.head.flow_id = id;
    record.head.what = what;
    record.key = key_of(port);
    record.end = static_cast<__u8>(end);
    record.announced = announced;
    record.events_lost = 1;  // if the counts differ
    tell(record, port, packets, kSecond);
  }
  // first_ns: of the flow; the others follow by a nanosecond.
  void tell(fm_state_record& record, uint16_t port, uint64_t packets, uint64_t first_ns) {
    for (uint64_t i = 0; i < packets; i++) {
      const fm_packet p = packet(port, first_ns + i);
      if (i == 0) fm_flow_counters_begin(&record.counters, &p, {p.direction, 0, 0});
      fm_flow_sizes_update(&record.sizes_only, &record.counters, &p);
      fm_flow_counters_update(&record.counters, &p);
    }
    flows.take(&record, sizeof(record));
    flows.settle();
  }
  std::vector<fm_close_request> due(uint64_t now_ns) {
    std::vector<fm_close_request> requests;
    flows.settle();
    flows.request_due(now_ns, requests);
    return requests;
  }

  static constexpr uint64_t kSecond = FM_SECOND_NS;
  static constexpr uint16_t kWindow = 100;
  Rows sink;
  static fm_settings settings() {
    fm_settings s = fm_default_settings();
    s.with_sizes = 1;
    return s;
  }
  LiveFlows flows{settings(), 64, sink};
};

}  // namespace flowmeter::live_flows_testing
