// SPDX-License-Identifier: BSD-3-Clause
// Writes the capture of the replay benchmarks: Ethernet, IPv4, small payloads, both directions.
// Three of four flows are TCP and one is UDP. Each packet belongs to a flow drawn at random, which
// is the worst locality that a flow table can meet. The same arguments give the same bytes.
//
// make_bench_capture FILE FLOWS PACKETS
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

// xorshift64* (Vigna 2016): fast, and the same everywhere.
class Random {
 public:
  uint32_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<uint32_t>((state_ * 0x2545f4914f6cdd1d) >> 32);
  }
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>((uint64_t{next()} * bound) >> 32); }

 private:
  uint64_t state_ = 0x666c6f776d65746d;
};

class Bytes {
 public:
  void u8(uint32_t value) { at_[size_++] = static_cast<uint8_t>(value); }
  void u16(uint32_t value) { u8(value >> 8), u8(value); }
  void u32(uint32_t value) { u16(value >> 16), u16(value); }
  void native32(uint32_t value) {
    std::memcpy(at_ + size_, &value, sizeof(value));
    size_ += sizeof(value);
  }
  void zeros(size_t count) {
    std::memset(at_ + size_, 0, count);
    size_ += count;
  }
  void clear() { size_ = 0; }
  const uint8_t* data() const { return at_; }
  size_t size() const { return size_; }

 private:
  uint8_t at_[256];
  size_t size_ = 0;
};

constexpr uint32_t kSyn = 0x02, kPush = 0x08, kAck = 0x10, kUrgent = 0x20, kEce = 0x40;

// No packet closes its flow, so there are as many flows as the caller asked for.
uint32_t tcp_flags(Random& random, bool first, uint32_t payload) {
  if (first) return kSyn;
  uint32_t flags = kAck | (payload ? kPush : 0);
  const uint32_t rare = random.below(256);
  if (rare == 0) flags |= kUrgent;
  if (rare == 1) flags |= kEce;
  return flags;
}

void put_packet(Bytes& out, Random& random, uint32_t flow, bool first, uint64_t time_us) {
  const bool tcp = flow % 4 != 0;
  const bool from_client = first || random.below(2) == 0;
  const uint32_t client = 0x0a000000 + flow, server = 0xc6120000 + flow % 509;
  const uint32_t client_port = 1024 + flow * 7 % 60000, server_port = tcp ? 443 : 53;
  const uint32_t payload =
      tcp ? (first || random.below(2) == 0 ? 0 : 1 + random.below(40)) : 8 + random.below(48);
  const uint32_t ip_length = 20 + (tcp ? 20 : 8) + payload;
  const uint32_t frame_length = 14 + ip_length;

  out.clear();
  out.native32(static_cast<uint32_t>(time_us / 1'000'000));
  out.native32(static_cast<uint32_t>(time_us % 1'000'000));
  out.native32(frame_length);
  out.native32(frame_length);

  out.u16(0x0200), out.u32(from_client ? 2 : 1);
  out.u16(0x0200), out.u32(from_client ? 1 : 2);
  out.u16(0x0800);

  out.u16(0x4500), out.u16(ip_length);
  out.u16(random.next() & 0xffff), out.u16(0x4000);
  out.u8(64), out.u8(tcp ? 6 : 17), out.u16(0);
  out.u32(from_client ? client : server);
  out.u32(from_client ? server : client);

  out.u16(from_client ? client_port : server_port);
  out.u16(from_client ? server_port : client_port);
  if (tcp) {
    out.u32(random.next()), out.u32(random.next());
    out.u8(0x50), out.u8(tcp_flags(random, first, payload));
    out.u16(64240), out.u32(0);
  } else {
    out.u16(8 + payload), out.u16(0);
  }
  out.zeros(payload);
}

bool write_capture(std::FILE* file, uint32_t flows, uint64_t packets) {
  Bytes out;
  for (const uint32_t word : {0xa1b2c3d4u, 0x00040002u, 0u, 0u, 262144u, 1u}) out.native32(word);
  if (std::fwrite(out.data(), out.size(), 1, file) != 1) return false;
  Random random;
  std::vector<bool> met(flows);
  uint64_t time_us = 1'700'000'000'000'000;
  for (uint64_t i = 0; i < packets; i++) {
    time_us += random.below(3);
    const uint32_t flow = random.below(flows);
    put_packet(out, random, flow, !met[flow], time_us);
    met[flow] = true;
    if (std::fwrite(out.data(), out.size(), 1, file) != 1) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const long long flows = argc == 4 ? std::atoll(argv[2]) : 0;
  const long long packets = argc == 4 ? std::atoll(argv[3]) : 0;
  if (flows < 1 || flows > 0xffffff || packets < 1) {
    std::fprintf(stderr, "usage: make_bench_capture FILE FLOWS PACKETS\n");
    return 2;
  }
  std::FILE* file = std::fopen(argv[1], "wb");
  if (!file) {
    std::perror(argv[1]);
    return 1;
  }
  std::vector<char> buffer(1 << 20);
  std::setvbuf(file, buffer.data(), _IOFBF, buffer.size());
  const bool written =
      write_capture(file, static_cast<uint32_t>(flows), static_cast<uint64_t>(packets));
  if (std::fclose(file) != 0 || !written) {
    std::perror(argv[1]);
    return 1;
  }
  return 0;
}
