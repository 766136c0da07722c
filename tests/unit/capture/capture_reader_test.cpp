// SPDX-License-Identifier: BSD-3-Clause
// The capture reader: formats, odd inputs, pipes.
#include <gtest/gtest.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "capture/read_capture.h"

namespace flowmeter::testing {
namespace {

// ---- pcap ----

TEST(CaptureReader, PcapInItsFourKinds) {
  const std::vector<TimedFrame> frames = {
      {1'700'000'000 * kS + 123'456'789, frame()},
      {5, frame(0)},
      {4'294'967'295 * kS + 999'999'999,
       ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(99).cut_to(60)},
  };
  for (const bool nanoseconds : {false, true})
    for (const bool big_endian : {false, true}) {
      SCOPED_TRACE(::testing::Message() << nanoseconds << big_endian);
      const ReadCapture all = read(pcap(frames, {nanoseconds, big_endian}));
      EXPECT_EQ(all.damage, "");
      EXPECT_TRUE(all.valid_header);
      ASSERT_EQ(all.frames.size(), 3u);
      for (size_t i = 0; i < 3; i++) {
        const uint64_t time = frames[i].time_ns;
        EXPECT_EQ(all.frames[i],
                  expected(frames[i].frame, nanoseconds ? time : time / 1000 * 1000));
      }
    }
}

TEST(CaptureReader, PcapWithoutPackets) {
  const ReadCapture all = read(pcap({}));
  EXPECT_TRUE(all.valid_header);
  EXPECT_EQ(all.damage, "");
  EXPECT_TRUE(all.frames.empty());
}

TEST(CaptureReader, PcapLinkTypes) {
  for (const uint32_t link : {0u, 1u, 9u, 12u, 101u, 105u, 113u, 228u, 229u, 276u}) {
    const auto f = ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).link(link);
    EXPECT_EQ(read(pcap({f.at(0)})).frames.at(0).link_type, link);
  }
  Bytes bytes = pcap({{0, frame()}});
  bytes[23] = 0x14;  // FCS length, in the upper bits of the link field
  bytes[22] = 0x01;
  EXPECT_EQ(read(bytes).frames.at(0).link_type, 1u);
}

TEST(CaptureReader, PcapFractionIsAddedAsItStands) {
  Bytes bytes = pcap({{7 * kS, frame()}});
  set32(bytes, 28, 2'500'000);
  EXPECT_EQ(read(bytes).frames.at(0).time_ns, 9 * kS + kS / 2);
  set32(bytes, 28, 0xffffffff);
  EXPECT_EQ(read(bytes).frames.at(0).time_ns, 7 * kS + 0xffffffffull * 1000);
}

TEST(CaptureReader, WireLengthIsAtLeastTheCapturedLength) {
  Bytes bytes = pcap({{0, frame(20)}});
  set32(bytes, 36, 5);
  const ReadCapture all = read(bytes);
  EXPECT_EQ(all.frames.at(0).wire_length, frame(20).bytes.size());
}

TEST(CaptureReader, PcapCapturedLengthLimit) {
  const Frame longest = {Bytes(262144, 7), 262144, 1};
  const ReadCapture all = read(pcap({{0, longest}, {1, frame()}}));
  ASSERT_EQ(all.frames.size(), 2u);
  EXPECT_EQ(all.frames[0].bytes.size(), 262144u);
  const Frame longer = {Bytes(262145, 7), 262145, 1};
  const ReadCapture damaged = read(pcap({{0, frame()}, {0, longer}, {1000, frame()}}));
  EXPECT_EQ(damaged.frames.size(), 1u);
  EXPECT_NE(damaged.damage, "");
}

// ---- pcapng ----

TEST(CaptureReader, PcapngByteOrdersAndBlocks) {
  for (const ByteOrder order : {ByteOrder::kLittle, ByteOrder::kBig}) {
    SCOPED_TRACE(order == ByteOrder::kBig ? "big-endian" : "little-endian");
    Pcapng file(order);
    file.interface(1)
        .enhanced(frame(1), 1'700'000'000'000'001)
        .obsolete(frame(2), 2)
        .simple(frame(3))
        .enhanced(frame(4), ~uint64_t{0} / 1000);
    const ReadCapture all = read(file.bytes());
    EXPECT_EQ(all.damage, "");
    ASSERT_EQ(all.frames.size(), 4u);
    EXPECT_EQ(all.frames[0], expected(frame(1), 1'700'000'000'000'001'000));
    EXPECT_EQ(all.frames[1], expected(frame(2), 2000));
    EXPECT_EQ(all.frames[2], expected(frame(3), 0)) << "a simple packet has no time";
    EXPECT_EQ(all.frames[3], expected(frame(4), ~uint64_t{0} / 1000 * 1000));
  }
}

TEST(CaptureReader, PcapngInterfaces) {
  const Frame raw = ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).link(101);
  const Frame cooked = ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).link(113);
  Pcapng file;
  file.interface(1).interface(101, 9).enhanced(frame(), 1, 0).enhanced(raw, 1, 1);
  file.interface(113, 3).enhanced(cooked, 1, 2).obsolete(raw, 2, 1).simple(frame());
  const ReadCapture all = read(file.bytes());
  ASSERT_EQ(all.frames.size(), 5u);
  EXPECT_EQ(all.frames[0], expected(frame(), 1000));
  EXPECT_EQ(all.frames[1], expected(raw, 1));
  EXPECT_EQ(all.frames[2], expected(cooked, 1'000'000));
  EXPECT_EQ(all.frames[3], expected(raw, 2));
  EXPECT_EQ(all.frames[4], expected(frame(), 0)) << "simple packets are of interface 0";
}

TEST(CaptureReader, PcapngResolutionsAndOffsets) {
  const struct {
    const char* claim;
    uint8_t resolution;
    int64_t offset_s;
    uint64_t stamp;
    int64_t era;
    uint64_t time_ns;
  } rows[] = {
      {"seconds", 0, 0, 1'700'000'000, 0, 1'700'000'000 * kS},
      {"milliseconds", 3, 0, 1500, 0, kS + kS / 2},
      {"nanoseconds", 9, 0, 123, 0, 123},
      {"picoseconds are cut", 12, 0, 1999, 0, 1},
      {"10^-19 s", 19, 0, ~uint64_t{0}, 0, 1'844'674'407},
      {"10^-127 s", 127, 0, ~uint64_t{0}, 0, 0},
      {"2^0 s", 0x80, 0, 3, 0, 3 * kS},
      {"2^-1 s", 0x81, 0, 3, 0, kS + kS / 2},
      {"2^-10 s, cut", 0x8a, 0, 1, 0, 976562},
      {"2^-32 s", 0xa0, 0, 0x1'8000'0000, 0, kS + kS / 2},
      {"2^-63 s", 0xbf, 0, uint64_t{3} << 62, 0, kS + kS / 2},
      {"2^-64 s", 0xc0, 0, uint64_t{1} << 63, 0, kS / 2},
      {"2^-127 s", 0xff, 0, ~uint64_t{0}, 0, 0},
      {"an offset", 9, 1'700'000'000, 7, 0, 1'700'000'000 * kS + 7},
      {"an offset of its upper word", 9, int64_t{1} << 33, 7, 0, (uint64_t{1} << 33) * kS + 7},
      {"a negative offset", 6, -10, 30'000'000, 0, 20 * kS},
      {"before the epoch", 9, -1, 250'000'000, -1, ~uint64_t{0} - 750'000'000 + 1},
      {"the end of era 0", 9, 0, ~uint64_t{0}, 0, ~uint64_t{0}},
      {"the beginning of era 1", 9, 1, ~uint64_t{0}, 1, kS - 1},
      // 2^64 us = 1000 eras.
      {"the greatest stamp in microseconds", 6, 0, ~uint64_t{0}, 999, ~uint64_t{0} - 999},
      // 2^64 s = 10^9 eras.
      {"the greatest stamp in seconds", 0, 0, ~uint64_t{0}, 999'999'999, ~uint64_t{0} - kS + 1},
  };
  for (const auto& row : rows)
    for (const ByteOrder order : {ByteOrder::kLittle, ByteOrder::kBig}) {
      SCOPED_TRACE(::testing::Message()
                   << row.claim << (order == ByteOrder::kBig ? ", big-endian" : ""));
      Pcapng file(order);
      file.interface(1, row.resolution, row.offset_s).enhanced(frame(), row.stamp);
      const ReadCapture all = read(file.bytes());
      ASSERT_EQ(all.frames.size(), 1u);
      EXPECT_EQ(all.frames[0].time_ns, row.time_ns);
      EXPECT_EQ(all.frames[0].era, row.era);
    }
}

TEST(CaptureReader, PcapngSimplePacketsAndSnapLength) {
  Pcapng file;
  file.interface(1, 6, 0, 60);
  Frame cut = frame(100);
  cut.bytes.resize(60);
  file.simple(cut).simple(frame(3));
  const ReadCapture all = read(file.bytes());
  ASSERT_EQ(all.frames.size(), 2u);
  EXPECT_EQ(all.frames[0].bytes.size(), 60u);
  EXPECT_EQ(all.frames[0].wire_length, 142u);
  EXPECT_EQ(all.frames[1].bytes.size(), 45u) << "not the padding of the block";
}

TEST(CaptureReader, PcapngNewSectionForgetsInterfaces) {
  const Frame raw = ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).link(101);
  Pcapng file;
  file.interface(1, 9)
      .enhanced(frame(), 5)
      .section(ByteOrder::kBig)
      .interface(101, 3)
      .enhanced(raw, 7);
  file.section(ByteOrder::kLittle).enhanced(frame(), 5);  // no interface yet
  const ReadCapture all = read(file.bytes());
  ASSERT_EQ(all.frames.size(), 2u);
  EXPECT_EQ(all.frames[0], expected(frame(), 5));
  EXPECT_EQ(all.frames[1], expected(raw, 7'000'000));
  EXPECT_NE(all.damage, "");
}

TEST(CaptureReader, PcapngUnknownBlocksAreSkipped) {
  Pcapng file;
  file.block(4, 64).interface(1, 9).block(0x80000bad, 0).enhanced(frame(), 1);
  file.block(5, 100).block(10, 5 * 1024 * 1024).enhanced(frame(), 2);
  file.block(0xbad, 20 * 1024 * 1024).enhanced(frame(), 3);
  const ReadCapture all = read(file.bytes());
  EXPECT_EQ(all.damage, "");
  ASSERT_EQ(all.frames.size(), 3u);
  EXPECT_EQ(all.frames[2], expected(frame(), 3));
}

TEST(CaptureReader, PcapngLongPacketBlockWithOptions) {
  // A packet block with MiBs of options is held, and the packet before them is whole.
  Bytes body(20 + 4 + 3 * 1024 * 1024);
  set32(body, 12, 4);
  set32(body, 16, 4);
  Pcapng file;
  file.interface(1).block(6, body).enhanced(frame(), 3);
  const ReadCapture all = read(file.bytes());
  EXPECT_EQ(all.damage, "");
  ASSERT_EQ(all.frames.size(), 2u);
  EXPECT_EQ(all.frames[0].bytes.size(), 4u);
}

TEST(CaptureReader, PcapngInterfaceOptionsWithDamage) {
  // An option longer than its block is not read, but the interface is there.
  Bytes body(8 + 4);
  body[0] = 1;
  body[8] = 9;
  body[10] = 200;
  Pcapng file;
  file.block(1, body).enhanced(frame(), 1);
  const ReadCapture all = read(file.bytes());
  ASSERT_EQ(all.frames.size(), 1u);
  EXPECT_EQ(all.frames[0].time_ns, 1000u);
}

// ---- pipes and long files ----

TEST(CaptureReader, PipeInPieces) {
  std::vector<TimedFrame> frames;
  for (unsigned i = 0; i < 50; i++) frames.push_back({i, frame(i)});
  const Bytes bytes = pcap(frames, {true, false});
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::thread writer([&] {
    for (size_t at = 0; at < bytes.size(); at += 7) {
      const size_t size = std::min<size_t>(7, bytes.size() - at);
      ASSERT_EQ(::write(ends[1], bytes.data() + at, size), static_cast<ssize_t>(size));
    }
    ::close(ends[1]);
  });
  const ReadCapture all = read_path("/proc/self/fd/" + std::to_string(ends[0]));
  writer.join();
  ::close(ends[0]);
  EXPECT_EQ(all.damage, "");
  ASSERT_EQ(all.frames.size(), frames.size());
  for (size_t i = 0; i < frames.size(); i++)
    EXPECT_EQ(all.frames[i], expected(frames[i].frame, frames[i].time_ns));
}

TEST(CaptureReader, StandardInput) {
  TemporaryFile file(pcap({{1000, frame()}}));
  const int saved = ::dup(STDIN_FILENO);
  ASSERT_NE(std::freopen(file.path().c_str(), "rb", stdin), nullptr);
  EXPECT_EQ(read_path("-").frames.size(), 1u);
  if (saved >= 0) {
    ::dup2(saved, STDIN_FILENO);
    ::close(saved);
  }
}

volatile std::sig_atomic_t interrupted = 0;

TEST(CaptureReader, SignalEndsAReadFromAPipe) {
  interrupted = 0;
  struct sigaction action = {}, old = {};
  action.sa_handler = [](int) { interrupted = 1; };  // without SA_RESTART: read(2) returns EINTR
  ::sigaction(SIGALRM, &action, &old);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  Bytes bytes = pcap({{1000, frame()}, {2000, frame()}});
  bytes.resize(bytes.size() - 5);
  ASSERT_EQ(::write(ends[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  auto reader = CaptureReader::open("/proc/self/fd/" + std::to_string(ends[0]), &interrupted);
  ASSERT_TRUE(reader);
  CapturedFrame f;
  EXPECT_TRUE(reader->next(&f));
  itimerval timer{{0, 20'000}, {0, 20'000}};  // again and again: the first may come before the read
  ::setitimer(ITIMER_REAL, &timer, nullptr);
  EXPECT_FALSE(reader->next(&f)) << "the pipe is open, but a signal asks to stop";
  timer = {};
  ::setitimer(ITIMER_REAL, &timer, nullptr);
  EXPECT_EQ(reader->damage(), "") << "an interrupted reading is no damage";
  EXPECT_EQ(reader->read_error(), 0);
  ::sigaction(SIGALRM, &old, nullptr);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(CaptureReader, LongFileAndProgress) {
  std::vector<TimedFrame> frames;
  for (unsigned i = 0; i < 3000; i++) frames.push_back({i * 1000, frame(i % 1400)});
  frames.push_back({0, {Bytes(262144, 1), 300000, 1}});
  frames.push_back({0, frame()});
  for (const Bytes& bytes : {pcap(frames), pcapng(frames)}) {
    TemporaryFile file(bytes);
    auto reader = CaptureReader::open(file.path());
    ASSERT_TRUE(reader);
    EXPECT_EQ(reader->bytes_total(), bytes.size());
    CapturedFrame f;
    uint64_t before = 0;
    for (const TimedFrame& one : frames) {
      ASSERT_TRUE(reader->next(&f));
      ASSERT_EQ(Bytes(f.data, f.data + f.captured_length), one.frame.bytes);
      ASSERT_GT(reader->bytes_read(), before);
      before = reader->bytes_read();
    }
    EXPECT_FALSE(reader->next(&f));
    EXPECT_EQ(reader->bytes_read(), bytes.size());
  }
}

}  // namespace
}  // namespace flowmeter::testing
