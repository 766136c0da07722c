// SPDX-License-Identifier: BSD-3-Clause
#include "features/flow_ids.h"

#include <cstring>

namespace flowmeter {
namespace {

// What is hashed after the meter and the run: bytes of the key as they are in memory, and numbers
// with their least byte first.
class Message {
 public:
  explicit Message(uint8_t kind) { bytes_[size_++] = kind; }

  void add(const fm_flow_key& key) {
    std::memcpy(bytes_ + size_, &key, sizeof(key));
    size_ += sizeof(key);
  }
  void add(uint64_t number) {
    for (int i = 0; i < 8; i++) bytes_[size_++] = static_cast<uint8_t>(number >> 8 * i);
  }
  void add(const FlowStart& start, bool in_replay) {
    add(start.first_ns);
    if (!in_replay) return;
    add(static_cast<uint64_t>(start.era));
    add(start.number);
  }
  std::span<const uint8_t> bytes() const { return {bytes_, size_}; }

 private:
  uint8_t bytes_[128];
  size_t size_ = 0;
};

Cell uuid(const MeterIdentity& meter, const Message& message) {
  Sha1 hash = meter.ids();
  hash.add(message.bytes());
  Sha1::Digest digest = hash.finish();
  digest[6] = static_cast<uint8_t>((digest[6] & 0x0f) | 0x80);  // version 8
  digest[8] = static_cast<uint8_t>((digest[8] & 0x3f) | 0x80);  // variant of RFC 9562
  constexpr size_t kBytes = 16, kText = 36;
  constexpr char kDigits[] = "0123456789abcdef";
  char text[kText];
  char* at = text;
  for (size_t i = 0; i < kBytes; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
    *at++ = kDigits[digest[i] >> 4];
    *at++ = kDigits[digest[i] & 15];
  }
  return std::string_view(text, kText);
}

}  // namespace

Cell flow_id(const FlowRecord& record) {
  if (!record.meter) return std::string_view();
  const bool in_replay = record.meter->is_replay();
  Message message('f');
  message.add(record.key);
  message.add(record.start, in_replay);
  if (in_replay) {
    message.add(record.flow.counters.last_ns);
    message.add(fm_flow_packets(&record.flow.counters));
    message.add(record.forward().length.sum + record.backward().length.sum);
  }
  return uuid(*record.meter, message);
}

Cell flow_key(const FlowRecord& record) {
  if (!record.meter) return std::string_view();
  Message message('k');
  message.add(record.key);
  message.add(record.chain_start, record.meter->is_replay());
  return uuid(*record.meter, message);
}

}  // namespace flowmeter
