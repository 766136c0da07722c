// SPDX-License-Identifier: BSD-3-Clause
#include "application/head_model.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

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
  std::string bytes;  // from the start on, all that may be looked at
};

struct DnsEvent {
  When when;
  DnsMessage message;
};

struct Head {
  std::vector<std::optional<uint8_t>> bytes = std::vector<std::optional<uint8_t>>(FM_HEAD_BYTES);
  std::vector<size_t> came = std::vector<size_t>(FM_HEAD_BYTES, kNever);  // when, for each byte
  size_t end = 0;

  // When all bytes before the offset were there.
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
  void on_client_hello(Bytes body) override {
    ClientHello hello;
    if (parse_client_hello(body, &hello) && !client) client = hello;
  }
  void on_server_hello(Bytes body) override {
    ServerHello hello;
    if (parse_server_hello(body, &hello)) server = hello;
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

// Whether a segment starts where one of the last eight messages of its direction started, or inside
// the first `length` bytes of that message.
class RecentStarts {
 public:
  bool cover(uint32_t sequence) const {
    const size_t from = starts_.size() > 8 ? starts_.size() - 8 : 0;
    return std::any_of(starts_.begin() + static_cast<std::ptrdiff_t>(from), starts_.end(),
                       [&](const auto& start) { return sequence - start.first < start.second; });
  }
  void add(uint32_t sequence, uint32_t length) { starts_.push_back({sequence, length}); }

 private:
  std::vector<std::pair<uint32_t, uint32_t>> starts_;
};

// Finds all message starts with the time at which each is judged, then judges them in that order.
class Model {
 public:
  Model(const std::vector<ModelPacket>& packets, bool port_53) : port_53_(port_53) {
    for (unsigned direction = 0; direction < 2; direction++) find_starts(packets, direction);
    std::ranges::stable_sort(events_, {}, &Event::when);
    for (const Event& e : events_) {
      judge_tls(e);
      judge_http(e);
      if (port_53_ && !e.in_head && e.when < dns_stopped_[e.direction]) judge_dns(e);
    }
    std::ranges::stable_sort(dns_events_, {}, &DnsEvent::when);
  }

  ApplicationSummary summary() {
    if (const auto method = most(methods_, 8)) summary_.http_method = HttpMethod(*method);
    summary_.http_code = most(codes_, 8).value_or(0);
    summarise_tls();
    summarise_dns();
    return summary_;
  }

 private:
  struct Begin {
    size_t time, offset;
    std::string captured;
  };

  void find_starts(const std::vector<ModelPacket>& packets, unsigned direction) {
    std::optional<uint32_t> origin;
    Head head;
    std::vector<Begin> begins;
    const size_t at_end = kNever + direction;
    size_t segments = 0, closed = at_end;
    for (size_t time = 0; time < packets.size(); time++) {
      const ModelPacket& p = packets[time];
      if (p.direction != direction) continue;
      const uint32_t sequence = p.sequence + p.syn;
      if (p.syn && segments == 0) origin = sequence;
      if (p.length == 0) continue;
      if (!origin) origin = sequence;
      const std::string captured = p.captured.substr(0, p.length);
      const uint32_t offset = sequence - *origin;
      if (++segments > FM_HEAD_SEGMENTS && closed == at_end) closed = 2 * time - 1;
      if (segments > FM_HEAD_SEGMENTS || offset >= FM_HEAD_BYTES) {
        add_later({2 * time, FM_HEAD_BYTES}, direction, sequence, captured);
        continue;
      }
      begins.push_back({time, offset, captured});
      for (size_t i = 0; i < captured.size() && offset + i < FM_HEAD_BYTES; i++) {
        if (head.bytes[offset + i]) continue;
        head.bytes[offset + i] = static_cast<uint8_t>(captured[i]);
        head.came[offset + i] = time;
      }
    }
    while (head.end < FM_HEAD_BYTES && head.bytes[head.end]) head.end++;
    std::string stream;
    for (size_t i = 0; i < head.end; i++) stream += static_cast<char>(*head.bytes[i]);
    add_head(begins, head, stream, direction, origin.value_or(0), closed);
    if (port_53_) walk_dns(head, stream, direction);
  }

  void add_later(When when, unsigned direction, uint32_t sequence, const std::string& captured) {
    events_.push_back({when, direction, sequence, false, captured.substr(0, FM_START_BYTES)});
  }

  // The starts in the head; those after a hole are looked at by themselves once it is closed.
  void add_head(const std::vector<Begin>& begins, const Head& head, const std::string& stream,
                unsigned direction, uint32_t origin, size_t closed) {
    std::set<size_t> judged;
    size_t parked = 0;
    for (const Begin& b : begins) {
      const uint32_t sequence = origin + static_cast<uint32_t>(b.offset);
      if (b.offset > head.end) {
        add_later({closed, parked++}, direction, sequence, b.captured);
      } else if (b.offset < head.end && judged.insert(b.offset).second) {
        const size_t ready = std::max(b.time, head.ready(b.offset + 1));
        events_.push_back(
            {{2 * ready, b.offset}, direction, sequence, true, stream.substr(b.offset)});
      }
    }
  }

  void walk_dns(const Head& head, const std::string& stream, unsigned direction) {
    for (size_t at = 0; at + 2 <= head.end;) {
      const std::string rest = stream.substr(at);
      const uint16_t length = be16(bytes(rest).data());
      const std::string all = rest.substr(2, length);
      DnsMessage message;
      const Verdict verdict = parse_dns(bytes(all), length, &message);
      if (verdict == Verdict::kMore) return;
      size_t needed = 0;
      while (parse_dns(bytes(all.substr(0, needed)), length, &message) != verdict) needed++;
      const When when{2 * head.ready(at + 2 + needed), at};
      if (verdict == Verdict::kNo) {
        dns_stopped_[direction] = when;
        return;
      }
      dns_events_.push_back({when, message});
      at += 2 + length;
    }
  }

  void judge_tls(const Event& e) {
    uint32_t skip = 0;
    bool& begun = tls_begun_[e.direction];
    if (begun || tls_start(bytes(e.bytes), e.in_head ? TlsStart::kInHead : TlsStart::kLater,
                           &skip) != Verdict::kYes)
      return;
    begun = true;
    TlsWalk(skip).advance(bytes(e.bytes), 0, tls_[e.direction]);
  }

  void judge_http(const Event& e) {
    HttpMessage http;
    if (parse_http(bytes(e.bytes), Extent::kAll, &http) != Verdict::kYes) return;
    const unsigned sends_requests = http.request ? e.direction : !e.direction;
    RecentStarts& starts = http_starts_[e.direction];
    if (requester_.value_or(sends_requests) != sends_requests || starts.cover(e.sequence)) return;
    requester_ = sends_requests;
    starts.add(e.sequence, http.header_bytes);
    summary_.http_content_length += http.content_length;
    if (http.request) {
      summary_.http_requests++;
      methods_.push_back(http.method.text());
    } else {
      summary_.http_responses++;
      codes_.push_back(http.code);
    }
  }

  void judge_dns(const Event& e) {
    if (e.bytes.size() <= 2) return;
    const std::string all = e.bytes.substr(2, be16(bytes(e.bytes).data()));
    DnsMessage message;
    if (parse_dns(bytes(all), all.size(), &message) != Verdict::kYes || message.questions != 1 ||
        dns_starts_[e.direction].cover(e.sequence))
      return;
    dns_starts_[e.direction].add(e.sequence, 1);
    dns_events_.push_back({e.when, message});
  }

  void summarise_tls() {
    const auto& client = tls_[0].client ? tls_[0].client : tls_[1].client;
    const auto& server = tls_[1].server ? tls_[1].server : tls_[0].server;
    std::set<uint16_t> suites;
    summary_.tls_messages = tls_[0].messages + tls_[1].messages;
    summary_.tls_version_known = client || server;
    if (client) {
      suites.insert(client->suite.begin(), client->suite.begin() + client->suites);
      summary_.tls_version = client->version;
      summary_.tls_extensions += client->extensions;
    }
    if (server) {
      if (!is_grease(server->suite)) suites.insert(server->suite);
      summary_.tls_version = server->version;
      summary_.tls_extensions += server->extensions;
    }
    summary_.tls_cipher_suites = static_cast<uint32_t>(suites.size());
  }

  void summarise_dns() {
    std::vector<uint16_t> types, response_types;
    std::vector<uint8_t> rcodes;
    for (const DnsEvent& e : dns_events_) {
      (e.message.response ? summary_.dns_responses : summary_.dns_queries)++;
      if (e.message.response) rcodes.push_back(e.message.rcode);
      if (e.message.questions > 0)
        (e.message.response ? response_types : types).push_back(e.message.type);
    }
    const auto type = most(summary_.dns_queries > 0 ? types : response_types, 16);
    summary_.dns_type_known = type.has_value();
    summary_.dns_type = type.value_or(0);
    summary_.dns_rcode = most(rcodes, 16).value_or(0);
  }

  const bool port_53_;
  std::vector<Event> events_;
  std::vector<DnsEvent> dns_events_;
  When dns_stopped_[2] = {{SIZE_MAX, 0}, {SIZE_MAX, 0}};  // never
  ApplicationSummary summary_{};
  std::optional<unsigned> requester_;
  std::vector<std::string> methods_;
  std::vector<uint16_t> codes_;
  RecentStarts http_starts_[2], dns_starts_[2];
  bool tls_begun_[2] = {false, false};
  TlsFound tls_[2];
};

}  // namespace

std::string model_result(const std::vector<ModelPacket>& packets, bool port_53) {
  return text(Model(packets, port_53).summary());
}

}  // namespace flowmeter::testing
