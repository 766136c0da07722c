// SPDX-License-Identifier: BSD-3-Clause
#include "application/head_model.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "application/messages.h"

namespace flowmeter::testing {
namespace {

constexpr size_t kNever = SIZE_MAX / 4;

// When something is judged: time of a packet, doubled (odd: before it), then a number.
using When = std::pair<size_t, size_t>;

struct Event {
  When when;
  unsigned direction;
  uint32_t sequence;
  bool in_head;
  std::string octets;  // from the start on, all that may be looked at
};

struct DnsEvent {
  When when;
  DnsMessage message;
};

struct Head {
  std::vector<std::optional<uint8_t>> octets = std::vector<std::optional<uint8_t>>(kHeadOctets);
  std::vector<size_t> came = std::vector<size_t>(kHeadOctets, kNever);  // when, for each octet
  size_t end = 0;

  // When all octets before the offset were there.
  size_t ready(size_t offset) const {
    size_t latest = 0;
    for (size_t i = 0; i < offset; i++) latest = std::max(latest, came[i]);
    return latest;
  }
};

struct TlsFound final : TlsReceiver {
  uint64_t messages = 0;
  std::optional<ClientHello> client;
  std::optional<ServerHello> server;

  void on_message() override { messages++; }
  void on_hello(bool from_client, Octets body) override {
    ClientHello c;
    ServerHello s;
    if (from_client && parse_client_hello(body, &c) && !client) client = c;
    if (!from_client && parse_server_hello(body, &s)) server = s;
  }
};

template <typename Value>
std::optional<Value> most(const std::vector<Value>& seen, size_t different) {
  std::vector<std::pair<Value, size_t>> counts;
  for (const Value& v : seen) {
    const auto at = std::ranges::find(counts, v, &std::pair<Value, size_t>::first);
    if (at != counts.end())
      at->second++;
    else if (counts.size() < different)
      counts.push_back({v, 1});
  }
  const auto best = std::ranges::max_element(counts, {}, &std::pair<Value, size_t>::second);
  return best == counts.end() ? std::nullopt : std::optional(best->first);
}

}  // namespace

std::string model_result(const std::vector<ModelPacket>& packets, bool port_53) {
  std::vector<Event> events;
  std::vector<DnsEvent> dns_events;
  When dns_stopped[2] = {{SIZE_MAX, 0}, {SIZE_MAX, 0}};  // never

  for (unsigned direction = 0; direction < 2; direction++) {
    std::optional<uint32_t> origin;
    Head head;
    struct Begin {
      size_t time, offset;
      std::string captured;
    };
    std::vector<Begin> begins;
    const size_t at_end = kNever + direction;
    size_t segments = 0, closed = at_end;
    const auto later = [&](When when, uint32_t sequence, const std::string& captured) {
      events.push_back({when, direction, sequence, false, captured.substr(0, kStartOctets)});
    };
    for (size_t time = 0; time < packets.size(); time++) {
      const ModelPacket& p = packets[time];
      if (p.direction != direction) continue;
      const uint32_t sequence = p.sequence + p.syn;
      if (p.syn && segments == 0) origin = sequence;
      if (p.length == 0) continue;
      if (!origin) origin = sequence;
      const std::string captured = p.captured.substr(0, p.length);
      if (++segments > kHeadSegments) {
        if (closed == at_end) closed = 2 * time - 1;
        later({2 * time, kHeadOctets}, sequence, captured);
        continue;
      }
      const uint32_t offset = sequence - *origin;
      if (offset >= kHeadOctets) {
        later({2 * time, kHeadOctets}, sequence, captured);
        continue;
      }
      begins.push_back({time, offset, captured});
      for (size_t i = 0; i < captured.size() && offset + i < kHeadOctets; i++) {
        if (head.octets[offset + i]) continue;
        head.octets[offset + i] = static_cast<uint8_t>(captured[i]);
        head.came[offset + i] = time;
      }
    }
    while (head.end < kHeadOctets && head.octets[head.end]) head.end++;
    std::string stream;
    for (size_t i = 0; i < head.end; i++) stream += static_cast<char>(*head.octets[i]);

    std::set<size_t> judged;
    size_t parked = 0;
    for (const Begin& b : begins) {
      if (b.offset > head.end) {
        later({closed, parked++}, *origin + static_cast<uint32_t>(b.offset), b.captured);
      } else if (b.offset < head.end && judged.insert(b.offset).second) {
        const size_t ready = std::max(b.time, head.ready(b.offset + 1));
        events.push_back({{2 * ready, b.offset},
                          direction,
                          *origin + static_cast<uint32_t>(b.offset),
                          true,
                          stream.substr(b.offset)});
      }
    }
    for (size_t at = 0; port_53 && at + 2 <= head.end;) {
      const std::string rest = stream.substr(at);
      const uint16_t length = be16(octets(rest).data());
      const std::string all = rest.substr(2, length);
      DnsMessage message;
      const Verdict verdict = parse_dns(octets(all), length, &message);
      if (verdict == Verdict::kMore) break;
      size_t needed = 0;
      while (parse_dns(octets(all.substr(0, needed)), length, &message) != verdict) needed++;
      const When when{2 * head.ready(at + 2 + needed), at};
      if (verdict == Verdict::kNo) {
        dns_stopped[direction] = when;
        break;
      }
      dns_events.push_back({when, message});
      at += 2 + length;
    }
  }
  std::ranges::stable_sort(events, {}, &Event::when);

  ApplicationSummary summary{};
  std::optional<unsigned> requester;
  std::vector<std::string> methods;
  std::vector<uint16_t> codes;
  std::vector<uint32_t> http_starts[2], dns_starts[2];
  std::vector<uint32_t> header_octets[2];
  bool tls_begun[2] = {false, false};
  TlsFound tls[2];
  // Whether a segment begins where one of the last eight messages began or, of HTTP, in its header.
  const auto known = [](const std::vector<uint32_t>& starts, uint32_t sequence,
                        const std::vector<uint32_t>& lengths = {}) {
    for (size_t i = starts.size() > 8 ? starts.size() - 8 : 0; i < starts.size(); i++)
      if (sequence - starts[i] < (lengths.empty() ? 1 : lengths[i])) return true;
    return false;
  };
  for (const Event& e : events) {
    const unsigned d = e.direction;
    uint32_t skip = 0;
    if (!tls_begun[d] && tls_start(octets(e.octets), !e.in_head, &skip) == Verdict::kYes) {
      tls_begun[d] = true;
      TlsWalk walk(skip);
      walk.advance(octets(e.octets), 0, tls[d]);
    }
    HttpMessage http;
    if (parse_http(octets(e.octets), true, &http) == Verdict::kYes) {
      const unsigned sends_requests = http.request ? d : !d;
      if (requester.value_or(sends_requests) == sends_requests &&
          !known(http_starts[d], e.sequence, header_octets[d])) {
        requester = sends_requests;
        http_starts[d].push_back(e.sequence);
        header_octets[d].push_back(http.header_octets);
        summary.http_content_length += http.content_length;
        if (http.request) {
          summary.http_requests++;
          methods.push_back(http.method.text());
        } else {
          summary.http_responses++;
          codes.push_back(http.code);
        }
      }
    }
    if (port_53 && !e.in_head && e.when < dns_stopped[d] && e.octets.size() > 2) {
      const std::string all = e.octets.substr(2, be16(octets(e.octets).data()));
      DnsMessage message;
      if (parse_dns(octets(all), all.size(), &message) == Verdict::kYes && message.questions == 1 &&
          !known(dns_starts[d], e.sequence)) {
        dns_starts[d].push_back(e.sequence);
        dns_events.push_back({e.when, message});
      }
    }
  }

  if (const auto method = most(methods, 8)) summary.http_method = HttpMethod(octets(*method));
  summary.http_code = most(codes, 8).value_or(0);

  const auto& client = tls[0].client ? tls[0].client : tls[1].client;
  const auto& server = tls[1].server ? tls[1].server : tls[0].server;
  std::set<uint16_t> suites;
  summary.tls_messages = tls[0].messages + tls[1].messages;
  summary.tls_version_known = client || server;
  if (client) {
    suites.insert(client->suite.begin(), client->suite.begin() + client->suites);
    summary.tls_version = client->version;
    summary.tls_extensions += client->extensions;
  }
  if (server) {
    if (!is_grease(server->suite)) suites.insert(server->suite);
    summary.tls_version = server->version;
    summary.tls_extensions += server->extensions;
  }
  summary.tls_cipher_suites = static_cast<uint32_t>(suites.size());

  std::ranges::stable_sort(dns_events, {}, &DnsEvent::when);
  std::vector<uint16_t> types, response_types;
  std::vector<uint8_t> rcodes;
  for (const DnsEvent& e : dns_events) {
    (e.message.response ? summary.dns_responses : summary.dns_queries)++;
    if (e.message.response) rcodes.push_back(e.message.rcode);
    if (e.message.questions > 0)
      (e.message.response ? response_types : types).push_back(e.message.type);
  }
  const auto type = most(summary.dns_queries > 0 ? types : response_types, 16);
  summary.dns_type_known = type.has_value();
  summary.dns_type = type.value_or(0);
  summary.dns_rcode = most(rcodes, 16).value_or(0);
  return text(summary);
}

}  // namespace flowmeter::testing
