// SPDX-License-Identifier: BSD-3-Clause
#include "application/tls.h"

#include <algorithm>
#include <cstring>

#include "flowmeter/application.h"

namespace flowmeter {
namespace {

enum Record : uint8_t { kChangeCipherSpec = 0x14, kAlert = 0x15, kHandshake = 0x16 };
enum Message : uint8_t { kClientHello = 1, kServerHello = 2 };

constexpr size_t kRecordHeader = 5;
constexpr size_t kMessageHeader = 4;
constexpr uint32_t kMaxRecord = 16384 + 256;
constexpr uint16_t kSupportedVersions = 43;
constexpr unsigned kMaxExtensions = 256;
constexpr uint16_t kTls12 = 0x0303;

// RFC 8446, B.3, with the types of earlier versions: 0 HelloRequest … 24 KeyUpdate.
constexpr bool is_message_type(uint8_t type) {
  constexpr uint32_t kTypes = 1u << 0 | 1u << 1 | 1u << 2 | 1u << 4 | 1u << 5 | 1u << 8 |
                              0x3fu << 11 | 1u << 20 | 1u << 22 | 1u << 24;
  return type < 32 && (kTypes >> type & 1) != 0;
}

// Reads fields from the front of a hello. Past its end all fields are empty and ok() is false.
class Fields {
 public:
  explicit Fields(Bytes bytes) : left_(bytes) {}
  bool ok() const { return ok_; }
  bool empty() const { return left_.empty(); }
  size_t size() const { return left_.size(); }

  Bytes take(size_t n) {
    ok_ = ok_ && n <= left_.size();
    if (!ok_) return left_ = {};
    const Bytes taken = left_.first(n);
    left_ = left_.subspan(n);
    return taken;
  }
  uint8_t u8() {
    const Bytes byte = take(1);
    return byte.empty() ? uint8_t{0} : byte[0];
  }
  uint16_t u16() {
    const Bytes bytes = take(2);
    return bytes.empty() ? uint16_t{0} : be16(bytes.data());
  }

