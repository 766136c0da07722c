// SPDX-License-Identifier: BSD-3-Clause
#include "bpf/parity.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "application/messages.h"
#include "flowmeter/packet.h"
#include "support/packet_builder.h"

namespace flowmeter::testing {
namespace {

// What is kept of a flow, in addition to what the 82 columns need.
enum class Kept { kNothing, kSizes, kApplication };

struct Placement {
  Datapath datapath;
  Kept kept;
};

fm_settings default_settings(const Placement& placement) {
  fm_settings s = fm_default_settings();
  s.with_sizes = placement.kept == Kept::kSizes;
  s.with_application = placement.kept == Kept::kApplication;
  return s;
}

fm_settings short_settings(const Placement& placement) {
  fm_settings s = default_settings(placement);
  s.idle_timeout_ns = 10 * FM_SECOND_NS;
  s.icmp_idle_timeout_ns = 5 * FM_SECOND_NS;
  s.tcp_linger_ns = 1 * FM_SECOND_NS;
  s.active_timeout_ns = 20 * FM_SECOND_NS;
  return s;
}

// Hands frames over one by one, each in a block of exactly its size.
FrameSource source_of(const std::vector<TimedFrame>& frames) {
  return [&frames, next = size_t{0}](CapturedFrame* frame) mutable {
    if (next == frames.size()) return false;
    const TimedFrame& timed = frames[next++];
    *frame = {timed.time_ns,
              0,
              timed.frame.bytes.data(),
              static_cast<uint32_t>(timed.frame.bytes.size()),
              std::max(timed.frame.wire_length, static_cast<uint32_t>(timed.frame.bytes.size())),
              timed.frame.link_type};
    return true;
  };
}

class Parity : public ::testing::TestWithParam<Placement> {
 protected:
  void SetUp() override {
    if (const std::string why = why_bpf_cannot_run(); !why.empty()) GTEST_SKIP() << why;
  }

