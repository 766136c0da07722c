// SPDX-License-Identifier: BSD-3-Clause
// The capture reader: formats, damage, odd inputs; and against libpcap wherever both apply.
#include "capture/capture_reader.h"

#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <memory>
#include <random>
#include <thread>

#include "support/capture_writer.h"

namespace flowmeter::testing {
namespace {

using Octets = std::vector<uint8_t>;

struct ReadFrame {
  int64_t era;
  uint64_t time_ns;
  uint32_t link_type;
  uint32_t wire_length;
  Octets octets;

  bool operator==(const ReadFrame&) const = default;
};

struct ReadCapture {
  std::vector<ReadFrame> frames;
  std::string damage;
  bool valid_header = false;
  int read_error = 0;
};

ReadCapture read_path(const std::string& path) {
  ReadCapture all;
  auto reader = CaptureReader::open(path);
  if (!reader) {
    ADD_FAILURE() << reader.error().message();
    return all;
  }
  for (CapturedFrame f; reader->next(&f);)
    all.frames.push_back(
        {f.era, f.time_ns, f.link_type, f.wire_length, Octets(f.data, f.data + f.captured_length)});
  all.damage = reader->damage();
  all.valid_header = reader->valid_header();
  all.read_error = reader->read_error();
  CapturedFrame f;
  EXPECT_FALSE(reader->next(&f)) << "the end is the end";
  EXPECT_EQ(reader->damage(), all.damage);
  return all;
}

ReadCapture read(const Octets& octets) {
  TemporaryFile file(octets);
  return read_path(file.path());
}

Frame frame(size_t payload = 10) {
  return ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(payload);
}

ReadFrame expected(const Frame& f, uint64_t time_ns, int64_t era = 0) {
  return {era, time_ns, f.link_type, f.wire_length, f.octets};
}

void set32(Octets& octets, size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; i++) octets[at + i] = static_cast<uint8_t>(value >> (8 * i));
}

constexpr uint64_t kS = 1'000'000'000;

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
  Octets octets = pcap({{0, frame()}});
  octets[23] = 0x14;  // FCS length, in the upper bits of the link field
  octets[22] = 0x01;
  EXPECT_EQ(read(octets).frames.at(0).link_type, 1u);
}

TEST(CaptureReader, PcapFractionIsAddedAsItStands) {
  Octets octets = pcap({{7 * kS, frame()}});
  set32(octets, 28, 2'500'000);
  EXPECT_EQ(read(octets).frames.at(0).time_ns, 9 * kS + kS / 2);
  set32(octets, 28, 0xffffffff);
  EXPECT_EQ(read(octets).frames.at(0).time_ns, 7 * kS + 0xffffffffull * 1000);
}

TEST(CaptureReader, WireLengthIsAtLeastTheCapturedLength) {
  Octets octets = pcap({{0, frame(20)}});
  set32(octets, 36, 5);
  const ReadCapture all = read(octets);
  EXPECT_EQ(all.frames.at(0).wire_length, frame(20).octets.size());
}

TEST(CaptureReader, PcapCapturedLengthLimit) {
  const Frame longest = {Octets(262144, 7), 262144, 1};
  const ReadCapture all = read(pcap({{0, longest}, {1, frame()}}));
  ASSERT_EQ(all.frames.size(), 2u);
  EXPECT_EQ(all.frames[0].octets.size(), 262144u);
  const Frame longer = {Octets(262145, 7), 262145, 1};
  const ReadCapture damaged = read(pcap({{0, frame()}, {0, longer}, {1000, frame()}}));
  EXPECT_EQ(damaged.frames.size(), 1u);
  EXPECT_NE(damaged.damage, "");
}

// ---- pcapng ----

