// SPDX-License-Identifier: BSD-3-Clause
// Captures as bytes in memory, from frames: pcap in its four kinds, and pcapng block by block in
// either byte order. The captures are well-formed; tests that need damage change the bytes
// afterwards.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "support/packet_builder.h"

namespace flowmeter::testing {

struct PcapKind {
  bool nanoseconds = false;
  bool big_endian = false;
};

// A pcap file. Its link type is that of the first frame (Ethernet without any); all must have the
// same.
std::vector<uint8_t> pcap(const std::vector<TimedFrame>& frames, PcapKind kind = {});

enum class ByteOrder : uint8_t { kLittle, kBig };

class Pcapng {
 public:
  // Starts with a section header.
  explicit Pcapng(ByteOrder order = ByteOrder::kLittle) { section(order); }

  // Starts another section, in which interfaces are numbered from 0 again.
  Pcapng& section(ByteOrder order);
  // resolution: if_tsresol, as it stands in the file; 6 (microseconds) is left out, as is an offset
  // of 0.
  Pcapng& interface(uint32_t link_type, uint8_t resolution = 6, int64_t offset_s = 0,
                    uint32_t snap_length = 0);
  // stamp: in units of the interface.
  Pcapng& enhanced(const Frame& frame, uint64_t stamp, uint32_t interface = 0);
  Pcapng& obsolete(const Frame& frame, uint64_t stamp, uint16_t interface = 0);
  Pcapng& simple(const Frame& frame);
  // A block with a body of zeros. body_bytes: a multiple of 4.
  Pcapng& block(uint32_t type, size_t body_bytes);
  Pcapng& block(uint32_t type, const std::vector<uint8_t>& body);

  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  void put(std::vector<uint8_t>& to, uint64_t value, unsigned bytes) const;
  std::vector<uint8_t> padded(const std::vector<uint8_t>& bytes) const;

  bool big_endian_ = false;
  std::vector<uint8_t> bytes_;
};

// A capture of one Ethernet interface with nanosecond stamps.
std::vector<uint8_t> pcapng(const std::vector<TimedFrame>& frames);

// False if it cannot be written.
bool write_file(const std::string& path, const std::vector<uint8_t>& bytes);
// Empty if it cannot be read.
std::vector<uint8_t> read_file(const std::string& path);

// A file in the temporary directory, removed when this object ends.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::vector<uint8_t>& bytes = {});
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace flowmeter::testing
