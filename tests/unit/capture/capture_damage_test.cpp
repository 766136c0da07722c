// SPDX-License-Identifier: BSD-3-Clause
// Damaged captures: what was read before the damage is kept, and no input crashes the reader.
#include <gtest/gtest.h>

#include <cerrno>
#include <random>

#include "capture/read_capture.h"

namespace flowmeter::testing {
namespace {

TEST(CaptureDamage, PcapngDamage) {
  Pcapng good;
  good.interface(1, 9).enhanced(frame(), 1);
  const size_t behind = good.bytes().size();
  good.enhanced(frame(), 2);
  struct Case {
    const char* claim;
    size_t at;  // from the start of the second packet block
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
    Bytes bytes = good.bytes();
    set32(bytes, behind + c.at, c.value);
    const ReadCapture all = read(bytes);
    EXPECT_EQ(all.frames.size(), 1u) << "earlier packets were used";
    EXPECT_NE(all.damage, "");
    EXPECT_EQ(all.read_error, 0);
  }
}

TEST(CaptureDamage, PcapngDamagedHeaders) {
  EXPECT_NE(read(Pcapng().interface(1).block(6, 8).bytes()).damage, "") << "short packet block";
  EXPECT_NE(read(Pcapng().interface(1).block(2, 8).bytes()).damage, "");
  EXPECT_NE(read(Pcapng().interface(1).block(3, 0).bytes()).damage, "");
  EXPECT_NE(read(Pcapng().block(1, 4).bytes()).damage, "") << "short interface description";
  EXPECT_NE(read(Pcapng().simple(frame()).bytes()).damage, "") << "simple packet, no interface";
  Pcapng second;
  second.interface(1).enhanced(frame(), 1);
  const size_t at = second.bytes().size();
  second.section(ByteOrder::kLittle).interface(1).enhanced(frame(), 1);
  Bytes bytes = second.bytes();
  bytes[at + 8] ^= 1;  // the byte-order magic of the second section
  const ReadCapture all = read(bytes);
  EXPECT_EQ(all.frames.size(), 1u);
  EXPECT_NE(all.damage, "");
}

TEST(CaptureDamage, NotACapture) {
  for (const Bytes& bytes : {Bytes{}, Bytes{'x'}, Bytes{0xd4, 0xc3, 0xb2}, Bytes(1000, 0),
                             Bytes(1000, 'a'), Bytes{'\n', '\r', '\r', '\n'}, Bytes(200, '\n')}) {
    const ReadCapture all = read(bytes);
    EXPECT_TRUE(all.frames.empty());
    EXPECT_FALSE(all.valid_header);
    EXPECT_NE(all.damage, "");
    EXPECT_EQ(all.read_error, 0);
  }
  const std::string text = "\n\r\r\nA text that begins with line ends like a section header.\n";
  EXPECT_FALSE(read(Bytes(text.begin(), text.end())).valid_header);
  EXPECT_EQ(read({}).damage, "the file is empty");
}

TEST(CaptureDamage, PcapHeaderCutShort) {
  Bytes bytes = pcap({});
  bytes.resize(23);
  const ReadCapture all = read(bytes);
  EXPECT_FALSE(all.valid_header);
  EXPECT_NE(all.damage, "");
}

TEST(CaptureDamage, CannotOpen) {
  const auto missing = CaptureReader::open("/nonexistent/capture.pcap");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().os_error, ENOENT);
  EXPECT_NE(missing.error().message().find("/nonexistent/capture.pcap"), std::string::npos);
  const auto directory = CaptureReader::open("/");
  ASSERT_FALSE(directory);
  EXPECT_EQ(directory.error().os_error, EISDIR);
}

TEST(CaptureDamage, ReadErrorIsNotDamage) {
  // The first page of a process is never mapped, so reading its memory file from 0 fails.
  const auto reader = CaptureReader::open("/proc/self/mem");
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().os_error, EIO);
}

// ---- every cut ----

void expect_prefixes(const Bytes& bytes) {
  const ReadCapture whole = read(bytes);
  TemporaryFile file;
  size_t last = 0;
  for (size_t cut = 0; cut < bytes.size(); cut++) {
    ASSERT_TRUE(
        write_file(file.path(), Bytes(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(cut))));
    const ReadCapture part = read_path(file.path());
    ASSERT_LE(part.frames.size(), whole.frames.size());
    for (size_t i = 0; i < part.frames.size(); i++)
      ASSERT_EQ(part.frames[i], whole.frames[i]) << "cut at " << cut;
    ASSERT_GE(part.frames.size(), last) << "more bytes, fewer frames";
    last = part.frames.size();
  }
}

TEST(CaptureDamage, CutAtEveryByte) {
  const std::vector<TimedFrame> frames = {{1, frame(0)}, {2, frame(7)}, {3, frame(30)}};
  expect_prefixes(pcap(frames));
  expect_prefixes(pcap(frames, {.nanoseconds = true, .big_endian = true}));
  expect_prefixes(pcapng(frames));
  expect_prefixes(Pcapng(ByteOrder::kBig)
                      .interface(1, 9, 5)
                      .simple(frame(1))
                      .block(5, 12)
                      .obsolete(frame(2), 2)
                      .section(ByteOrder::kLittle)
                      .interface(101)
                      .enhanced(frame(5), 9)
                      .bytes());
}

TEST(CaptureDamage, DamagedBytesNeverCrash) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::vector<TimedFrame> frames = {{1, frame(0)}, {2, frame(7)}, {3, frame(30)}};
  const Bytes bases[] = {pcap(frames), pcapng(frames)};
  for (int i = 0; i < 2000; i++) {
    Bytes bytes = bases[i % 2];
    for (unsigned n = 1 + random() % 4; n > 0; n--)
      bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
    const ReadCapture all = read(bytes);
    for (const ReadFrame& f : all.frames) ASSERT_GE(f.wire_length, f.bytes.size());
  }
}

}  // namespace
}  // namespace flowmeter::testing