TEST(CaptureReader, PcapngByteOrdersAndBlocks) {
  for (const bool big_endian : {false, true}) {
    SCOPED_TRACE(big_endian);
    Pcapng file(big_endian);
    file.interface(1)
        .enhanced(frame(1), 1'700'000'000'000'001)
        .obsolete(frame(2), 2)
        .simple(frame(3))
        .enhanced(frame(4), ~uint64_t{0} / 1000);
    const ReadCapture all = read(file.octets());
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
  const ReadCapture all = read(file.octets());
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
    for (const bool big_endian : {false, true}) {
      SCOPED_TRACE(::testing::Message() << row.claim << (big_endian ? ", big-endian" : ""));
      Pcapng file(big_endian);
      file.interface(1, row.resolution, row.offset_s).enhanced(frame(), row.stamp);
      const ReadCapture all = read(file.octets());
      ASSERT_EQ(all.frames.size(), 1u);
      EXPECT_EQ(all.frames[0].time_ns, row.time_ns);
      EXPECT_EQ(all.frames[0].era, row.era);
    }
}

TEST(CaptureReader, PcapngSimplePacketsAndSnapLength) {
  Pcapng file;
  file.interface(1, 6, 0, 60);
  Frame cut = frame(100);
  cut.octets.resize(60);
  file.simple(cut).simple(frame(3));
  const ReadCapture all = read(file.octets());
  ASSERT_EQ(all.frames.size(), 2u);
  EXPECT_EQ(all.frames[0].octets.size(), 60u);
  EXPECT_EQ(all.frames[0].wire_length, 142u);
  EXPECT_EQ(all.frames[1].octets.size(), 45u) << "not the padding of the block";
}

TEST(CaptureReader, PcapngNewSectionForgetsInterfaces) {
  const Frame raw = ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).link(101);
  Pcapng file;
  file.interface(1, 9).enhanced(frame(), 5).section(true).interface(101, 3).enhanced(raw, 7);
  file.section(false).enhanced(frame(), 5);  // no interface yet
  const ReadCapture all = read(file.octets());
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
  const ReadCapture all = read(file.octets());
  EXPECT_EQ(all.damage, "");
  ASSERT_EQ(all.frames.size(), 3u);
  EXPECT_EQ(all.frames[2], expected(frame(), 3));
}

TEST(CaptureReader, PcapngLongPacketBlockWithOptions) {
  // An enhanced packet block with MiBs of options: held, and the packet in front of them is whole.
  Octets body(20 + 4 + 3 * 1024 * 1024);
  set32(body, 12, 4);
  set32(body, 16, 4);
  Pcapng file;
  file.interface(1).block(6, body).enhanced(frame(), 3);
  const ReadCapture all = read(file.octets());
  EXPECT_EQ(all.damage, "");
  ASSERT_EQ(all.frames.size(), 2u);
  EXPECT_EQ(all.frames[0].octets.size(), 4u);
}

TEST(CaptureReader, PcapngInterfaceOptionsWithDamage) {
  // An option longer than its block is not read, and the interface stands.
  Octets body(8 + 4);
  body[0] = 1;
  body[8] = 9;
  body[10] = 200;
  Pcapng file;
  file.block(1, body).enhanced(frame(), 1);
  const ReadCapture all = read(file.octets());
  ASSERT_EQ(all.frames.size(), 1u);
  EXPECT_EQ(all.frames[0].time_ns, 1000u);
}

// ---- damage ----

TEST(CaptureReader, PcapngDamage) {
  Pcapng good;
  good.interface(1, 9).enhanced(frame(), 1);
  const size_t behind = good.octets().size();
  good.enhanced(frame(), 2);
  struct Case {
    const char* claim;
    size_t at;  // from the beginning of the second packet block
    uint32_t value;
  };
  const Case cases[] = {
      {"length 0", 4, 0},
      {"length 8", 4, 8},
      {"length not a multiple of 4", 4, 73},
      {"length beyond the file", 4, 4000},
      {"length above the bound of a held block", 4, 64 << 20},
      {"interface that does not exist", 8, 1},
      {"captured length beyond the block", 20, 4000},
      {"captured length of 4 GiB", 20, 0xffffffff},
      {"captured length above the limit", 20, 262145},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.claim);
    Octets octets = good.octets();
    set32(octets, behind + c.at, c.value);
    const ReadCapture all = read(octets);
    EXPECT_EQ(all.frames.size(), 1u) << "what came before stands";
    EXPECT_NE(all.damage, "");
    EXPECT_EQ(all.read_error, 0);
  }
}

