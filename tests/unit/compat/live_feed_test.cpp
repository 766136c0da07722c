// SPDX-License-Identifier: BSD-3-Clause
// A compatibility mode treats a packet's record in a live run like the packet's frame in a capture.
// Buffers of several segments are cut as on the wire.
#include "compat/live_feed.h"

#include <gtest/gtest.h>

#include <vector>

#include "compat/java_dissector.h"
#include "compat/python_packet.h"
#include "flowmeter/abi.h"
#include "flowmeter/parse.h"
#include "support/packet_builder.h"

namespace flowmeter::testing {
namespace {

constexpr int64_t kTimeUs = 1'600'000'000'123'456;

// Keeps what it is given.
class Recorder final : public CompatEngine {
 public:
  explicit Recorder(bool whole = false) : whole_(whole) {}
  void begin(CaptureReader&) override {}
  bool add(const CapturedFrame&) override { return true; }
  void add(const LivePacket& packet) override { packets.push_back(packet); }
  bool takes_whole_buffers() const override { return whole_; }
  Status finish() override { return Done{}; }
  bool failed() const override { return false; }
  Status flush() override { return Done{}; }
  uint64_t open_flows() const override { return 0; }
  uint64_t rows_unwritten() const override { return 0; }
  bool balanced() const override { return true; }
  std::string account() const override { return ""; }
  void report(Host&) const override {}

  std::vector<LivePacket> packets;

