// SPDX-License-Identifier: BSD-3-Clause
// Totals of the HTTP, TLS and DNS messages of a flow. Trivially copyable, so that it can be kept in
// pools. Starts as {}.
#pragma once

#include <array>
#include <cstdint>

#include "application/application_summary.h"
#include "application/dns.h"
#include "application/http.h"
#include "application/tally.h"
#include "application/tls.h"
#include "base/value_bytes.h"

namespace flowmeter {

// The last message starts of a direction, to recognise copies of them: where each message started,
// and how many bytes from there on cannot start another message.
class MessageStarts {
 public:
  bool covers(uint32_t sequence) const;
  void add(uint32_t sequence, uint16_t length);

 private:
  std::array<uint32_t, 8> sequence_;
  std::array<uint16_t, 8> length_;
  uint8_t used_ = 0;
  uint8_t next_ = 0;
};

// HTTP, assuming that one given direction sends the requests. The first counted message determines
// which direction that is, and it may be known only when the heads close.
struct HttpCounts {
  uint64_t first = UINT64_MAX;  // order of the first message
  uint64_t requests, responses, content_length;
  Tally<HttpMethod, 8> methods;
  Tally<uint16_t, 8> codes;
  std::array<MessageStarts, 2> starts;  // [direction]: with their headers

  // order: the position among all events of the flow. segment: the segment of the direction with
  // which the stream reached the message.
  void add(const HttpMessage& message, unsigned direction, uint32_t sequence, uint64_t order,
           uint8_t segment);
  void describe(ApplicationSummary& summary) const;
};

struct alignas(64) DnsCounts {
  uint64_t queries, responses;
  Tally<uint16_t, 16> types;  // of queries, or of responses as long as there is no query
  Tally<uint8_t, 16> rcodes;
  std::array<uint32_t, 2> next;  // TCP: offset of the next message in the head
  std::array<MessageStarts, 2> later;

  void add(const DnsMessage& message);
  void describe(ApplicationSummary& summary) const;
};

// TLS of one direction.
struct TlsCounts {
  enum class Added : uint8_t { kYes, kMalformed, kNoMemory };

  uint64_t messages;
  uint16_t* suites;  // of the first ClientHello, ascending, as long as a ServerHello may come
  uint16_t suite_count;
  uint16_t client_version, client_extensions;
  uint16_t server_version, server_extensions, server_suite;  // of the last ServerHello
  bool client, server;
  bool agreed;  // once suites were freed: the suite of the last ServerHello was among them

  Added add_client_hello(Bytes body);
  Added add_server_hello(Bytes body);
  bool offered(uint16_t suite) const;
  // No further ServerHello can arrive: notes in `agreed` whether the last suite was offered, and
  // frees the offered suites.
  void give_up_suites(const TlsCounts& server);
  void release();
  // Takes over what was kept of another one; its suites are read. False if they are incomplete.
  bool restore(const TlsCounts& kept, ValueReader& from);
};

using TlsOfFlow = std::array<TlsCounts, 2>;  // [direction]

// The directions of the hellos: a client is expected to send forward, a server backward.
inline const TlsCounts& tls_client(const TlsOfFlow& tls) {
  return tls[tls[0].client ? 0 : 1];
}
inline const TlsCounts& tls_server(const TlsOfFlow& tls) {
  return tls[tls[1].server ? 1 : 0];
}
void describe_tls(const TlsOfFlow& tls, ApplicationSummary& summary);

}  // namespace flowmeter