TEST(CaptureReader, PcapngDamagedHeaders) {
  EXPECT_NE(read(Pcapng().interface(1).block(6, 8).octets()).damage, "") << "short packet block";
  EXPECT_NE(read(Pcapng().interface(1).block(2, 8).octets()).damage, "");
  EXPECT_NE(read(Pcapng().interface(1).block(3, 0).octets()).damage, "");
  EXPECT_NE(read(Pcapng().block(1, 4).octets()).damage, "") << "short interface description";
  EXPECT_NE(read(Pcapng().simple(frame()).octets()).damage, "") << "simple packet, no interface";
  Pcapng second;
  second.interface(1).enhanced(frame(), 1);
  const size_t at = second.octets().size();
  second.section(false).interface(1).enhanced(frame(), 1);
  Octets octets = second.octets();
  octets[at + 8] ^= 1;  // the byte-order magic of the second section
  const ReadCapture all = read(octets);
  EXPECT_EQ(all.frames.size(), 1u);
  EXPECT_NE(all.damage, "");
}

TEST(CaptureReader, NotACapture) {
  for (const Octets& octets :
       {Octets{}, Octets{'x'}, Octets{0xd4, 0xc3, 0xb2}, Octets(1000, 0), Octets(1000, 'a'),
        Octets{'\n', '\r', '\r', '\n'}, Octets(200, '\n')}) {
    const ReadCapture all = read(octets);
    EXPECT_TRUE(all.frames.empty());
    EXPECT_FALSE(all.valid_header);
    EXPECT_NE(all.damage, "");
    EXPECT_EQ(all.read_error, 0);
  }
  const std::string text = "\n\r\r\nA text that begins with line ends like a section header.\n";
  EXPECT_FALSE(read(Octets(text.begin(), text.end())).valid_header);
  EXPECT_EQ(read({}).damage, "the file is empty");
}

TEST(CaptureReader, PcapHeaderCutShort) {
  Octets octets = pcap({});
  octets.resize(23);
  const ReadCapture all = read(octets);
  EXPECT_FALSE(all.valid_header);
  EXPECT_NE(all.damage, "");
}

TEST(CaptureReader, CannotOpen) {
  const auto missing = CaptureReader::open("/nonexistent/capture.pcap");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().os_error, ENOENT);
  EXPECT_NE(missing.error().message().find("/nonexistent/capture.pcap"), std::string::npos);
  const auto directory = CaptureReader::open("/");
  ASSERT_FALSE(directory);
  EXPECT_EQ(directory.error().os_error, EISDIR);
}

TEST(CaptureReader, ReadErrorIsNotDamage) {
  // The first page of a process is never mapped, so reading its memory file from 0 fails.
  const auto reader = CaptureReader::open("/proc/self/mem");
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().os_error, EIO);
}

// ---- every cut ----

void expect_prefixes(const Octets& octets) {
  const ReadCapture whole = read(octets);
  TemporaryFile file;
  size_t last = 0;
  for (size_t cut = 0; cut < octets.size(); cut++) {
    ASSERT_TRUE(write_file(file.path(),
                           Octets(octets.begin(), octets.begin() + static_cast<ptrdiff_t>(cut))));
    const ReadCapture part = read_path(file.path());
    ASSERT_LE(part.frames.size(), whole.frames.size());
    for (size_t i = 0; i < part.frames.size(); i++)
      ASSERT_EQ(part.frames[i], whole.frames[i]) << "cut at " << cut;
    ASSERT_GE(part.frames.size(), last) << "more octets, fewer frames";
    last = part.frames.size();
  }
}