  static void expect_equal(const std::vector<TimedFrame>& frames, const fm_settings& settings,
                           Records records = Records::kAll) {
    auto report = run_parity(source_of(frames), settings, GetParam().datapath, records);
    ASSERT_TRUE(report) << report.error().message();
    for (const std::string& difference : report->differences) ADD_FAILURE() << difference;
    EXPECT_EQ(report->difference_count, 0u);
    EXPECT_EQ(report->packets + report->left_out, frames.size());
    EXPECT_GT(report->packets, 0u);
  }
};

Packet shape(unsigned number) {
  const char *a4 = "10.0.0.1", *b4 = "10.0.0.2", *a6 = "fd00::1", *b6 = "fd00::2";
  switch (number) {
    case 0:
      return ipv4(a4, b4).tcp(4242, 80, FM_SYN);
    case 1:
      return ipv4(a4, b4).tcp(4242, 80, FM_ACK | FM_PSH).payload(100);
    case 2:
      return ipv4(a4, b4).tcp(4242, 80, FM_FIN | FM_ACK | FM_ECE | FM_CWR | FM_URG);
    case 3:
      return ipv4(a4, b4).udp(5353, 53).payload(30).pad_to(80);
    case 4:
      return ipv4(a4, b4).icmp(8, 0, 7).payload(56);
    case 5:
      return ipv4(a4, b4).icmp(3, 1).payload(28);
    case 6:
      return ipv6(a6, b6).tcp(4242, 443, FM_ACK).tcp_options(12).payload(1200);
    case 7:
      return ipv6(a6, b6).udp(1000, 2000).payload(9);
    case 8:
      return ipv6(a6, b6).icmp(128, 0, 9).payload(56);
    case 9:
      return ipv6(a6, b6).icmp(135, 0);
    case 10:
      return ipv4(a4, b4).ip_options(40).udp(1, 2).payload(3);
    case 11:
      return ipv6(a6, b6).extension(0).extension(60, 64).extension(43, 24).udp(3, 4).payload(5);
    case 12:
      return ipv6(a6, b6).extension(51, 24).tcp(5, 6, FM_RST);
    case 13:
      return ipv4(a4, b4).first_fragment(77).udp(9, 10).payload(40);
    case 14:
      return ipv4(a4, b4).last_fragment(6, 77).protocol(17).payload(33);
    case 15:
      return ipv6(a6, b6).first_fragment(88).udp(11, 12).payload(40);
    case 16:
      return ipv6(a6, b6).last_fragment(6, 88).protocol(17).payload(33);
    case 17:
      return ipv4(a4, b4).protocol(47).payload(40);
    case 18:
      return ipv4(a4, b4).ip_length(10).udp(1, 2).payload(30);
    case 19:
      return ipv4(a4, b4).tcp(7, 7, FM_ACK).tcp_data_offset(4);
    case 20:
      return ipv4(a4, a4).tcp(7, 7, FM_ACK);
    case 21:
      return ipv4(a4, b4).ip_length(0).udp(1, 2).payload(30);
    case 22:
      return ipv6(a6, b6).ip_length(0).tcp(1, 2, FM_ACK).payload(30);
    case 23: {
      Packet deep = ipv6(a6, b6).udp(13, 14);
      for (int i = 0; i < 9; i++) deep.extension(60);
      return deep;
    }
    default:
      return ipv6(a6, b6).extension(0, 2048).extension(60, 1024).udp(15, 16).payload(5);
  }
}
constexpr unsigned kShapes = 25;
constexpr uint32_t kLinkTypes[] = {0, 1, 9, 12, 101, 108, 113, 228, 229, 276, 147};

TEST_P(Parity, EveryShapeOnEveryLinkLayer) {
  std::vector<TimedFrame> frames;
  uint64_t time_ns = 1'700'000'000 * FM_SECOND_NS;
  const auto add = [&](Packet packet) { frames.push_back(packet.at_ns(time_ns += 1'000'003)); };
  for (unsigned number = 0; number < kShapes; number++) {
    for (const uint32_t link_type : kLinkTypes) add(shape(number).link(link_type));
    add(shape(number).reversed());
    add(shape(number).vlan());
    add(shape(number).qinq());
    add(shape(number).qinq().qinq());
    add(shape(number).qinq().qinq().vlan());
    add(shape(number).mpls(1));
    add(shape(number).mpls(8));
    add(shape(number).mpls(9));
    add(shape(number).pppoe());
    add(shape(number).qinq().pppoe());
    add(shape(number).link(9).hdlc());
    add(shape(number).link(0).big_endian_family());
    add(shape(number).network_type(0x0806));
  }
  expect_equal(frames, default_settings(GetParam()));
}

TEST_P(Parity, CutAtEveryByteOfItsHeaders) {
  std::vector<TimedFrame> frames;
  uint64_t time_ns = 1'700'000'000 * FM_SECOND_NS;
  for (unsigned number = 0; number < kShapes - 1; number++)
    for (size_t captured = 14; captured < 130; captured++)
      frames.push_back(
          shape(number).vlan().mpls(2).cut_to(captured).at_ns(time_ns += FM_SECOND_NS / 1000));
  expect_equal(frames, default_settings(GetParam()));
}

// Conversations that end and start again, in all protocols, with a clock that jumps both ways.
std::vector<TimedFrame> random_conversations(unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  std::vector<TimedFrame> frames;
  uint64_t time_ns = 1'700'000'000 * FM_SECOND_NS;
  for (int i = 0; i < 20'000; i++) {
    Packet packet = shape(below(kShapes));
    if (below(3) > 0) {
      const std::string a = "10.1.0." + std::to_string(1 + below(5));
      const std::string b = "10.2.0." + std::to_string(1 + below(5));
      constexpr uint8_t kFlags[] = {FM_SYN,          FM_SYN | FM_ACK, FM_ACK,          FM_ACK,
                                    FM_ACK | FM_PSH, FM_ACK | FM_PSH, FM_FIN | FM_ACK, FM_RST};
      packet = ipv4(a, b)
                   .tcp(static_cast<uint16_t>(1000 + below(3)), 80, kFlags[below(8)],
                        static_cast<uint16_t>(below(65536)))
                   .tcp_options(4 * below(11))
                   .payload(below(2) ? below(1400) : 0);
    }
    if (below(2)) packet = packet.reversed();
    const unsigned step = below(1000);
    if (step < 900)
      time_ns += below(50'000'000);
    else if (step < 990)
      time_ns += below(1'500'000'000);
    else if (step < 997)
      time_ns += 11 * FM_SECOND_NS;
    else
      time_ns -= below(2'000'000'000);
    frames.push_back(packet.at_ns(time_ns));
  }
  return frames;
}

TEST_P(Parity, RandomTrafficWithShortTimeouts) {
  const auto seed = static_cast<unsigned>(std::random_device{}());
  SCOPED_TRACE("seed " + std::to_string(seed));
  expect_equal(random_conversations(seed), short_settings(GetParam()));
}

// The kernel's counters are complete even if no event reaches the daemon.
TEST_P(Parity, TheKernelsCountersAlone) {
  const auto seed = static_cast<unsigned>(std::random_device{}());
  SCOPED_TRACE("seed " + std::to_string(seed));
  expect_equal(random_conversations(seed), short_settings(GetParam()), Records::kFinal);
}

TEST_P(Parity, FramesWithWrongBytes) {
  const auto seed = static_cast<unsigned>(std::random_device{}());
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::vector<TimedFrame> frames;
  uint64_t time_ns = 1'700'000'000 * FM_SECOND_NS;
  for (int i = 0; i < 20'000; i++) {
    TimedFrame timed = shape(static_cast<unsigned>(random() % kShapes))
                           .link(kLinkTypes[random() % 11])
                           .at_ns(time_ns);
    time_ns += random() % FM_SECOND_NS;
    std::vector<uint8_t>& bytes = timed.frame.bytes;
    for (unsigned flips = static_cast<unsigned>(random() % 4); flips > 0; flips--)
      bytes[random() % std::min<size_t>(bytes.size(), 80)] = static_cast<uint8_t>(random());
    if (random() % 8 == 0) bytes.resize(std::max<size_t>(14, random() % bytes.size()));
    frames.push_back(std::move(timed));
  }
  expect_equal(frames, short_settings(GetParam()));
}

// The flags of one segment after the kernel's segmentation (net/ipv4/tcp_offload.c).
uint8_t flags_of_segment(uint8_t flags, bool first, bool last) {
  if (!last) flags &= static_cast<uint8_t>(~(FM_FIN | FM_PSH));
  if (!first) flags &= static_cast<uint8_t>(~FM_CWR);
  return flags;
}

// A buffer with a gso_size gives the rows of the frames that it becomes on the wire.
TEST_P(Parity, OffloadedBuffersCountAsTheirSegments) {
  const auto seed = static_cast<unsigned>(std::random_device{}());
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  auto run = ParityRun::begin(short_settings(GetParam()), GetParam().datapath);
  ASSERT_TRUE(run) << run.error().message();
  uint64_t time_ns = 1'700'000'000 * FM_SECOND_NS;
  uint64_t segments = 0;
  for (int i = 0; i < 2000; i++) {
    const bool v6 = below(2), udp = below(4) == 0;
    const auto segment_bytes = static_cast<uint16_t>(1 + below(1460));
    const unsigned payload = below(30'000);
    auto flags = static_cast<uint8_t>(below(8) ? FM_ACK | (below(256) & 0xfb) : below(256));
    // SYN and RST never travel in a buffer of several segments (and would end flows between them).
    if (payload > segment_bytes) flags &= static_cast<uint8_t>(~(FM_SYN | FM_RST));
    const auto packet = [&](uint8_t tcp_flags, unsigned bytes) {
      Packet p = v6 ? ipv6("fd00::1", "fd00::2") : ipv4("10.0.0.1", "10.0.0.2");
      if (udp)
        p.udp(1000, 2000);
      else
        p.tcp(1000, 80, tcp_flags, 4711);
      return p.payload(bytes);
    };
    time_ns += below(2) ? 0 : below(1'500'000'000);
    const bool reversed = below(2);
    const auto give = [&](const Packet& p, auto&& to) {
      const Frame frame = (reversed ? p.reversed() : p).frame();
      to(CapturedFrame{time_ns, 0, frame.bytes.data(), static_cast<uint32_t>(frame.bytes.size()),
                       frame.wire_length, frame.link_type});
    };
    give(packet(flags, payload), [&](const CapturedFrame& frame) {
      ASSERT_TRUE((*run)->run_program(frame, segment_bytes));
    });
    unsigned done = 0;
    do {
      const unsigned bytes = std::min<unsigned>(payload - done, segment_bytes);
      const bool last = done + bytes == payload;
      give(packet(flags_of_segment(flags, done == 0, last), bytes),
           [&](const CapturedFrame& frame) { (*run)->replay(frame); });
      done += bytes;
      segments++;
    } while (done < payload);
  }
  EXPECT_GT(segments, 10'000u);
  auto report = (*run)->compare();
  ASSERT_TRUE(report) << report.error().message();
  for (const std::string& difference : report->differences) ADD_FAILURE() << difference;
  EXPECT_EQ(report->difference_count, 0u);
  EXPECT_GT(report->rows, 10u);
}

// Messages of all three protocols, whole and cut, in and out of order, retransmitted, with gaps.
TEST_P(Parity, WhatPayloadSays) {
  const auto seed = static_cast<unsigned>(std::random_device{}());
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  const std::vector<std::string> messages = {
      "GET / HTTP/1.1\r\nContent-Length: 7\r\n\r\n",
      "POST /x HTTP/1.0\r\n\r\n",
      "UNSUBSCRIBE * HTTP/1.1\r\n\r\n",
      "HTTP/1.1 404 Not Found\r\ncontent-length:12\r\n\r\n",
      "HTTP/1.0 200 OK\r\n\r\n",
      handshake(client_hello({0x1301, 0x1302}, {offered({0x0304})})),
      handshake(server_hello(0x1301, {chosen(0x0304)})) + change_cipher_spec(),
      framed(query(1)),
      framed(response(28, 3)),
      query(16),
      response(1),
      std::string(3, 'x'),
      std::string(1460, '\0'),
  };
  std::vector<TimedFrame> frames;
  uint64_t time_ns = 1'700'000'000 * FM_SECOND_NS;
  uint32_t next[3][2] = {};
  for (int i = 0; i < 20'000; i++) {
    const unsigned flow = below(3), reversed = below(2);
    const uint16_t port = flow == 0 ? 80 : 53;
    std::string payload = messages[below(static_cast<unsigned>(messages.size()))];
    if (below(4) == 0) payload.resize(below(static_cast<unsigned>(payload.size()) + 1));
    if (below(8) == 0) payload.clear();
    Packet p = below(2) ? ipv4("10.0.0.1", "10.0.0.2") : ipv6("fd00::1", "fd00::2");
    if (flow == 2) {
      p.udp(4242, port);
    } else {
      uint32_t& sequence = next[flow][reversed];
      const unsigned odd = below(16);
      const uint32_t moved =
          odd == 0 ? sequence - below(3000) : sequence + (odd == 1) * below(3000);
      const bool syn = below(64) == 0;
      p.tcp(4242, port, syn ? FM_SYN : FM_ACK).tcp_sequence(moved);
      if (odd > 1) sequence += static_cast<uint32_t>(payload.size()) + syn;
    }
    p.payload(std::vector<uint8_t>(payload.begin(), payload.end()));
    time_ns += below(200) ? below(300'000'000) : below(2'000'000'000) * 8ull;
    frames.push_back((reversed ? p.reversed() : p).at_ns(time_ns));
  }
  expect_equal(frames, short_settings(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Datapaths, Parity,
                         ::testing::Values(Placement{Datapath::kEvents, Kept::kNothing},
                                           Placement{Datapath::kKernel, Kept::kNothing},
                                           Placement{Datapath::kEvents, Kept::kSizes},
                                           Placement{Datapath::kKernel, Kept::kSizes},
                                           Placement{Datapath::kEvents, Kept::kApplication}),
                         [](const auto& instance) {
                           return std::string(instance.param.datapath == Datapath::kKernel
                                                  ? "Kernel"
                                                  : "Events") +
                                  (instance.param.kept == Kept::kSizes         ? "WithSizes"
                                   : instance.param.kept == Kept::kApplication ? "WithApplication"
                                                                               : "");
                         });

}  // namespace
}  // namespace flowmeter::testing
