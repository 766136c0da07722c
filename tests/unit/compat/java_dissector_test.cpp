// SPDX-License-Identifier: BSD-3-Clause
// Records of captures as libpcap gives them: times, lengths, and where the reading ends. The oracle
// is libpcap itself, on made-up files with odd headers in both byte orders.
#include "compat/java_dissector.h"

#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include <random>
#include <string>
#include <vector>

#include "compat/java_walk.h"
#include "support/capture_writer.h"
#include "support/packet_builder.h"

namespace flowmeter::testing {
namespace {

using Bytes = std::vector<uint8_t>;

// Packet class, time and payload length of each record.
struct Record {
  int packet_class;
  int64_t time_us;
  int64_t payload_bytes;
  bool operator==(const Record&) const = default;
};

std::vector<Record> by_dissector(const std::string& path) {
  std::vector<Record> records;
  auto reader = CaptureReader::open(path);
  if (!reader) return records;
  reader->take_lengths_as_libpcap();
  JavaDissector dissector;
  dissector.begin(*reader);
  for (CapturedFrame frame; reader->next(&frame) && !dissector.ends_before(frame);) {
    JavaPacket packet;
    const JavaPacketClass packet_class = dissector.dissect(frame, &packet);
    records.push_back({static_cast<int>(packet_class), packet.time_us, packet.payload_bytes});
  }
  return records;
}

// What jNetPcap makes of libpcap's records: it skips those whose length on the wire is less (as
// ints) than the captured length. Seconds and microseconds are a long and an int.
std::vector<Record> by_libpcap(const std::string& path) {
  std::vector<Record> records;
  char error[PCAP_ERRBUF_SIZE];
  pcap_t* capture = ::pcap_open_offline(path.c_str(), error);
  if (!capture) return records;
  pcap_pkthdr* header;
  const u_char* data;
  while (::pcap_next_ex(capture, &header, &data) == 1) {
    JavaPacket packet;
    JavaPacketClass packet_class = JavaPacketClass::kWireBelowCaptured;
    if (static_cast<int32_t>(header->len) >= static_cast<int32_t>(header->caplen)) {
      packet_class = java_walk(data, header->caplen, header->len, &packet);
      if (packet_class != JavaPacketClass::kNotIpv4)
        packet.time_us =
            java_add(static_cast<int64_t>(static_cast<uint64_t>(header->ts.tv_sec) * 1'000'000),
                     static_cast<int32_t>(header->ts.tv_usec));
    }
    records.push_back({static_cast<int>(packet_class), packet.time_us, packet.payload_bytes});
  }
  ::pcap_close(capture);
  return records;
}

std::vector<TimedFrame> frames() {
  std::vector<TimedFrame> out;
  for (unsigned i = 0; i < 6; i++)
    out.push_back(ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(10 * i).at(1.5 + i));
  return out;
}

// Replaces bytes of a capture's headers by values at limits, and compares the records with
// libpcap's.
void hold_against_libpcap(const Bytes& capture, unsigned seed, size_t from) {
  std::mt19937 random(seed);
  const TemporaryFile file;
  size_t records = 0;
  for (int i = 0; i < 400; i++) {
    Bytes changed = capture;
    for (unsigned n = random() % 4; n > 0; n--) {
      constexpr uint8_t kTelling[] = {0, 1, 2, 3, 4, 0x3c, 0x7f, 0x80, 0xff};
      changed[from + random() % (changed.size() - from)] = kTelling[random() % sizeof(kTelling)];
    }
    ASSERT_TRUE(write_file(file.path(), changed));
    const auto got = by_dissector(file.path()), expected = by_libpcap(file.path());
    records += expected.size();
    ASSERT_TRUE(got == expected) << "seed " << seed << ", change " << i << ": " << got.size()
                                 << " records, libpcap has " << expected.size();
  }
  EXPECT_GT(records, 400u);
}

TEST(JavaDissector, PcapRecordsAreThoseOfLibpcap) {
  unsigned seed = 1;
  for (const bool big_endian : {false, true})
    for (const bool nanoseconds : {false, true})
      hold_against_libpcap(pcap(frames(), {.nanoseconds = nanoseconds, .big_endian = big_endian}),
                           seed++, 4);
}

TEST(JavaDissector, PcapngRecordsAreThoseOfLibpcap) {
  hold_against_libpcap(pcapng(frames()), 5, 12);
}

TEST(JavaDissector, SecondInterfaceOfAnotherKindEndsTheReading) {
  const Frame frame = frames()[0].frame;
  for (const uint32_t link_type : {1u, 101u})
    for (const uint32_t snap_length : {0u, 96u}) {
      Pcapng capture;
      capture.interface(1, 6).enhanced(frame, 1).interface(link_type, 9, 0, snap_length);
      capture.enhanced(frame, 2, 1);
      const TemporaryFile file(capture.bytes());
      EXPECT_EQ(by_dissector(file.path()), by_libpcap(file.path()));
      EXPECT_EQ(by_dissector(file.path()).size(), link_type == 1 && snap_length == 0 ? 2u : 1u);
    }
}

// A simple packet block has a length on the wire, but no time.
TEST(JavaDissector, SimplePacketBlock) {
  Pcapng capture;
  capture.interface(1, 6).simple(frames()[0].frame);
  const TemporaryFile file(capture.bytes());
  EXPECT_EQ(by_dissector(file.path()), by_libpcap(file.path()));
  EXPECT_EQ(by_dissector(file.path()).size(), 1u);
}

}  // namespace
}  // namespace flowmeter::testing
