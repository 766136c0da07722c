// SPDX-License-Identifier: BSD-3-Clause
#include "application/message_counts.h"

#include <algorithm>
#include <cstdlib>

namespace flowmeter {
namespace {

void add_saturating(uint64_t* sum, uint64_t value) {
  if (__builtin_add_overflow(*sum, value, sum)) *sum = UINT64_MAX;
}

}  // namespace

bool MessageStarts::covers(uint32_t sequence) const {
  for (unsigned i = 0; i < used_; i++)
    if (sequence - sequence_[i] < length_[i]) return true;
  return false;
}

void MessageStarts::add(uint32_t sequence, uint16_t length) {
  sequence_[next_] = sequence;
  length_[next_] = length;
  next_ = static_cast<uint8_t>((next_ + 1) % sequence_.size());
  used_ = static_cast<uint8_t>(std::min<size_t>(used_ + 1u, sequence_.size()));
}

void HttpCounts::add(const HttpMessage& message, unsigned direction, uint32_t sequence,
                     uint64_t order, uint8_t segment) {
  // A copy of a message start, or a segment that starts inside a header.
  if (starts[direction].covers(sequence)) return;
  starts[direction].add(sequence, static_cast<uint16_t>(message.header_bytes));
  first = std::min(first, order);
  add_saturating(&content_length, message.content_length);
  if (message.request) {
    requests++;
    methods.add(message.method, segment);
  } else {
    responses++;
    codes.add(message.code, segment);
  }
}

void HttpCounts::describe(ApplicationSummary& summary) const {
  summary.http_requests = requests;
  summary.http_responses = responses;
  summary.http_content_length = content_length;
  summary.http_method = methods.most_common({});
  summary.http_code = codes.most_common(0);
}

void DnsCounts::add(const DnsMessage& message) {
  if (message.response) {
    responses++;
    rcodes.add(message.rcode);
  } else if (queries++ == 0) {
    types.clear();  // those of responses
  }
  if (message.questions > 0 && (!message.response || queries == 0)) types.add(message.type);
}

void DnsCounts::describe(ApplicationSummary& summary) const {
  constexpr uint16_t kNoType = 0;
  summary.dns_queries = queries;
  summary.dns_responses = responses;
  summary.dns_type_known = !types.empty();
  summary.dns_type = types.most_common(kNoType);
  summary.dns_rcode = rcodes.most_common(0);
}

TlsCounts::Added TlsCounts::add_client_hello(Bytes body) {
  ClientHello hello;
  if (!parse_client_hello(body, &hello)) return Added::kMalformed;
  if (client) return Added::kYes;
  client = true;
  client_version = hello.version;
  client_extensions = hello.extensions;
  suite_count = hello.suites;
  if (hello.suites == 0) return Added::kYes;
  suites = static_cast<uint16_t*>(std::malloc(hello.suites * sizeof(uint16_t)));
  if (suites == nullptr) return Added::kNoMemory;
  std::copy_n(hello.suite.begin(), hello.suites, suites);
  return Added::kYes;
}

TlsCounts::Added TlsCounts::add_server_hello(Bytes body) {
  ServerHello hello;
  if (!parse_server_hello(body, &hello)) return Added::kMalformed;
  server = true;
  server_version = hello.version;
  server_extensions = hello.extensions;
  server_suite = hello.suite;
  return Added::kYes;
}

bool TlsCounts::offered(uint16_t suite) const {
  return suites ? std::binary_search(suites, suites + suite_count, suite) : agreed;
}

void TlsCounts::give_up_suites(const TlsCounts& last) {
  agreed = last.server && offered(last.server_suite);
  release();
}

void TlsCounts::release() {
  std::free(suites);
  suites = nullptr;
}

bool TlsCounts::restore(const TlsCounts& kept, ValueReader& from) {
  *this = kept;
  suites = nullptr;
  if (kept.suites == nullptr) return true;
  suites = static_cast<uint16_t*>(std::malloc(suite_count * sizeof(uint16_t)));
  return suites != nullptr && from.read_array(suites, suite_count);
}

void describe_tls(const TlsOfFlow& tls, ApplicationSummary& summary) {
  const TlsCounts& client = tls_client(tls);
  const TlsCounts& server = tls_server(tls);
  summary.tls_messages = tls[0].messages + tls[1].messages;
  summary.tls_version_known = client.client || server.server;
  summary.tls_version = server.server ? server.server_version : client.client_version;
  if (client.client) {
    summary.tls_cipher_suites += client.suite_count;
    summary.tls_extensions += client.client_extensions;
  }
  if (server.server) {
    const bool offered = client.client && client.offered(server.server_suite);
    if (!offered && !is_grease(server.server_suite)) summary.tls_cipher_suites++;
    summary.tls_extensions += server.server_extensions;
  }
}

}  // namespace flowmeter
