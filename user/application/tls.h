// SPDX-License-Identifier: BSD-3-Clause
// The unencrypted part of TLS: the walk over the records and handshake messages of one direction,
// and the two hellos. Reads only the given bytes. The walk keeps offsets, not payload: its owner
// keeps the stream from needs() on, and passes it again when more bytes have arrived.
#pragma once

#include <array>
#include <cstdint>

#include "application/verdict.h"

namespace flowmeter {

struct ClientHello {
  static constexpr unsigned kMaxSuites = 512;

  uint16_t version;                        // the highest one offered
  uint16_t extensions;                     // without GREASE
  uint16_t suites;                         // different ones, without GREASE
  std::array<uint16_t, kMaxSuites> suite;  // the first `suites` are set, in ascending order
};

struct ServerHello {
  uint16_t version;
  uint16_t extensions;
  uint16_t suite;
};

// GREASE values (RFC 8701) are offered at random and have no meaning.
constexpr bool is_grease(uint16_t value) {
  return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

// body: the message without its type and length. False if a length inside it does not fit.
bool parse_client_hello(Bytes body, ClientHello* hello);
bool parse_server_hello(Bytes body, ServerHello* hello);

// Where TLS may start: in the head with either hello, possibly after warning alerts; in a later
// segment only with a ClientHello at its start.
enum class TlsStart : uint8_t { kInHead, kLater };

// Whether a handshake record with a hello starts here, after *skip bytes of alerts.
Verdict tls_start(Bytes bytes, TlsStart where, uint32_t* skip);

// Receives what the walk finds.
class TlsReceiver {
 public:
  virtual void on_message() = 0;
  // A complete hello, without its type and length.
  virtual void on_client_hello(Bytes body) = 0;
  virtual void on_server_hello(Bytes body) = 0;

 protected:
  ~TlsReceiver() = default;
};

class TlsWalk {
 public:
  // offset: where the walk starts, in the direction's stream.
  TlsWalk() = default;
  explicit TlsWalk(uint32_t offset) : at_(static_cast<uint16_t>(offset)) {}

  // Continues the walk to the end of the bytes, which start at stream offset base, which is at most
  // needs(). Returns false when the walk has ended.
  bool advance(Bytes bytes, uint32_t base, TlsReceiver& receiver);

  // First stream offset that is still needed.
  uint32_t needs() const { return in_message_ && is_hello() ? hello_at_ : at_; }

 private:
  bool is_hello() const { return type_ == 1 || type_ == 2; }
  enum class Step : uint8_t { kOn, kMore, kEnd };
  Step record(Bytes bytes, uint32_t base);
  Step handshake(Bytes bytes, uint32_t base, TlsReceiver& receiver);
  Bytes hello_body(Bytes bytes, uint32_t base, std::span<uint8_t> joined) const;

  uint16_t at_ = 0;                 // offset of the next byte
  uint16_t record_left_ = 0;        // remaining handshake bytes of the record
  uint16_t hello_at_ = 0;           // where the message started
  uint16_t hello_record_left_ = 0;  // remaining bytes of its record at that point
  uint16_t length_ = 0;             // of the message
  uint16_t message_left_ = 0;
  uint8_t type_ = 0;
  uint8_t header_left_ = 0;  // remaining bytes of type and length
  bool in_message_ = false;
  bool after_change_ = false;  // a ChangeCipherSpec was seen
};

}  // namespace flowmeter
