// SPDX-License-Identifier: BSD-3-Clause
// TLS as far as it goes in clear: the walk over the records and handshake messages of one
// direction, and the two hellos. Reads only the octets given. The walk keeps offsets, not octets:
// its owner keeps the stream from needs() on and shows it again, longer, when more has come.
#pragma once

#include <array>
#include <cstdint>

#include "application/verdict.h"

namespace flowmeter {

struct ClientHello {
  static constexpr unsigned kMaxSuites = 512;

  uint16_t version;                        // the highest one offered
  uint16_t extensions;                     // GREASE left out
  uint16_t suites;                         // different ones, GREASE left out
  std::array<uint16_t, kMaxSuites> suite;  // the first `suites` are set, in ascending order
};

struct ServerHello {
  uint16_t version;
  uint16_t extensions;
  uint16_t suite;
};

// Values of GREASE (RFC 8701) are offered at random and mean nothing.
constexpr bool is_grease(uint16_t value) {
  return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

// The body of a message, without its type and length. False if a length inside does not fit.
bool parse_client_hello(Octets body, ClientHello* hello);
bool parse_server_hello(Octets body, ServerHello* hello);

// Whether, behind warning alerts, a record begins that begins with a hello; *skip is the length of
// those alerts. later: of a segment behind the head, where only a ClientHello at once will do.
Verdict tls_start(Octets octets, bool later, uint32_t* skip);

// What the walk has met.
class TlsReceiver {
 public:
  virtual void on_message() = 0;
  // A whole hello, without its type and length.
  virtual void on_hello(bool from_client, Octets body) = 0;

 protected:
  ~TlsReceiver() = default;
};

class TlsWalk {
 public:
  // Offsets are those of the direction's stream.
  TlsWalk() = default;
  explicit TlsWalk(uint32_t offset) : at_(static_cast<uint16_t>(offset)) {}

  // Goes on over the stream as far as it is there: octets begin at stream offset base, which is at
  // most needs(). Returns false when the walk has ended.
  bool advance(Octets octets, uint32_t base, TlsReceiver& receiver);

  // First stream offset that is still needed.
  uint32_t needs() const { return in_message_ && is_hello() ? hello_at_ : at_; }

 private:
  bool is_hello() const { return type_ == 1 || type_ == 2; }
  enum class Step : uint8_t { kOn, kMore, kEnd };
  Step record(Octets octets, uint32_t base);
  Step handshake(Octets octets, uint32_t base, TlsReceiver& receiver);
  Octets hello_body(Octets octets, uint32_t base, std::span<uint8_t> joined) const;

  uint16_t at_ = 0;                 // next octet
  uint16_t record_left_ = 0;        // handshake octets of the record that are still to come
  uint16_t hello_at_ = 0;           // where the message began, and
  uint16_t hello_record_left_ = 0;  // what its record had left there
  uint16_t length_ = 0;             // of the message
  uint16_t message_left_ = 0;
  uint8_t type_ = 0;
  uint8_t header_left_ = 0;  // of the four octets of type and length
  bool in_message_ = false;
  bool after_change_ = false;  // behind a ChangeCipherSpec
};

}  // namespace flowmeter