TEST(CaptureReader, CutAtEveryOctet) {
  const std::vector<TimedFrame> frames = {{1, frame(0)}, {2, frame(7)}, {3, frame(30)}};
  expect_prefixes(pcap(frames));
  expect_prefixes(pcap(frames, {true, true}));
  expect_prefixes(pcapng(frames));
  expect_prefixes(Pcapng(true)
                      .interface(1, 9, 5)
                      .simple(frame(1))
                      .block(5, 12)
                      .obsolete(frame(2), 2)
                      .section(false)
                      .interface(101)
                      .enhanced(frame(5), 9)
                      .octets());
}

TEST(CaptureReader, DamagedOctetsNeverCrash) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::vector<TimedFrame> frames = {{1, frame(0)}, {2, frame(7)}, {3, frame(30)}};
  const Octets bases[] = {pcap(frames), pcapng(frames)};
  for (int i = 0; i < 2000; i++) {
    Octets octets = bases[i % 2];
    for (unsigned n = 1 + random() % 4; n > 0; n--)
      octets[random() % octets.size()] = static_cast<uint8_t>(random());
    const ReadCapture all = read(octets);
    for (const ReadFrame& f : all.frames) ASSERT_GE(f.wire_length, f.octets.size());
  }
}

// ---- pipes and long files ----

