// SPDX-License-Identifier: BSD-3-Clause
// Reads pcap and pcapng captures from files and pipes, only forwards, through a buffer of its own.
//
// pcap: micro- and nanoseconds, both byte orders. pcapng: both byte orders, several sections and
// interfaces, any if_tsresol and if_tsoffset; enhanced, obsolete and simple packet blocks. Frames
// come in file order. Reading ends at a record that is cut short or impossible. The frames before
// it have been returned, and damage() says what is wrong.
//
// libpcap takes about five times as long per packet (docs/benchmarks.md) and refuses captures whose
// interfaces have different link types. The tests compare both readers on captures that both can
// read.
#pragma once

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace flowmeter {

// One captured frame. data is valid until the next call of next(), or of the on_refill() callback.
struct CapturedFrame {
  uint64_t time_ns;  // since the start of its era
  int64_t era;       // number of 2^64 ns (584 years); 0 starts at the epoch. Others: pcapng only
  const uint8_t* data;
  uint32_t captured_length;
  uint32_t wire_length;  // at least captured_length
  uint32_t link_type;    // LINKTYPE registry
};

class CaptureReader {
 public:
  // The largest captured length (tcpdump's MAXIMUM_SNAPLEN); a larger one is damage.
  static constexpr uint32_t kMaxCapturedLength = 262144;

  // path "-" is standard input. Fails if the file cannot be opened or read, or is a directory. A
  // file that is not a capture can be opened, but has no frames, and damage() says so. interrupted,
  // if given, is checked when a signal interrupts a read from a pipe: once it is set, the input
  // ends there.
  static Result<CaptureReader> open(const std::string& path,
                                    const volatile std::sig_atomic_t* interrupted = nullptr);

  CaptureReader(CaptureReader&&) = default;
  CaptureReader& operator=(CaptureReader&&) = default;

  // next() calls this before it invalidates the frames that it has returned so far, so that the
  // caller can keep many frames at a time.
  void on_refill(std::function<void()> before) { before_refill_ = std::move(before); }

  // Returns false at the end of the capture, after damage, or after a read error.
  bool next(CapturedFrame* frame);

  // Whether the start of the file is that of a capture.
  bool valid_header() const { return format_ != Format::kNone; }
  // Why the reading ended early, or empty.
  const std::string& damage() const { return damage_; }
  // 0, or the error of read(2) that ended the reading.
  int read_error() const { return read_error_; }
  // Bytes of the file, for a progress display. The total is 0 if it is not known.
  uint64_t bytes_read() const { return consumed_ + position_; }
  uint64_t bytes_total() const { return total_bytes_; }
  const std::string& path() const { return path_; }

  // ---- details of the file, for modes that imitate how other programs read it ----
  bool is_pcapng() const { return format_ == Format::kPcapng; }
  // Whether the file, or the current pcapng section, is in the other byte order than this
  // machine's.
  bool byte_swapped() const { return swapped_; }
  // Whether the file is a pcap with time stamps in nanoseconds.
  bool nanoseconds() const { return nanoseconds_; }
  // pcap: all 32 bits of the link field in the file header. pcapng: the link type of the file's
  // first interface, once a frame was read.
  uint32_t link_field() const { return link_field_; }
  // Snapshot length of the file header or first interface, as libpcap sees it: kMaxCapturedLength
  // if there is no limit, or one that does not fit its int.
  uint32_t snap_length() const { return snap_length_; }
  // Whether libpcap (1.10) would have refused the file, or stopped before this point: because of an
  // unknown version, an interface whose link type or snapshot length is not that of the first, a
  // section in the other byte order, a resolution beyond 10^-19 or 2^-63 s, a block whose two
  // lengths differ, or interface options that are too long, too short or too many.
  bool libpcap_stops() const { return libpcap_stops_; }
  // From now on next() reads the two lengths of a record as libpcap does: their order is reversed
  // in files before version 2.3 and of 543.0, and in 2.3 if the captured length is the larger one.
  void take_lengths_as_libpcap() { swap_lengths_ = libpcap_swaps_lengths_; }
  // Fields of the last frame's record.
  struct RecordFields {
    uint32_t subseconds;  // pcap only
    uint32_t wire_length;
  };
  const RecordFields& record_fields() const { return record_fields_; }

 private:
  enum class Format { kNone, kPcap, kPcapng };

  struct Interface {
    uint32_t link_type = 0;
    uint32_t snap_length = 0;
    uint8_t resolution = 6;  // if_tsresol: 10^-n s, or 2^-n s with the high bit
    int64_t offset_s = 0;
  };

  CaptureReader(UniqueFd fd, std::string path);

  bool fill(size_t size);
  bool skip(uint64_t size);
  bool end_with(const char* damage);
  void read_file_header();
  bool next_record(CapturedFrame* frame);
  bool next_block(CapturedFrame* frame);
  bool interface_description(const uint8_t* body, size_t size);
  bool packet_block(uint32_t type, const uint8_t* body, size_t size, CapturedFrame* frame);
  uint16_t u16(const uint8_t* at) const;
  uint32_t u32(const uint8_t* at) const;

  const uint8_t* at() const { return buffer_.get() + position_; }
  size_t available() const { return filled_ - position_; }

  UniqueFd fd_;
  std::function<void()> before_refill_;
  std::string path_;
  std::unique_ptr<uint8_t[]> buffer_;
  size_t capacity_ = 0;
  size_t position_ = 0;
  size_t filled_ = 0;
  uint64_t consumed_ = 0;  // bytes of the file before the buffer
  uint64_t total_bytes_ = 0;
  bool at_end_ = false;
  int read_error_ = 0;
  const volatile std::sig_atomic_t* interrupted_ = nullptr;
  std::string damage_;

  Format format_ = Format::kNone;
  bool swapped_ = false;
  bool nanoseconds_ = false;
  uint32_t link_field_ = 0;
  uint32_t snap_length_ = 0;
  std::vector<Interface> interfaces_;
  bool any_section_ = false, any_interface_ = false;  // so far in the file
  bool libpcap_stops_ = false;
  enum class SwapLengths : uint8_t { kNever, kIfLarger, kAlways };
  SwapLengths swap_lengths_ = SwapLengths::kNever, libpcap_swaps_lengths_ = SwapLengths::kNever;
  RecordFields record_fields_{};
};

}  // namespace flowmeter