 private:
  bool whole_;
};

CapturedFrame captured(const Frame& frame) {
  CapturedFrame result{};
  result.data = frame.bytes.data();
  result.captured_length = static_cast<uint32_t>(frame.bytes.size());
  result.wire_length = frame.wire_length;
  result.link_type = frame.link_type;
  result.time_ns = kTimeUs * 1000 + 999;
  return result;
}

// The packet, by way of the kernel's record. first: the first fragment of a later fragment's
// datagram.
LivePacket live(const Frame& frame, const Frame* first = nullptr, uint8_t initiator = 0) {
  fm_packet packet{};
  fm_fragment_key fragment;
  fm_fragment_role role;
  const fm_captured context{frame.bytes.data(), static_cast<uint32_t>(frame.bytes.size())};
  EXPECT_EQ(
      fm_parse(&context, {frame.wire_length, 0, 0}, frame.link_type, &packet, &fragment, &role),
      FM_METERED);
  if (first) {
    const fm_packet begin = live(*first).packet;
    packet.key = begin.key;
    packet.direction = begin.direction;
  }
  packet.time_ns = 5'000'000'999;
  fm_packet_record record{};
  fm_packet_to_record(&record, &packet, 1, FM_RECORD_PACKET);
  fm_packet again{};
  fm_packet_from_record(&again, &record);

  Recorder recorder;
  LiveFeed feed(recorder);
  feed.set_clock(clock_origin(static_cast<__int128>(kTimeUs) * 1000 - 5'000'000'000));
  feed.observe(packet.key, again, initiator);
  EXPECT_EQ(recorder.packets.size(), 1u);
  return recorder.packets[0];
}

const std::vector<Packet>& same_packets() {
  static const std::vector<Packet> packets = {
      ipv4("192.0.2.1", "192.0.2.2").tcp(4000, 80, FM_SYN, 512).tcp_options(20),
      ipv4("192.0.2.2", "192.0.2.1").tcp(80, 4000, FM_ACK | FM_PSH, 65535).payload(1400),
      ipv4("192.0.2.1", "192.0.2.2").tcp(4000, 80, 0xff, 0).tcp_options(40).payload(1),
      ipv4("192.0.2.1", "192.0.2.2")
          .tcp(4000, 80, FM_ACK)
          .tcp_options(40)
          .ip_options(40)
          .payload(9),
      ipv4("192.0.2.1", "192.0.2.2").tcp(4000, 80, FM_ACK).pad_to(60),
      ipv4("192.0.2.1", "192.0.2.2").tcp(0, 0, FM_ACK),
      ipv4("192.0.2.1", "192.0.2.1").tcp(9, 7, FM_ACK),
      ipv4("192.0.2.2", "192.0.2.1").udp(53, 4000),
      ipv4("192.0.2.1", "192.0.2.2").udp(4000, 53).payload(10).pad_to(60),
      ipv4("192.0.2.1", "192.0.2.2").udp(4000, 53).payload(1472),
      ipv4("192.0.2.1", "192.0.2.2").udp(4000, 53).payload(30).ip_options(12),
      ipv4("192.0.2.1", "192.0.2.2").udp(4000, 53).payload(1400).first_fragment(),
      ipv4("192.0.2.1", "192.0.2.2").udp(4000, 53).payload(5).pad_to(70),
      ipv4("192.0.2.1", "192.0.2.2").icmp(8, 0, 77).payload(56),
      ipv4("192.0.2.1", "192.0.2.2").icmp(11, 0).payload(28),
      ipv4("192.0.2.1", "192.0.2.2").icmp(13, 0, 0).payload(12),
      ipv4("192.0.2.1", "192.0.2.2").icmp(13, 0, 0).payload(5),
      ipv4("192.0.2.1", "192.0.2.2").icmp(17, 0, 0).payload(4).pad_to(60),
      ipv4("192.0.2.1", "192.0.2.2").icmp(5, 0).payload(1).ip_options(4),
      ipv4("192.0.2.1", "192.0.2.2").udp(4000, 53).payload(100).link(12),
      ipv4("192.0.2.1", "192.0.2.2").tcp(4000, 80, FM_ACK).vlan().payload(20),
      ipv4("192.0.2.1", "192.0.2.2").tcp(4000, 80, FM_ACK).vlan().pad_to(64),
      ipv4("192.0.2.1", "192.0.2.2").udp(4000, 53).qinq().payload(1000),
      ipv6("2001:db8::1", "2001:db8::2").udp(4000, 53).payload(30),
      ipv6("2001:db8::1", "2001:db8::2").icmp(128, 0, 3),
  };
  return packets;
}

void expect_same(const Frame& frame, const LivePacket& packet, const std::string& what) {
  PythonPacket python{}, python_live{};
  const PythonPacketClass python_class = PythonDissector().dissect(captured(frame), &python);
  ASSERT_EQ(PythonDissector::dissect(packet, &python_live), python_class) << what;
  if (python_class == PythonPacketClass::kTaken) {
    EXPECT_EQ(python_live.time_us, python.time_us) << what;
    EXPECT_EQ(python_live.key, python.key) << what;
    EXPECT_EQ(python_live.length, python.length) << what;
    EXPECT_EQ(python_live.payload, python.payload) << what;
    EXPECT_EQ(python_live.window, python.window) << what;
    EXPECT_EQ(python_live.flags, python.flags) << what;
    EXPECT_EQ(python_live.ihl, python.ihl) << what;
    EXPECT_EQ(python_live.protocol, python.protocol) << what;
  }
  JavaPacket java, java_live;
  const JavaPacketClass java_class = JavaDissector().dissect(captured(frame), &java);
  ASSERT_EQ(JavaDissector::dissect(packet, &java_live), java_class) << what;
  if (java_class == JavaPacketClass::kNotIpv4) return;
  EXPECT_EQ(java_live.time_us, java.time_us) << what;
  EXPECT_EQ(java_live.source, java.source) << what;
  EXPECT_EQ(java_live.destination, java.destination) << what;
  EXPECT_EQ(java_live.source_port, java.source_port) << what;
  EXPECT_EQ(java_live.destination_port, java.destination_port) << what;
  EXPECT_EQ(java_live.protocol, java.protocol) << what;
  EXPECT_EQ(java_live.tcp_flags, java.tcp_flags) << what;
  EXPECT_EQ(java_live.tcp_window, java.tcp_window) << what;
  EXPECT_EQ(java_live.header_bytes, java.header_bytes) << what;
  EXPECT_EQ(java_live.payload_bytes, java.payload_bytes) << what;
}

TEST(LiveFeed, RecordAndFrameGiveTheSamePacket) {
  const std::vector<Packet>& packets = same_packets();
  for (size_t i = 0; i < packets.size(); i++) {
    const Frame frame = packets[i];
    const LivePacket packet = live(frame);
    // As in the list, the echo packets of the initiator are requests.
    expect_same(frame, live(frame, nullptr, packet.packet.direction & 1),
                "packet " + std::to_string(i));
  }
}

TEST(LiveFeed, EchoReplyIsTheRespondersPacket) {
  const Frame reply = ipv4("192.0.2.2", "192.0.2.1").icmp(0, 0, 77).payload(56);
  expect_same(reply, live(reply, nullptr, !(live(reply).packet.direction & 1)), "reply");
}

TEST(LiveFeed, LaterFragments) {
  const std::vector<Packet> firsts = {ipv4("192.0.2.1", "192.0.2.2").udp(4000, 53),
                                      ipv4("192.0.2.2", "192.0.2.1").tcp(80, 4000, FM_ACK),
                                      ipv4("192.0.2.1", "192.0.2.2").icmp(8, 0, 77)};
  for (Packet first : firsts) {
    Packet later = first;
    const Frame begin = first.payload(1000).first_fragment();
    const Frame end = later.payload(500).last_fragment(126);
    expect_same(begin, live(begin, nullptr, live(begin).packet.direction & 1), "first");
    expect_same(end, live(end, &begin), "later");
  }
}

TEST(LiveFeed, SegmentsOfABuffer) {
  fm_packet buffer{};
  buffer.wire_length = 66 + 3000;
  buffer.payload_bytes = 3000;
  buffer.header_bytes = 52;
  buffer.segment_bytes = 1448;
  buffer.flags = FM_ACK | FM_PSH | FM_FIN | FM_CWR;
  buffer.transport_header_bytes = 20;
  fm_flow_key key{};
  key.protocol = FM_TCP;

  Recorder wire;
  LiveFeed feed(wire);
  feed.observe(key, buffer, 0);
  ASSERT_EQ(wire.packets.size(), 3u);
  EXPECT_EQ(feed.packets(), 3u);
  const uint32_t payloads[] = {1448, 1448, 104};
  const uint8_t flags[] = {FM_ACK | FM_CWR, FM_ACK, FM_ACK | FM_PSH | FM_FIN};
  for (size_t i = 0; i < 3; i++) {
    EXPECT_EQ(wire.packets[i].packet.payload_bytes, payloads[i]);
    EXPECT_EQ(wire.packets[i].packet.wire_length, 66 + payloads[i]);
    EXPECT_EQ(wire.packets[i].packet.flags, flags[i]);
  }

  Recorder whole(true);
  LiveFeed whole_feed(whole);
  whole_feed.observe(key, buffer, 0);
  ASSERT_EQ(whole.packets.size(), 1u);
  EXPECT_EQ(whole_feed.packets(), 3u);
  EXPECT_EQ(whole.packets[0].packet.wire_length, buffer.wire_length);
  EXPECT_EQ(whole.packets[0].packet.flags, buffer.flags);
}

TEST(LiveFeed, StepsOfTheClockAreFollowedAndNoiseIsNot) {
  constexpr __int128 kOrigin = static_cast<__int128>(1'600'000'000) * 1'000'000'000;
  fm_packet packet{};
  Recorder recorder;
  LiveFeed feed(recorder);
  for (const int64_t off_ns : {0L, 900'000L, -900'000L, 3'600'000'000'000L}) {
    feed.set_clock(clock_origin(kOrigin + off_ns));
    feed.observe({}, packet, 0);
  }
  std::vector<int64_t> times;
  for (const LivePacket& one : recorder.packets)
    times.push_back(one.time_us - 1'600'000'000'000'000);
  EXPECT_EQ(times, (std::vector<int64_t>{0, 0, 0, 3'600'000'000}));
}

}  // namespace
}  // namespace flowmeter::testing
