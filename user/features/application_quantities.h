// SPDX-License-Identifier: BSD-3-Clause
// The quantities of HTTP, TLS and DNS, from a flow's payload. Their cells are empty if some of the
// payload was lost.
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
                 }} {
    may_be_empty = true;
  }
};

// ---- HTTP ----

inline constexpr ApplicationQuantity kHttpRequests{kNone,
                                                   "HTTP/1.0 and 1.1 requests that were started",
                                                   [](Summary a) { return a.http_requests; }};
inline constexpr ApplicationQuantity kHttpResponses{
    kNone, "HTTP/1.0 and 1.1 responses that were started, 1xx included",
    [](Summary a) { return a.http_responses; }};
inline constexpr ApplicationQuantity kHttpMethod{
    kText, "most common request method, the first seen among equals; NONE without requests",
    [](Summary a) {
      const std::string method = a.http_method.text();
      return Cell(method.empty() ? std::string_view("NONE") : method);
    }};
inline constexpr ApplicationQuantity kHttpCode{
    kNone, "most common status, the first seen among equals; 0 without responses",
    [](Summary a) { return a.http_code; }};
inline constexpr ApplicationQuantity kHttpContentLength{
    kBytes, "sum of the Content-Length values of these requests and responses",
    [](Summary a) -> Cell {
      // A peer can make the sum reach its limit, which must not look like -1.
      if (a.http_content_length == UINT64_MAX) return std::string_view("18446744073709551615");
      return a.http_content_length;
    },
    ColumnType::kInteger};

// ---- TLS ----

inline constexpr ApplicationQuantity kTlsMessages{
    kNone, "unencrypted handshake messages in both directions",
    [](Summary a) { return a.tls_messages; }};
inline constexpr ApplicationQuantity kTlsVersion{
    kText,
    "the version agreed on (0x0304 is TLS 1.3), else the highest one offered; NONE without TLS",
    [](Summary a) -> Cell {
      if (!a.tls_version_known) return std::string_view("NONE");
      constexpr char kDigits[] = "0123456789abcdef";
      char text[] = "0x0000";
      for (int i = 0; i < 4; i++) text[5 - i] = kDigits[a.tls_version >> 4 * i & 0xf];
      return std::string_view(text);
    }};
inline constexpr ApplicationQuantity kTlsCipherSuites{
    kNone, "different cipher suites offered or chosen, without GREASE",
    [](Summary a) { return a.tls_cipher_suites; }};
inline constexpr ApplicationQuantity kTlsExtensions{
    kNone, "extensions in ClientHello and ServerHello, without GREASE",
    [](Summary a) { return a.tls_extensions; }};

// ---- DNS ----

inline constexpr ApplicationQuantity kDnsQueries{kNone, "DNS queries on port 53",
                                                 [](Summary a) { return a.dns_queries; }};
inline constexpr ApplicationQuantity kDnsResponses{
    kNone, "DNS responses on port 53, including those without a record",
    [](Summary a) { return a.dns_responses; }};
inline constexpr ApplicationQuantity kDnsQueryType{
    kText,
    "most common query type (1 is A, 28 AAAA), the first seen among equals; NONE without queries",
    [](Summary a) -> Cell {
      if (!a.dns_type_known) return std::string_view("NONE");
      char text[12];
      const char* end = std::to_chars(text, text + sizeof(text), a.dns_type).ptr;
      return std::string_view(text, static_cast<size_t>(end - text));
    }};
inline constexpr ApplicationQuantity kDnsCode{
    kNone, "most common response code, the first seen among equals; also 0 without responses",
    [](Summary a) { return a.dns_rcode; }};

}  // namespace flowmeter::quantities
