// SPDX-License-Identifier: BSD-3-Clause
#include "capture/capture_reader.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

namespace flowmeter {
namespace {

// Size of one read(2). It is large enough to make the call cheap, and small enough to stay in the
// L2 cache: on the machine of docs/benchmarks.md this is faster than a memory map, and it works on
// pipes.
constexpr size_t kReadSize = 256 * 1024;
// A longer pcapng block is damage if it must be held in memory; else it is skipped. libpcap has the
// same limit.
constexpr uint32_t kMaxBlockSize = 16 * 1024 * 1024;

constexpr uint32_t kSectionHeader = 0x0a0d0d0a;
constexpr uint32_t kInterfaceDescription = 1;
constexpr uint32_t kObsoletePacket = 2;
constexpr uint32_t kSimplePacket = 3;
constexpr uint32_t kEnhancedPacket = 6;

constexpr size_t kPcapHeaderSize = 24;
constexpr size_t kPcapRecordSize = 16;

// Reasons to stop reading. "cut short" means by the end of the file.
constexpr char kCutShort[] = "record cut short, or with an absurd length";
constexpr char kHeaderCutShort[] = "record header cut short";
constexpr size_t kMaxInterfaces = 65'536;  // per section; each is remembered
constexpr char kTooManyInterfaces[] = "too many interfaces";
constexpr char kNoInterface[] = "packet of an interface that is not described";
constexpr char kBadBlock[] = "block of impossible length or content";

template <typename T>
T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

// A pcapng time stamp in nanoseconds since the epoch; finer units are truncated.
__int128 unix_time_ns(uint64_t stamp, uint8_t resolution, int64_t offset_s) {
  constexpr int64_t kSecond = 1'000'000'000;
  const unsigned exponent = resolution & 0x7f;
  __int128 ns = stamp;
  if (resolution & 0x80) {  // units of 2^-exponent s
    const uint64_t seconds = exponent >= 64 ? 0 : stamp >> exponent;
    const uint64_t fraction = exponent >= 64 ? stamp : stamp & ((uint64_t{1} << exponent) - 1);
    const auto scaled = static_cast<unsigned __int128>(fraction) * kSecond;
    ns = static_cast<__int128>(seconds) * kSecond + static_cast<__int128>(scaled >> exponent);
  } else {  // units of 10^-exponent s
    for (unsigned i = exponent; i < 9; i++) ns *= 10;
    for (unsigned i = exponent; i > 9 && ns > 0; i--) ns /= 10;
  }
  return ns + static_cast<__int128>(offset_s) * kSecond;
}

uint32_t libpcap_snap_length(uint32_t stated) {
  return stated == 0 || stated > INT32_MAX ? CaptureReader::kMaxCapturedLength : stated;
}

}  // namespace

uint16_t CaptureReader::u16(const uint8_t* at) const {
  const auto value = load<uint16_t>(at);
  return swapped_ ? __builtin_bswap16(value) : value;
}

uint32_t CaptureReader::u32(const uint8_t* at) const {
  const auto value = load<uint32_t>(at);
  return swapped_ ? __builtin_bswap32(value) : value;
}

CaptureReader::CaptureReader(UniqueFd fd, std::string path)
    : fd_(std::move(fd)), path_(std::move(path)) {
  // Twice the read size, so that a full read fits after the rest of the last one.
  capacity_ = 2 * kReadSize + kMaxCapturedLength;
  buffer_ = std::make_unique_for_overwrite<uint8_t[]>(capacity_);
}

Result<CaptureReader> CaptureReader::open(const std::string& path,
                                          const volatile std::sig_atomic_t* interrupted) {
  const int raw_fd = path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (raw_fd < 0) return Error{"cannot open capture " + path, errno};
  UniqueFd fd(raw_fd);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return Error{"cannot open capture " + path, errno};
  if (S_ISDIR(status.st_mode)) return Error{"cannot read capture " + path, EISDIR};
  CaptureReader reader(std::move(fd), path);
  reader.interrupted_ = interrupted;
  if (S_ISREG(status.st_mode)) reader.total_bytes_ = static_cast<uint64_t>(status.st_size);
  reader.read_file_header();
  if (reader.read_error_) return Error{"cannot read capture " + path, reader.read_error_};
  return reader;
}

// Makes at least `size` bytes available, if the file has them.
bool CaptureReader::fill(size_t size) {
  if (available() >= size) return true;
  if (before_refill_) before_refill_();
  if (position_ > 0) {
    std::memmove(buffer_.get(), at(), available());
    consumed_ += position_;
    filled_ -= position_;
    position_ = 0;
  }
  if (size > capacity_) {
    auto larger = std::make_unique_for_overwrite<uint8_t[]>(size + kReadSize);
    std::memcpy(larger.get(), buffer_.get(), filled_);
    buffer_ = std::move(larger);
    capacity_ = size + kReadSize;
  }
  while (filled_ < size && !at_end_) {
    const ssize_t got =
        ::read(fd_.get(), buffer_.get() + filled_, std::min(kReadSize, capacity_ - filled_));
    if (got > 0) {
      filled_ += static_cast<size_t>(got);
    } else if (got == 0) {
      at_end_ = true;
    } else if (errno != EINTR) {
      read_error_ = errno;
      at_end_ = true;
    } else if (interrupted_ && *interrupted_) {
      at_end_ = true;  // a signal asks to stop: the input ends here
    }
  }
  return filled_ >= size;
}

bool CaptureReader::skip(uint64_t size) {
  while (size > 0) {
    if (available() == 0 && !fill(1)) return false;
    const auto step = static_cast<size_t>(std::min<uint64_t>(size, available()));
    position_ += step;
    size -= step;
  }
  return true;
}

bool CaptureReader::end_with(const char* damage) {
  const bool stopped = interrupted_ && *interrupted_;
  if (!read_error_ && !stopped) damage_ = damage;
  position_ = filled_;
  at_end_ = true;
  return false;
}

void CaptureReader::read_file_header() {
  if (!fill(4)) {
    end_with(filled_ == 0 ? "the file is empty" : "not a pcap or pcapng capture");
    return;
  }
  switch (load<uint32_t>(at())) {
    case 0xa1b2c3d4:
      break;
    case 0xd4c3b2a1:
      swapped_ = true;
      break;
    case 0xa1b23c4d:
      nanoseconds_ = true;
      break;
    case 0x4d3cb2a1:
      nanoseconds_ = true;
      swapped_ = true;
      break;
    case kSectionHeader: {
      // The byte-order magic distinguishes a section header from a text file of line ends.
      if (!fill(12) ||
          (load<uint32_t>(at() + 8) != 0x1a2b3c4d && load<uint32_t>(at() + 8) != 0x4d3c2b1a)) {
        end_with("not a pcap or pcapng capture");
        return;
      }
      format_ = Format::kPcapng;
      return;
    }
    default:
      end_with("not a pcap or pcapng capture");
      return;
  }
  if (!fill(kPcapHeaderSize)) {
    end_with("file header cut short");
    return;
  }
  format_ = Format::kPcap;
  snap_length_ = libpcap_snap_length(u32(at() + 16));
  link_field_ = u32(at() + 20);
  const uint16_t major = u16(at() + 4), minor = u16(at() + 6);
  libpcap_stops_ = !((major == 2 && minor <= 4) || (major == 543 && minor == 0));
  if (major == 543 || minor < 3)
    libpcap_swaps_lengths_ = SwapLengths::kAlways;
  else if (minor == 3)
    libpcap_swaps_lengths_ = SwapLengths::kIfLarger;
  position_ += kPcapHeaderSize;
}

bool CaptureReader::next(CapturedFrame* frame) {
  switch (format_) {
    case Format::kPcap:
      return next_record(frame);
    case Format::kPcapng:
      return next_block(frame);
    case Format::kNone:
      break;
  }
  return false;
}

bool CaptureReader::next_record(CapturedFrame* frame) {
  if (available() < kPcapRecordSize && !fill(kPcapRecordSize))
    return available() == 0 ? false : end_with(kHeaderCutShort);
  const uint8_t* header = at();
  const uint64_t seconds = u32(header);
  // Added unchanged, even if it is a second or more.
  const uint64_t fraction = u32(header + 4);
  uint32_t captured = u32(header + 8);
  uint32_t wire = u32(header + 12);
  if (swap_lengths_ == SwapLengths::kAlways ||
      (swap_lengths_ == SwapLengths::kIfLarger && captured > wire))
    std::swap(captured, wire);
  if (captured > kMaxCapturedLength) return end_with(kCutShort);
  if (available() < kPcapRecordSize + captured && !fill(kPcapRecordSize + captured))
    return end_with(kCutShort);
  // Cannot overflow: the seconds have 32 bits.
  frame->time_ns = seconds * 1'000'000'000 + (nanoseconds_ ? fraction : fraction * 1000);
  frame->era = 0;
  frame->data = at() + kPcapRecordSize;
  frame->captured_length = captured;
  frame->wire_length = std::max(wire, captured);
  frame->link_type = link_field_ & 0xffff;  // the upper bits are about the FCS
  record_fields_ = {static_cast<uint32_t>(fraction), wire};
  position_ += kPcapRecordSize + captured;
  return true;
}

// Reads blocks up to and including one with a packet.
bool CaptureReader::next_block(CapturedFrame* frame) {
  while (true) {
    if (!fill(8)) return available() == 0 ? false : end_with(kHeaderCutShort);
    const uint32_t type = load<uint32_t>(at());
    if (type == kSectionHeader) {
      // Its magic determines the byte order of its length.
      if (!fill(12)) return end_with(kHeaderCutShort);
      const auto magic = load<uint32_t>(at() + 8);
      if (magic != 0x1a2b3c4d && magic != 0x4d3c2b1a) return end_with(kBadBlock);
      const bool swapped = magic == 0x4d3c2b1a;
      libpcap_stops_ |= any_section_ && swapped != swapped_;
      any_section_ = true;
      swapped_ = swapped;
      interfaces_.clear();
    }
    const uint32_t length = u32(at() + 4);
    if (length < 12 || length % 4 != 0) return end_with(kBadBlock);
    const uint32_t kind = swapped_ ? __builtin_bswap32(type) : type;
    if (type == kSectionHeader && fill(16)) {
      const uint16_t major = u16(at() + 12), minor = u16(at() + 14);
      libpcap_stops_ |= major != 1 || (minor != 0 && minor != 2);
    }
    const bool held = kind == kInterfaceDescription || kind == kObsoletePacket ||
                      kind == kSimplePacket || kind == kEnhancedPacket;
    if (!held) {
      if (!skip(length)) return end_with(kCutShort);
      continue;
    }
    if (length > kMaxBlockSize) return end_with(kBadBlock);
    if (!fill(length)) return end_with(kCutShort);
    const uint8_t* body = at() + 8;
    const size_t size = length - 12;
    libpcap_stops_ |= u32(at() + length - 4) != length;
    position_ += length;
    if (kind == kInterfaceDescription) {
      if (interfaces_.size() == kMaxInterfaces) return end_with(kTooManyInterfaces);
      if (!interface_description(body, size)) return end_with(kBadBlock);
    } else {
      return packet_block(kind, body, size, frame);
    }
  }
}

bool CaptureReader::interface_description(const uint8_t* body, size_t size) {
  constexpr uint16_t kTsResol = 9, kTsOffset = 14;
  if (size < 8) return false;
  Interface interface;
  interface.link_type = u16(body);
  interface.snap_length = u32(body + 4);
  size_t i = 8;
  unsigned resolutions = 0, offsets = 0;
  bool at_end = false;
  while (!at_end && i + 4 <= size) {
    const uint16_t code = u16(body + i);
    const uint16_t length = u16(body + i + 2);
    const uint8_t* value = body + i + 4;
    at_end = code == 0;
    if (at_end) libpcap_stops_ |= length != 0;
    if (at_end || length > size - i - 4) break;
    if (code == kTsResol) libpcap_stops_ |= length != 1 || ++resolutions > 1;
    if (code == kTsOffset) libpcap_stops_ |= length != 8 || ++offsets > 1;
    if (code == kTsResol && length >= 1) interface.resolution = value[0];
    if (code == kTsOffset && length >= 8) {
      const uint64_t first = u32(value), second = u32(value + 4);
      interface.offset_s = swapped_ == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
                               ? static_cast<int64_t>(first << 32 | second)
                               : static_cast<int64_t>(second << 32 | first);
    }
    i += 4 + ((length + 3u) & ~3u);
  }
  libpcap_stops_ |= !at_end && i != size;  // an option that is cut short
  interfaces_.push_back(interface);
  const uint32_t snap_length = libpcap_snap_length(interface.snap_length);
  if (!any_interface_) {
    any_interface_ = true;
    link_field_ = interface.link_type;
    snap_length_ = snap_length;
  }
  const uint8_t exponent = interface.resolution & 0x7f;
  libpcap_stops_ |= interface.link_type != link_field_ || snap_length != snap_length_ ||
                    exponent > (interface.resolution & 0x80 ? 63 : 19);
  return true;
}

// body: the block without its type and its two lengths.
bool CaptureReader::packet_block(uint32_t type, const uint8_t* body, size_t size,
                                 CapturedFrame* frame) {
  const Interface* interface = nullptr;
  size_t header = 20;
  uint32_t captured = 0, wire = 0;
  if (type == kSimplePacket) {
    header = 4;
    if (size < header) return end_with(kBadBlock);
    if (interfaces_.empty()) return end_with(kNoInterface);
    interface = &interfaces_[0];
    wire = u32(body);
    captured = interface->snap_length ? std::min(wire, interface->snap_length) : wire;
  } else {
    if (size < header) return end_with(kBadBlock);
    const uint32_t number = type == kEnhancedPacket ? u32(body) : u16(body);
    if (number >= interfaces_.size()) return end_with(kNoInterface);
    interface = &interfaces_[number];
    captured = u32(body + 12);
    wire = u32(body + 16);
  }
  if (captured > kMaxCapturedLength || captured > size - header) return end_with(kCutShort);
  const __int128 time_ns = type == kSimplePacket
                               ? 0
                               : unix_time_ns(uint64_t{u32(body + 4)} << 32 | u32(body + 8),
                                              interface->resolution, interface->offset_s);
  frame->time_ns = static_cast<uint64_t>(time_ns);
  frame->era = static_cast<int64_t>(time_ns >> 64);
  frame->data = body + header;
  frame->captured_length = captured;
  frame->wire_length = std::max(wire, captured);
  frame->link_type = interface->link_type;
  record_fields_ = {0, wire};
  return true;
}

}  // namespace flowmeter
