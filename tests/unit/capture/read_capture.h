// SPDX-License-Identifier: BSD-3-Clause
// Reads a whole capture.
#pragma once

#include <gtest/gtest.h>

#include "capture/capture_reader.h"
#include "support/capture_writer.h"

namespace flowmeter::testing {

using Bytes = std::vector<uint8_t>;

struct ReadFrame {
  int64_t era;
  uint64_t time_ns;
  uint32_t link_type;
  uint32_t wire_length;
  Bytes bytes;

  bool operator==(const ReadFrame&) const = default;
};

struct ReadCapture {
  std::vector<ReadFrame> frames;
  std::string damage;
  bool valid_header = false;
  int read_error = 0;
};

inline ReadCapture read_path(const std::string& path) {
  ReadCapture all;
  auto reader = CaptureReader::open(path);
  if (!reader) {
    ADD_FAILURE() << reader.error().message();
    return all;
  }
  for (CapturedFrame f; reader->next(&f);)
    all.frames.push_back(
        {f.era, f.time_ns, f.link_type, f.wire_length, Bytes(f.data, f.data + f.captured_length)});
  all.damage = reader->damage();
  all.valid_header = reader->valid_header();
  all.read_error = reader->read_error();
  CapturedFrame f;
  EXPECT_FALSE(reader->next(&f)) << "the end is the end";
  EXPECT_EQ(reader->damage(), all.damage);
  return all;
}

inline ReadCapture read(const Bytes& bytes) {
  TemporaryFile file(bytes);
  return read_path(file.path());
}

inline Frame frame(size_t payload = 10) {
  return ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(payload);
}

inline ReadFrame expected(const Frame& f, uint64_t time_ns, int64_t era = 0) {
  return {era, time_ns, f.link_type, f.wire_length, f.bytes};
}

inline void set32(Bytes& bytes, size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; i++) bytes[at + i] = static_cast<uint8_t>(value >> (8 * i));
}

constexpr uint64_t kS = 1'000'000'000;

}  // namespace flowmeter::testing
