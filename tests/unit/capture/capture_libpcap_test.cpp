// SPDX-License-Identifier: BSD-3-Clause
// The capture reader and libpcap give the same frames, wherever both can read.
#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include <filesystem>
#include <memory>
#include <random>

#include "capture/read_capture.h"

namespace flowmeter::testing {
namespace {

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
        {0, time, 0, std::max(header->len, header->caplen), Bytes(data, data + header->caplen)});
  }
  if (result == PCAP_ERROR) all->damage = ::pcap_geterr(pcap.get());
  return all;
}

// libpcap reads the seconds and the fraction of a pcap record as signed.
bool same_time(uint64_t ours, uint64_t theirs) {
  constexpr uint64_t kWrap = uint64_t{1} << 32;
  const uint64_t difference = ours - theirs;
  return difference == 0 || difference == kWrap || difference == kWrap * 1000 ||
         difference == kWrap * kS;
}

// Undamaged files have the same frames. In damaged ones libpcap may continue (it cuts a captured
// length above the limit to the snapshot length) or stop earlier; and it stops at an interface that
// is not like the first one.
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
    ASSERT_EQ(ours.frames[i].bytes, theirs->frames[i].bytes) << "frame " << i;
    ASSERT_EQ(ours.frames[i].wire_length, theirs->frames[i].wire_length) << "frame " << i;
    ASSERT_TRUE(same_time(ours.frames[i].time_ns, theirs->frames[i].time_ns)) << "frame " << i;
  }
}

TEST(CaptureLibpcap, ReadsTheSameFromGeneratedFiles) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 60; i++) {
    std::vector<TimedFrame> frames;
    for (unsigned n = 0; n < random() % 30; n++)
      frames.push_back({random() % (2'000'000'000 * kS), frame(random() % 1400)});
    const bool a = random() % 2, b = random() % 2;
    Pcapng file(a ? ByteOrder::kBig : ByteOrder::kLittle);
    // Resolutions for which libpcap also cuts exactly; one link type, because it demands that; and
    // no offset for interface 0, because it adds that to the time 0 of simple packets.
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
    for (const Bytes& bytes : {pcap(frames, {a, b}), file.bytes()}) {
      TemporaryFile on_disk(bytes);
      ASSERT_NE(read_by_libpcap(on_disk.path()), nullptr);
      expect_equal_to_libpcap(on_disk.path());
    }
  }
}

TEST(CaptureLibpcap, ReadsTheSameFromReferenceCaptures) {
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