 private:
  Bytes left_;
  bool ok_ = true;
};

// Walks the extensions block at the end of a hello, if there is one. Calls visit(type, body) for
// each extension that fits, and counts them, both without GREASE. False if the block does not fit.
template <typename Visit>
bool walk_extensions(Fields& hello, uint16_t* count, Visit&& visit) {
  *count = 0;
  if (hello.size() < 2) return true;
  Fields block(hello.take(hello.u16()));
  if (!hello.ok()) return false;
  for (unsigned seen = 0; seen < kMaxExtensions; seen++) {
    const uint16_t type = block.u16();
    const Bytes body = block.take(block.u16());
    if (!block.ok()) break;
    if (is_grease(type)) continue;
    ++*count;
    visit(type, body);
  }
  return true;
}

// Returns the higher one of two offered versions; a standard takes precedence over a draft.
constexpr uint16_t better_version(uint16_t a, uint16_t b) {
  const auto is_standard = [](uint16_t v) { return v >= 0x0300 && v <= 0x0304; };
  if (is_standard(a) != is_standard(b)) return is_standard(a) ? a : b;
  return std::max(a, b);
}

}  // namespace

bool parse_client_hello(Bytes body, ClientHello* hello) {
  Fields fields(body);
  hello->version = fields.u16();
  fields.take(32);           // random
  fields.take(fields.u8());  // session id
  Fields suites(fields.take(fields.u16()));
  fields.take(fields.u8());  // compression methods
  if (!fields.ok()) return false;

  unsigned kept = 0;
  for (unsigned seen = 0; seen < ClientHello::kMaxSuites && suites.size() >= 2; seen++) {
    const uint16_t suite = suites.u16();
    if (!is_grease(suite)) hello->suite[kept++] = suite;
  }
  const auto begin = hello->suite.begin();
  std::sort(begin, begin + kept);
  hello->suites = static_cast<uint16_t>(std::unique(begin, begin + kept) - begin);

  bool listed = false;
  return walk_extensions(fields, &hello->extensions, [&](uint16_t type, Bytes extension) {
    if (type != kSupportedVersions || listed || extension.empty()) return;
    Fields versions(extension.subspan(1, std::min<size_t>(extension[0], extension.size() - 1)));
    while (versions.size() >= 2) {
      const uint16_t version = versions.u16();
      if (is_grease(version)) continue;
      hello->version = listed ? better_version(hello->version, version) : version;
      listed = true;
    }
  });
}

bool parse_server_hello(Bytes body, ServerHello* hello) {
  Fields fields(body);
  hello->version = fields.u16();
  fields.take(32);           // random
  fields.take(fields.u8());  // session id
  hello->suite = fields.u16();
  fields.u8();  // compression method
  if (!fields.ok()) return false;
  bool chosen = false;
  return walk_extensions(fields, &hello->extensions, [&](uint16_t type, Bytes extension) {
    if (type != kSupportedVersions || chosen || extension.size() < 2) return;
    hello->version = be16(extension.data());
    chosen = true;
  });
}

Verdict tls_start(Bytes bytes, TlsStart where, uint32_t* skip) {
  const bool later = where == TlsStart::kLater;
  // Missing bytes are assumed to fit.
  size_t at = 0;
  const auto is = [&](size_t i, auto&& fits) {
    return at + i >= bytes.size() || fits(bytes[at + i]);
  };
  const auto equals = [](uint8_t value) { return [value](uint8_t byte) { return byte == value; }; };
  constexpr size_t kAlertRecord = kRecordHeader + 2;
  while (!later && at < bytes.size() && bytes[at] == kAlert) {
    if (!is(1, equals(3)) || !is(3, equals(0)) || !is(4, equals(2)) || !is(5, equals(1)))
      return Verdict::kNo;
    at += kAlertRecord;
  }
  *skip = static_cast<uint32_t>(at);
  if (!is(0, equals(kHandshake)) || !is(1, equals(3)) ||
      !is(2, [](uint8_t minor) { return minor <= 4; }) || !is(6, equals(0)) ||
      !is(5,
          [&](uint8_t type) { return type == kClientHello || (type == kServerHello && !later); }))
    return Verdict::kNo;
  if (at + kRecordHeader <= bytes.size()) {
    const uint16_t length = be16(&bytes[at + 3]);
    if (length < kMessageHeader || length > kMaxRecord) return Verdict::kNo;
  }
  return at + kRecordHeader + kMessageHeader <= bytes.size() ? Verdict::kYes : Verdict::kMore;
}

// Reads the record header at at_, or a whole alert or ChangeCipherSpec record.
TlsWalk::Step TlsWalk::record(Bytes bytes, uint32_t base) {
  const Bytes here = bytes.subspan(std::min<size_t>(at_ - base, bytes.size()));
  if (here.size() < kRecordHeader) return Step::kMore;
  const uint16_t length = be16(&here[3]);
  if (here[1] != 3 || length == 0 || length > kMaxRecord) return Step::kEnd;
  switch (here[0]) {
    case kAlert:  // of warning level
      if (length != 2) return Step::kEnd;
      if (here.size() < kRecordHeader + 2) return Step::kMore;
      if (here[kRecordHeader] != 1) return Step::kEnd;
      at_ = static_cast<uint16_t>(at_ + kRecordHeader + 2);
      return Step::kOn;
    case kChangeCipherSpec:
      if (length != 1 || in_message_ || after_change_) return Step::kEnd;
      if (here.size() < kRecordHeader + 1) return Step::kMore;
      if (here[kRecordHeader] != 1) return Step::kEnd;
      at_ = static_cast<uint16_t>(at_ + kRecordHeader + 1);
      after_change_ = true;
      return Step::kOn;
    case kHandshake:
      break;
    default:
      return Step::kEnd;
  }
  if (after_change_) {
    // From here on everything may be encrypted, unless it is clearly a hello. For the sake of
    // middleboxes, TLS 1.3 sends a ChangeCipherSpec between a HelloRetryRequest and the second
    // ClientHello (RFC 8446, D.4).
    const Bytes hello = here.subspan(kRecordHeader);
    if (hello.size() < kMessageHeader + 2) return Step::kMore;
    const uint32_t hello_length = static_cast<uint32_t>(hello[1]) << 16 | be16(&hello[2]);
    if ((hello[0] != kClientHello && hello[0] != kServerHello) || hello_length < 2 ||
        hello_length + kMessageHeader > length || be16(&hello[kMessageHeader]) != kTls12)
      return Step::kEnd;
    after_change_ = false;
  }
  at_ = static_cast<uint16_t>(at_ + kRecordHeader);
  record_left_ = length;
  return Step::kOn;
}

// Continues in the handshake bytes of the current record. Requires: at least one byte is there.
TlsWalk::Step TlsWalk::handshake(Bytes bytes, uint32_t base, TlsReceiver& receiver) {
  const auto take = [this](size_t n) {
    at_ = static_cast<uint16_t>(at_ + n);
    record_left_ = static_cast<uint16_t>(record_left_ - n);
  };
  const Bytes here = bytes.subspan(at_ - base);
  if (!in_message_) {
    if (!is_message_type(here[0])) return Step::kEnd;
    in_message_ = true;
    type_ = here[0];
    hello_at_ = at_;
    hello_record_left_ = record_left_;
    header_left_ = kMessageHeader;
    length_ = 0;
  }
  if (header_left_ > 0) {
    if (header_left_ == 3 && here[0] != 0) return Step::kEnd;  // longer than 65535
    if (header_left_ < 3) length_ = static_cast<uint16_t>(length_ << 8 | here[0]);
    header_left_--;
    take(1);
    message_left_ = length_;
    if (header_left_ > 0) return Step::kOn;
  } else {
    const size_t n = std::min<size_t>({message_left_, record_left_, here.size()});
    message_left_ = static_cast<uint16_t>(message_left_ - n);
    take(n);
  }
  if (message_left_ > 0) return Step::kOn;
  in_message_ = false;
  receiver.on_message();
  if (is_hello()) {
    std::array<uint8_t, FM_HEAD_BYTES> joined;
    const Bytes body = hello_body(bytes, base, joined);
    if (type_ == kClientHello)
      receiver.on_client_hello(body);
    else
      receiver.on_server_hello(body);
  }
  return Step::kOn;
}

// The body of the hello that has just ended. It is assembled in `joined` if it spans records.
Bytes TlsWalk::hello_body(Bytes bytes, uint32_t base, std::span<uint8_t> joined) const {
  size_t from = hello_at_ - base, left = hello_record_left_;
  const size_t size = kMessageHeader + length_;
  if (left >= size) return bytes.subspan(from + kMessageHeader, length_);
  for (size_t have = 0;;) {
    const size_t n = std::min(left, size - have);
    std::memcpy(&joined[have], &bytes[from], n);
    have += n;
    from += n;
    if (have == size) return Bytes(joined).subspan(kMessageHeader, length_);
    while (bytes[from] == kAlert) from += kRecordHeader + 2;
    left = be16(&bytes[from + 3]);
    from += kRecordHeader;
  }
}

bool TlsWalk::advance(Bytes bytes, uint32_t base, TlsReceiver& receiver) {
  for (;;) {
    if (at_ >= base + bytes.size()) return true;
    switch (record_left_ == 0 ? record(bytes, base) : handshake(bytes, base, receiver)) {
      case Step::kOn:
        break;
      case Step::kMore:
        return true;
      case Step::kEnd:
        return false;
    }
  }
}

}  // namespace flowmeter
