// SPDX-License-Identifier: BSD-3-Clause
// What a flow's payload says: the quantities of HTTP, TLS and DNS. Their cells are empty where some
// of the payload was lost.
#pragma once

#include <charconv>
#include <string>

#include "features/column.h"

namespace flowmeter::quantities {

using enum Unit;
using Summary = const ApplicationSummary&;

template <typename Read>
struct ApplicationQuantity : Quantity {
  constexpr ApplicationQuantity(Unit the_unit, std::string_view the_text, Read,
                                ColumnType the_type = kTypeOf<std::invoke_result_t<Read, Summary>>)
      : Quantity{the_type, the_unit, Way::kBoth, the_text, [](const FlowRecord& f) -> Cell {
                   static constexpr ApplicationSummary kNothing{};
                   Summary a = f.application ? *f.application : kNothing;
                   return a.unknown ? Cell(std::string_view{}) : Cell(Read{}(a));
                 }} {}
};

// ---- HTTP ----

inline constexpr ApplicationQuantity kHttpRequests{kNone, "HTTP/1.0 and 1.1 requests begun",
                                                   [](Summary a) { return a.http_requests; }};
inline constexpr ApplicationQuantity kHttpResponses{
    kNone, "HTTP/1.0 and 1.1 responses begun, 1xx included",
    [](Summary a) { return a.http_responses; }};
inline constexpr ApplicationQuantity kHttpMethod{
    kText, "method of most requests, of equals the one seen first; NONE", [](Summary a) {
      const std::string method = a.http_method.text();
      return Cell(method.empty() ? std::string_view("NONE") : method);
    }};
inline constexpr ApplicationQuantity kHttpCode{
    kNone, "status of most responses, of equals the one seen first; 0 without",
    [](Summary a) { return a.http_code; }};
inline constexpr ApplicationQuantity kHttpContentLength{
    kBytes, "sum of the Content-Length values of the requests and responses counted",
    [](Summary a) -> Cell {
      // A peer can make the sum reach its limit, which must not look like -1.
      if (a.http_content_length == UINT64_MAX) return std::string_view("18446744073709551615");
      return a.http_content_length;
    },
    ColumnType::kInteger};

// ---- TLS ----

inline constexpr ApplicationQuantity kTlsMessages{
    kNone, "handshake messages of both directions that are not encrypted",
    [](Summary a) { return a.tls_messages; }};
inline constexpr ApplicationQuantity kTlsVersion{
    kText, "the version agreed (0x0304 is TLS 1.3), else the highest that was offered; NONE",
    [](Summary a) -> Cell {
      if (!a.tls_version_known) return std::string_view("NONE");
      constexpr char kDigits[] = "0123456789abcdef";
      char text[] = "0x0000";
      for (int i = 0; i < 4; i++) text[5 - i] = kDigits[a.tls_version >> 4 * i & 0xf];
      return std::string_view(text);
    }};
inline constexpr ApplicationQuantity kTlsCipherSuites{
    kNone, "different cipher suites offered or chosen, GREASE left out",
    [](Summary a) { return a.tls_cipher_suites; }};
inline constexpr ApplicationQuantity kTlsExtensions{
    kNone, "extensions of ClientHello and ServerHello, GREASE left out",
    [](Summary a) { return a.tls_extensions; }};

// ---- DNS ----

inline constexpr ApplicationQuantity kDnsQueries{kNone, "DNS messages of port 53 that ask",
                                                 [](Summary a) { return a.dns_queries; }};
inline constexpr ApplicationQuantity kDnsResponses{
    kNone, "DNS messages of port 53 that answer, also without a record",
    [](Summary a) { return a.dns_responses; }};
inline constexpr ApplicationQuantity kDnsQueryType{
    kText, "type of most queries (1 is A, 28 AAAA), of equals the one seen first; NONE",
    [](Summary a) -> Cell {
      if (!a.dns_type_known) return std::string_view("NONE");
      char text[12];
      const char* end = std::to_chars(text, text + sizeof(text), a.dns_type).ptr;
      return std::string_view(text, static_cast<size_t>(end - text));
    }};
inline constexpr ApplicationQuantity kDnsCode{
    kNone, "code of most responses, of equals the one seen first; 0 also without a response",
    [](Summary a) { return a.dns_rcode; }};

}  // namespace flowmeter::quantities
