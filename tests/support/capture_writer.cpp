// SPDX-License-Identifier: BSD-3-Clause
#include "support/capture_writer.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

namespace flowmeter::testing {
namespace {

using Bytes = std::vector<uint8_t>;

void put_ordered(Bytes& to, uint64_t value, unsigned bytes, bool big_endian) {
  for (unsigned i = 0; i < bytes; i++)
    to.push_back(static_cast<uint8_t>(value >> (8 * (big_endian ? bytes - 1 - i : i))));
}

}  // namespace

Bytes pcap(const std::vector<TimedFrame>& frames, PcapKind kind) {
  Bytes out;
  const auto put = [&](uint64_t value, unsigned bytes) {
    put_ordered(out, value, bytes, kind.big_endian);
  };
  put(kind.nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4, 4);
  put(2, 2);
  put(4, 2);
  put(0, 8);
  put(262144, 4);
  put(frames.empty() ? 1 : frames[0].frame.link_type, 4);
  for (const TimedFrame& f : frames) {
    const uint64_t fraction_ns = f.time_ns % 1'000'000'000;
    put(f.time_ns / 1'000'000'000, 4);
    put(kind.nanoseconds ? fraction_ns : fraction_ns / 1000, 4);
    put(f.frame.bytes.size(), 4);
    put(f.frame.wire_length, 4);
    out.insert(out.end(), f.frame.bytes.begin(), f.frame.bytes.end());
  }
  return out;
}

void Pcapng::put(Bytes& to, uint64_t value, unsigned bytes) const {
  put_ordered(to, value, bytes, big_endian_);
}

Bytes Pcapng::padded(const Bytes& bytes) const {
  Bytes out = bytes;
  out.resize((out.size() + 3) / 4 * 4, 0);
  return out;
}

Pcapng& Pcapng::block(uint32_t type, const Bytes& body) {
  put(bytes_, type, 4);
  put(bytes_, 12 + body.size(), 4);
  bytes_.insert(bytes_.end(), body.begin(), body.end());
  put(bytes_, 12 + body.size(), 4);
  return *this;
}

Pcapng& Pcapng::block(uint32_t type, size_t body_bytes) {
  return block(type, Bytes(body_bytes));
}

Pcapng& Pcapng::section(ByteOrder order) {
  big_endian_ = order == ByteOrder::kBig;
  Bytes body;
  put(body, 0x1a2b3c4d, 4);
  put(body, 1, 2);
  put(body, 0, 2);
  put(body, ~uint64_t{0}, 8);  // length not given
  return block(0x0a0d0d0a, body);
}

Pcapng& Pcapng::interface(uint32_t link_type, uint8_t resolution, int64_t offset_s,
                          uint32_t snap_length) {
  Bytes body;
  put(body, link_type, 2);
  put(body, 0, 2);
  put(body, snap_length, 4);
  if (resolution != 6) {
    put(body, 9, 2);
    put(body, 1, 2);
    body.push_back(resolution);
    body.resize(body.size() + 3, 0);
  }
  if (offset_s != 0) {
    put(body, 14, 2);
    put(body, 8, 2);
    put(body, static_cast<uint64_t>(offset_s), 8);
  }
  if (body.size() > 8) put(body, 0, 4);  // end of options
  return block(1, body);
}

Pcapng& Pcapng::enhanced(const Frame& frame, uint64_t stamp, uint32_t interface) {
  Bytes body;
  put(body, interface, 4);
  put(body, stamp >> 32, 4);
  put(body, stamp & 0xffffffff, 4);
  put(body, frame.bytes.size(), 4);
  put(body, frame.wire_length, 4);
  const Bytes data = padded(frame.bytes);
  body.insert(body.end(), data.begin(), data.end());
  return block(6, body);
}

Pcapng& Pcapng::obsolete(const Frame& frame, uint64_t stamp, uint16_t interface) {
  Bytes body;
  put(body, interface, 2);
  put(body, 0xffff, 2);  // drops: not known
  put(body, stamp >> 32, 4);
  put(body, stamp & 0xffffffff, 4);
  put(body, frame.bytes.size(), 4);
  put(body, frame.wire_length, 4);
  const Bytes data = padded(frame.bytes);
  body.insert(body.end(), data.begin(), data.end());
  return block(2, body);
}

Pcapng& Pcapng::simple(const Frame& frame) {
  Bytes body;
  put(body, frame.wire_length, 4);
  const Bytes data = padded(frame.bytes);
  body.insert(body.end(), data.begin(), data.end());
  return block(3, body);
}

Bytes pcapng(const std::vector<TimedFrame>& frames) {
  Pcapng capture;
  capture.interface(1, 9);
  for (const TimedFrame& f : frames) capture.enhanced(f.frame, f.time_ns);
  return capture.bytes();
}

bool write_file(const std::string& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  return static_cast<bool>(file.flush());
}

Bytes read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

TemporaryFile::TemporaryFile(const Bytes& bytes) {
  const char* directory = std::getenv("TMPDIR");
  path_ = std::string(directory ? directory : "/tmp") + "/flowmeter-test-XXXXXX";
  const int fd = ::mkstemp(path_.data());
  if (fd >= 0) ::close(fd);
  if (fd < 0 || !write_file(path_, bytes)) std::abort();
}

TemporaryFile::~TemporaryFile() {
  ::unlink(path_.c_str());
}

}  // namespace flowmeter::testing