TEST(CaptureReader, PipeInPieces) {
  std::vector<TimedFrame> frames;
  for (unsigned i = 0; i < 50; i++) frames.push_back({i, frame(i)});
  const Octets octets = pcap(frames, {true, false});
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::thread writer([&] {
    for (size_t at = 0; at < octets.size(); at += 7) {
      const size_t size = std::min<size_t>(7, octets.size() - at);
      ASSERT_EQ(::write(ends[1], octets.data() + at, size), static_cast<ssize_t>(size));
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
  struct sigaction action {
  }, old{};
  action.sa_handler = [](int) { interrupted = 1; };  // without SA_RESTART: read(2) returns EINTR
  ::sigaction(SIGALRM, &action, &old);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  Octets octets = pcap({{1000, frame()}, {2000, frame()}});
  octets.resize(octets.size() - 5);
  ASSERT_EQ(::write(ends[1], octets.data(), octets.size()), static_cast<ssize_t>(octets.size()));
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
  frames.push_back({0, {Octets(262144, 1), 300000, 1}});
  frames.push_back({0, frame()});
  for (const Octets& octets : {pcap(frames), pcapng(frames)}) {
    TemporaryFile file(octets);
    auto reader = CaptureReader::open(file.path());
    ASSERT_TRUE(reader);
    EXPECT_EQ(reader->bytes_total(), octets.size());
    CapturedFrame f;
    uint64_t before = 0;
    for (const TimedFrame& one : frames) {
      ASSERT_TRUE(reader->next(&f));
      ASSERT_EQ(Octets(f.data, f.data + f.captured_length), one.frame.octets);
      ASSERT_GT(reader->bytes_read(), before);
      before = reader->bytes_read();
    }
    EXPECT_FALSE(reader->next(&f));
    EXPECT_EQ(reader->bytes_read(), octets.size());
  }
}

// ---- against libpcap ----

struct PcapCloser {
  void operator()(pcap_t* p) const { ::pcap_close(p); }
};

// Reads with libpcap until its end or error; times in nanoseconds since the epoch. Null if it
// refuses the file.
std::unique_ptr<ReadCapture> read_by_libpcap(const std::string& path) {
  char error[PCAP_ERRBUF_SIZE];
  std::unique_ptr<pcap_t, PcapCloser> pcap(
      ::pcap_open_offline_with_tstamp_precision(path.c_str(), PCAP_TSTAMP_PRECISION_NANO, error));
  if (!pcap) return nullptr;
  auto all = std::make_unique<ReadCapture>();
  pcap_pkthdr* header;
  const u_char* data;
  int result;
  while ((result = ::pcap_next_ex(pcap.get(), &header, &data)) == 1) {
    const auto time =
        static_cast<uint64_t>(header->ts.tv_sec) * kS + static_cast<uint64_t>(header->ts.tv_usec);
    all->frames.push_back(
        {0, time, 0, std::max(header->len, header->caplen), Octets(data, data + header->caplen)});
  }
  if (result == PCAP_ERROR) all->damage = ::pcap_geterr(pcap.get());
  return all;
}

// libpcap takes the seconds and the fraction of a pcap record as signed.
bool same_time(uint64_t ours, uint64_t theirs) {
  constexpr uint64_t kWrap = uint64_t{1} << 32;
  const uint64_t difference = ours - theirs;
  return difference == 0 || difference == kWrap || difference == kWrap * 1000 ||
         difference == kWrap * kS;
}

// Undamaged files have the same frames. Of damaged ones libpcap may read on (a captured length
// above the limit is cut to the snapshot length) or stop earlier; and it stops at an interface
// unlike the first one.
void expect_equal_to_libpcap(const std::string& path) {
  SCOPED_TRACE(path);
  const auto theirs = read_by_libpcap(path);
  if (!theirs) return;
  const ReadCapture ours = read_path(path);
  if (theirs->damage.empty()) {
    EXPECT_EQ(ours.frames.size(), theirs->frames.size()) << ours.damage;
  } else if (theirs->damage.find("an interface has a") == std::string::npos) {
    EXPECT_NE(ours.damage, "") << theirs->damage;
  }
  for (size_t i = 0; i < std::min(ours.frames.size(), theirs->frames.size()); i++) {
    ASSERT_EQ(ours.frames[i].octets, theirs->frames[i].octets) << "frame " << i;
    ASSERT_EQ(ours.frames[i].wire_length, theirs->frames[i].wire_length) << "frame " << i;
    ASSERT_TRUE(same_time(ours.frames[i].time_ns, theirs->frames[i].time_ns)) << "frame " << i;
  }
}

TEST(CaptureReader, LibpcapReadsTheSameFromGeneratedFiles) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 60; i++) {
    std::vector<TimedFrame> frames;
    for (unsigned n = 0; n < random() % 30; n++)
      frames.push_back({random() % (2'000'000'000 * kS), frame(random() % 1400)});
    const bool a = random() % 2, b = random() % 2;
    Pcapng file(a);
    // Resolutions for which libpcap, too, cuts exactly; one link type for all, which it demands;
    // and no offset for interface 0, because it adds that to the time 0 of simple packets.
    static constexpr uint8_t kResolutions[] = {3, 6, 9, 0x8a};
    const unsigned interfaces = 1 + static_cast<unsigned>(random() % 3);
    for (unsigned n = 0; n < interfaces; n++)
      file.interface(1, kResolutions[random() % 4],
                     n == 0 ? 0 : static_cast<int64_t>(random() % 1000), 262144);
    for (const TimedFrame& f : frames) {
      const auto interface = static_cast<uint16_t>(random() % interfaces);
      const uint64_t stamp = random() % 2'000'000'000'000;
      if (b && random() % 4 == 0)
        file.obsolete(f.frame, stamp, interface);
      else if (random() % 8 == 0)
        file.simple(f.frame);
      else
        file.enhanced(f.frame, stamp, interface);
      if (random() % 5 == 0) file.block(5, 4 * (random() % 50));
    }
    for (const Octets& octets : {pcap(frames, {a, b}), file.octets()}) {
      TemporaryFile on_disk(octets);
      ASSERT_NE(read_by_libpcap(on_disk.path()), nullptr);
      expect_equal_to_libpcap(on_disk.path());
    }
  }
}

TEST(CaptureReader, LibpcapReadsTheSameFromReferenceCaptures) {
  namespace fs = std::filesystem;
  const fs::path directory = fs::path(FLOWMETER_SOURCE_DIR) / ".." / "shared" / "pcaps";
  if (!fs::is_directory(directory)) GTEST_SKIP() << "no reference captures in " << directory;
  unsigned captures = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    const auto extension = entry.path().extension();
    if (extension != ".pcap" && extension != ".pcapng") continue;
    captures++;
    expect_equal_to_libpcap(entry.path());
  }
  EXPECT_GT(captures, 0u);
}

}  // namespace
}  // namespace flowmeter::testing
