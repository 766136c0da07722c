// SPDX-License-Identifier: BSD-3-Clause
#include "application/application_layer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace flowmeter {
namespace {

constexpr uint8_t kTlsAlert = 0x15, kTlsHandshake = 0x16;

void add_saturating(uint64_t* sum, uint64_t value) {
  if (__builtin_add_overflow(*sum, value, sum)) *sum = UINT64_MAX;
}

}  // namespace

bool ApplicationLayer::Starts::covers(uint32_t number) const {
  for (unsigned i = 0; i < used; i++)
    if (number - sequence[i] < octets[i]) return true;
  return false;
}

void ApplicationLayer::Starts::add(uint32_t number, uint16_t length) {
  sequence[next] = number;
  octets[next] = length;
  next = static_cast<uint8_t>((next + 1) % sequence.size());
  used = static_cast<uint8_t>(std::min<size_t>(used + 1u, sequence.size()));
}

// Hands what a TLS walk meets to the direction it walks in.
class ApplicationLayer::Messages final : public TlsReceiver {
 public:
  Messages(ApplicationLayer& layer, Place place) : layer_(layer), place_(place) {}
  void on_message() override {
    if (Details* details = layer_.details_of(place_.flow))
      details->tls[place_.direction].messages++;
  }
  void on_hello(bool from_client, Octets body) override {
    layer_.count_hello(place_, from_client, body);
  }

 private:
  ApplicationLayer& layer_;
  Place place_;
};

ApplicationLayer::ApplicationLayer(uint32_t max_flows, size_t max_head_bytes)
    : details_(max_flows),
      http_(max_flows * 2),
      dns_(max_flows),
      heads_(static_cast<uint32_t>(
          std::min<size_t>(max_head_bytes / sizeof(StreamHead) + 2, UINT32_MAX - 1))),
      max_head_bytes_(max_head_bytes) {}

ApplicationLayer::~ApplicationLayer() {
  for (uint32_t head = oldest_head_; head != kNone; head = heads_[head].newer)
    heads_[head].release();
}

// ---- state of a flow, made when first needed: there is a slot for each flow in these pools -----

ApplicationLayer::Details* ApplicationLayer::details_of(Flow& flow) {
  if (flow.details == kNone) {
    flow.details = details_.take();
    details_[flow.details] = {{kNone, kNone}, {kNone, kNone}, {}, {}};
  }
  return &details_[flow.details];
}

ApplicationLayer::Http* ApplicationLayer::http_of(Flow& flow, unsigned requester) {
  uint32_t& slot = details_of(flow)->http[requester];
  if (slot == kNone) {
    slot = http_.take();
    http_[slot] = {};
    http_[slot].first = UINT64_MAX;
  }
  return &http_[slot];
}

ApplicationLayer::Dns* ApplicationLayer::dns_of(Flow& flow) {
  if (flow.dns == kNone) {
    flow.dns = dns_.take();
    dns_[flow.dns] = {};
  }
  return &dns_[flow.dns];
}

StreamHead* ApplicationLayer::head_of(const Flow& flow, unsigned direction) {
  if (flow.details == kNone) return nullptr;
  const uint32_t head = details_[flow.details].head[direction];
  return head == kNone ? nullptr : &heads_[head];
}

// ---- packets -----------------------------------------------------------------------------------

bool ApplicationLayer::starts(Octets octets, bool port_53) {
  uint8_t first[FM_START_TEST_OCTETS] = {};
  const size_t n = std::min(octets.size(), sizeof first);
  if (n == 0) return false;
  std::memcpy(first, octets.data(), n);
  return fm_application_starts(first, static_cast<unsigned>(n), port_53);
}

void ApplicationLayer::udp(Flow& flow, const Payload& payload) noexcept {
  if (payload.length == 0) return;
  DnsMessage message;
  const size_t size =
      std::min({payload.octets.size(), size_t{payload.length}, size_t{kDatagramOctets}});
  if (parse_dns(payload.octets.first(size), size, &message) == Verdict::kYes)
    count_dns(*dns_of(flow), message);
  else
    statistics_.malformed_dns++;
}

void ApplicationLayer::lost(Flow& flow) noexcept {
  statistics_.records_lost++;
  set_unknown(flow);
}

void ApplicationLayer::add_segment(Flow& flow, bool port_53, const Payload& payload, bool later) {
  const unsigned direction = payload.direction & 1;
  const Place place{flow, direction};
  uint8_t& flags = flow.flags[direction];
  uint8_t& segments = flow.segments[direction];
  flow.packets++;
  if (port_53) flags |= kPort53;

  uint32_t sequence = payload.sequence;
  if (payload.syn) {
    sequence++;
    if (segments == 0) {
      flow.origin[direction] = sequence;
      flags |= kOriginKnown;
    }
  }
  if (payload.length == 0) return;
  const Octets octets =
      payload.octets.first(std::min(payload.octets.size(), size_t{payload.length}));

  if ((flags & kClosed) == 0 && (later || segments == kHeadSegments)) close_head(flow, direction);
  if ((flags & kClosed) != 0) {
    look_at_start(place, sequence, octets, uint64_t{flow.packets} << 16 | 0xffff);
    return;
  }
  if (segments == 0 && (flags & kOriginKnown) == 0) flow.origin[direction] = sequence;
  const uint32_t offset = sequence - flow.origin[direction];
  segments++;
  if (offset < kHeadOctets) {
    add_to_head(place, offset, octets);
  } else {
    flow.begins[direction][segments - 1u] = Flow::kNowhere;
    look_at_start(place, sequence, octets, uint64_t{flow.packets} << 16);
  }
  if (segments == kHeadSegments && (flags & kClosed) == 0) {
    // No more of the head can come. What is parked waits for its turn, the next segment.
    const StreamHead* head = head_of(flow, direction);
    if (head == nullptr || !head->parked_behind(flow.end[direction])) close_head(flow, direction);
  }
}

void ApplicationLayer::add_to_head(Place place, uint32_t offset, Octets octets) {
  auto& [flow, direction] = place;
  const auto begins = flow.begins[direction].begin();
  const auto here = begins + (flow.segments[direction] - 1);
  const bool new_begin = std::find(begins, here, offset) == here;
  *here = static_cast<uint16_t>(offset);

  uint32_t end = flow.end[direction];
  if (offset <= end) {
    const size_t size = std::min<size_t>(octets.size(), kHeadOctets - offset);
    add_in_order(place, offset, octets.first(size), new_begin);
  } else if (!octets.empty() && (head_of(flow, direction) || open_head(place, end))) {
    keep(place, offset, octets, &end);
  }
}

// A segment that begins in the stream so far or at its end.
void ApplicationLayer::add_in_order(Place place, uint32_t offset, Octets octets, bool new_begin) {
  auto& [flow, direction] = place;
  const uint32_t from = flow.end[direction];
  uint32_t to = offset + static_cast<uint32_t>(octets.size());
  const Candidate begin{uint64_t{flow.packets} << 16 | offset, static_cast<uint16_t>(offset),
                        flow.segments[direction]};
  new_begin &= offset < from && !octets.empty();

  StreamHead* head = head_of(flow, direction);
  if (new_begin && (head ? offset < head->base() : to < from)) {
    judge_copy(place, octets, begin);
    new_begin = false;
  }
  if (head == nullptr) {
    // Nothing is kept: the segment is parsed where it lies.
    if (to < from || (to == from && !new_begin)) return;
    Candidates candidates;
    const uint32_t base = new_begin ? offset : from;
    if (new_begin) candidates.push(begin);
    push_begins(place, from, to, &candidates);
    flow.end[direction] = static_cast<uint16_t>(to);
    const uint32_t needed =
        parse(place, octets.subspan(base - offset), base, candidates, to == kHeadOctets);
    if (needed >= to) return;
    head = open_head(place, needed);
    if (head == nullptr) return;
    head->candidates = candidates;
    uint32_t end = needed;
    keep(place, needed, octets.subspan(needed - offset), &end);
    return;
  }
  if (offset < head->base()) {
    octets = octets.subspan(std::min<size_t>(head->base() - offset, octets.size()));
    offset = head->base();
  }
  if (new_begin) head->candidates.push(begin);
  to = from;
  if (!keep(place, offset, octets, &to)) return;
  flow.end[direction] = static_cast<uint16_t>(to);
  push_begins(place, from, to, &head->candidates);
  const bool all = to == kHeadOctets;
  const uint32_t needed = parse(place, head->from_base(to), head->base(), head->candidates, all);
  if (needed >= to && !head->parked_behind(to)) free_head(flow, direction);
}

// Of the segments so far, those that began from … to, which has just become part of the stream.
void ApplicationLayer::push_begins(Place place, uint32_t from, uint32_t to,
                                   Candidates* candidates) {
  auto& [flow, direction] = place;
  const auto& begins = flow.begins[direction];
  for (;;) {
    uint32_t least = to;
    for (unsigned i = 0; i < flow.segments[direction]; i++)
      if (begins[i] >= from && begins[i] < least) least = begins[i];
    if (least == to) return;
    candidates->push({uint64_t{flow.packets} << 16 | least, static_cast<uint16_t>(least),
                      flow.segments[direction]});
    from = least + 1;
  }
}

// ---- the head ----------------------------------------------------------------------------------

// Parses the stream from base on; all: it ends there. Returns the first offset still needed, or the
// end.
uint32_t ApplicationLayer::parse(Place place, Octets octets, uint32_t base, Candidates& candidates,
                                 bool all) {
  auto& [flow, direction] = place;
  uint32_t needed = base + static_cast<uint32_t>(octets.size());
  while (!candidates.empty()) {
    const Candidate& next = candidates.front();
    if (judge(place, octets.subspan(next.offset - base), next, all) == Verdict::kMore) {
      needed = std::min(needed, candidates.least_offset());
      break;
    }
    candidates.pop();
  }
  if ((flow.flags[direction] & kTlsWalking) != 0) {
    TlsWalk& walk = details_of(flow)->walk[direction];
    Messages messages(*this, place);
    if (walk.advance(octets, base, messages) && !all)
      needed = std::min(needed, walk.needs());
    else
      flow.flags[direction] &= static_cast<uint8_t>(~kTlsWalking);
  }
  if ((flow.flags[direction] & (kPort53 | kDnsStopped)) == kPort53) {
    walk_dns(place, octets, base);
    if (!all && (flow.flags[direction] & kDnsStopped) == 0)
      needed = std::min(needed, dns_of(flow)->next[direction]);
  }
  return needed;
}

// Whether a message begins with these octets of the head; counts it. Never kMore if they are all.
Verdict ApplicationLayer::judge(Place place, Octets octets, const Candidate& candidate, bool all) {
  auto& [flow, direction] = place;
  const uint8_t first = octets[0];
  if (first == kTlsHandshake || first == kTlsAlert) {
    if ((flow.flags[direction] & kTlsBegun) != 0) return Verdict::kNo;
    uint32_t skip;
    const Verdict start = tls_start(octets, false, &skip);
    if (start != Verdict::kYes) return all ? Verdict::kNo : start;
    flow.flags[direction] |= kTlsBegun | kTlsWalking;
    details_of(flow)->walk[direction] = TlsWalk(candidate.offset + skip);
    return Verdict::kYes;
  }
  if (first < 'A' || first > 'Z') return Verdict::kNo;
  HttpMessage message;
  const Verdict start = parse_http(octets, all, &message);
  if (start == Verdict::kYes)
    count_http(place, message, flow.origin[direction] + candidate.offset, candidate.order,
               candidate.segment);
  return start;
}

// A copy that begins inside of octets that are no longer kept, because no message was being read
// there: its own octets have to do.
void ApplicationLayer::judge_copy(Place place, Octets octets, const Candidate& candidate) {
  auto& [flow, direction] = place;
  const uint8_t before = flow.flags[direction];
  judge(place, octets, candidate, true);
  if (((flow.flags[direction] ^ before) & kTlsWalking) == 0) return;
  Messages messages(*this, place);
  details_of(flow)->walk[direction].advance(octets, candidate.offset, messages);
  flow.flags[direction] &= static_cast<uint8_t>(~kTlsWalking);
}

void ApplicationLayer::walk_dns(Place place, Octets octets, uint32_t base) {
  Dns& dns = *dns_of(place.flow);
  uint32_t& next = dns.next[place.direction];
  while (next < base + octets.size()) {
    const Octets here = octets.subspan(next - base);
    if (here.size() < 2) return;
    const uint16_t length = be16(here.data());
    const size_t size = std::min<size_t>(length, here.size() - 2);
    DnsMessage message;
    const Verdict verdict = parse_dns(here.subspan(2, size), length, &message);
    if (verdict == Verdict::kMore) return;
    if (verdict == Verdict::kNo) {
      statistics_.malformed_dns++;
      place.flow.flags[place.direction] |= kDnsStopped;
      return;
    }
    count_dns(dns, message);
    next += 2u + length;
  }
}

void ApplicationLayer::close_head(Flow& flow, unsigned direction) {
  const Place place{flow, direction};
  if (StreamHead* head = head_of(flow, direction)) {
    const uint32_t end = flow.end[direction];
    if (end > head->base())
      parse(place, head->from_base(end), head->base(), head->candidates, true);
    flow.flags[direction] |= kClosed;
    uint64_t order = uint64_t{flow.packets} << 16 | kHeadOctets;
    head->visit_parked(end, [&](uint32_t offset, Octets octets) {
      look_at_start(place, flow.origin[direction] + offset, octets, order++);
    });
    free_head(flow, direction);
  }
  flow.flags[direction] |= kClosed;
  flow.flags[direction] &= static_cast<uint8_t>(~kTlsWalking);
  if ((flow.flags[0] & flow.flags[1] & kClosed) != 0) settle(flow);
}

void ApplicationLayer::settle(Flow& flow) {
  flow.flags[0] |= kSettled;
  if (flow.details == kNone) return;
  Details& details = details_[flow.details];
  if (details.http[0] != kNone && details.http[1] != kNone) {
    uint32_t& refuted = details.http[!requester(details)];
    http_.give_back(refuted);
    refuted = kNone;
  }
  free_suites(flow);
}

// Gives up the suites that were offered once no ServerHello can come any more.
void ApplicationLayer::free_suites(Flow& flow) {
  Details& details = details_[flow.details];
  if (!details.tls[1].server && (flow.flags[0] & flow.flags[1] & kTlsBegun) == 0) return;
  const Tls& server = details.tls[details.tls[1].server ? 1 : 0];
  for (Tls& tls : details.tls) {
    tls.agreed = server.server && has_suite(tls, server.server_suite);
    std::free(tls.suites);
    tls.suites = nullptr;
  }
}

unsigned ApplicationLayer::requester(const Details& details) const {
  if (details.http[0] == kNone) return 1;
  if (details.http[1] == kNone) return 0;
  return http_[details.http[0]].first < http_[details.http[1]].first ? 0 : 1;
}

// ---- later segments ----------------------------------------------------------------------------

void ApplicationLayer::look_at_start(Place place, uint32_t sequence, Octets octets,
                                     uint64_t order) {
  auto& [flow, direction] = place;
  octets = octets.first(std::min<size_t>(octets.size(), kStartOctets));
  const bool port_53 = (flow.flags[direction] & kPort53) != 0;
  if (!starts(octets, port_53)) return;

  uint32_t skip;
  HttpMessage http;
  if (octets[0] == kTlsHandshake) {
    if ((flow.flags[direction] & kTlsBegun) == 0 &&
        tls_start(octets, true, &skip) == Verdict::kYes) {
      flow.flags[direction] |= kTlsBegun;
      Messages messages(*this, place);
      TlsWalk().advance(octets, 0, messages);
      if ((flow.flags[0] & kSettled) != 0 && flow.details != kNone) free_suites(flow);
    }
  } else if (parse_http(octets, true, &http) == Verdict::kYes) {
    const bool closed = (flow.flags[direction] & kClosed) != 0;
    count_http(place, http, sequence, order,
               closed ? uint8_t{kHeadSegments + 1} : flow.segments[direction]);
  }
  if (port_53 && (flow.flags[direction] & kDnsStopped) == 0 && octets.size() > 2) {
    const size_t size = std::min<size_t>(be16(octets.data()), octets.size() - 2);
    DnsMessage message;
    Dns& dns = *dns_of(flow);
    if (parse_dns(octets.subspan(2, size), size, &message) == Verdict::kYes &&
        message.questions == 1 && !dns.later[direction].covers(sequence)) {
      dns.later[direction].add(sequence, 1);
      count_dns(dns, message);
    }
  }
}

// ---- counts ------------------------------------------------------------------------------------

void ApplicationLayer::count_http(Place place, const HttpMessage& message, uint32_t sequence,
                                  uint64_t order, uint8_t segment) {
  auto& [flow, direction] = place;
  const unsigned requester = message.request ? direction : !direction;
  if ((flow.flags[0] & kSettled) != 0 && details_of(flow)->http[!requester] != kNone) return;
  Http& http = *http_of(flow, requester);
  // A copy of a message start, or a segment that begins inside of a header.
  if (http.starts[direction].covers(sequence)) return;
  http.starts[direction].add(sequence, static_cast<uint16_t>(message.header_octets));
  http.first = std::min(http.first, order);
  add_saturating(&http.content_length, message.content_length);
  if (message.request) {
    http.requests++;
    http.methods.add(message.method, segment);
  } else {
    http.responses++;
    http.codes.add(message.code, segment);
  }
}

void ApplicationLayer::count_dns(Dns& dns, const DnsMessage& message) {
  if (message.response) {
    dns.responses++;
    dns.rcodes.add(message.rcode);
  } else if (dns.queries++ == 0) {
    dns.types.clear();  // of responses
  }
  if (message.questions > 0 && (!message.response || dns.queries == 0)) dns.types.add(message.type);
}

void ApplicationLayer::count_hello(Place place, bool from_client, Octets body) {
  auto& [flow, direction] = place;
  Details& details = *details_of(flow);
  Tls& tls = details.tls[direction];
  if (!from_client) {
    ServerHello hello;
    if (!parse_server_hello(body, &hello)) {
      statistics_.malformed_hellos++;
      return;
    }
    tls.server = true;
    tls.server_version = hello.version;
    tls.server_extensions = hello.extensions;
    tls.server_suite = hello.suite;
    return;
  }
  ClientHello hello;
  if (!parse_client_hello(body, &hello)) {
    statistics_.malformed_hellos++;
    return;
  }
  if (tls.client) return;
  tls.client = true;
  tls.client_version = hello.version;
  tls.client_extensions = hello.extensions;
  tls.suite_count = hello.suites;
  if (hello.suites == 0) return;
  tls.suites = static_cast<uint16_t*>(std::malloc(hello.suites * sizeof(uint16_t)));
  if (tls.suites == nullptr)
    set_unknown(flow);
  else
    std::copy_n(hello.suite.begin(), hello.suites, tls.suites);
}

bool ApplicationLayer::has_suite(const Tls& tls, uint16_t suite) {
  return tls.suites ? std::binary_search(tls.suites, tls.suites + tls.suite_count, suite)
                    : tls.agreed;
}

// ---- octets kept -------------------------------------------------------------------------------

StreamHead* ApplicationLayer::open_head(Place place, uint32_t base) {
  auto& [flow, direction] = place;
  const uint32_t slot = heads_.take();
  if (slot == heads_.kNone) {
    drop_head(flow, direction);
    return nullptr;
  }
  details_of(flow)->head[direction] = slot;
  StreamHead& head = heads_[slot];
  head.begin(base);
  head.flow = &flow;
  head.direction = static_cast<uint8_t>(direction);
  head.older = newest_head_;
  head.newer = kNone;
  (newest_head_ == kNone ? oldest_head_ : heads_[newest_head_].newer) = slot;
  newest_head_ = slot;
  statistics_.heads++;
  statistics_.head_bytes += head.bytes();
  return &head;
}

// Adds octets to the head that the direction has. False if that had to be given up.
bool ApplicationLayer::keep(Place place, uint32_t offset, Octets octets, uint32_t* end) {
  auto& [flow, direction] = place;
  StreamHead& head = *head_of(flow, direction);
  const size_t before = head.bytes();
  const bool kept = head.add(offset, octets, end);
  statistics_.head_bytes += head.bytes() - before;
  const StreamHead* other = head_of(flow, !direction);
  if (!kept || head.octets() + (other ? other->octets() : 0) > kMaxFlowOctets)
    drop_head(flow, direction);
  while (statistics_.head_bytes > max_head_bytes_) {
    const StreamHead& oldest = heads_[oldest_head_];
    drop_head(*oldest.flow, oldest.direction);
  }
  return (flow.flags[direction] & kClosed) == 0;
}

void ApplicationLayer::free_head(Flow& flow, unsigned direction) {
  uint32_t& slot = details_[flow.details].head[direction];
  StreamHead& head = heads_[slot];
  statistics_.heads--;
  statistics_.head_bytes -= head.bytes();
  (head.older == kNone ? oldest_head_ : heads_[head.older].newer) = head.newer;
  (head.newer == kNone ? newest_head_ : heads_[head.newer].older) = head.older;
  head.release();
  heads_.give_back(slot);
  slot = kNone;
}

// Closes the head without what it holds.
void ApplicationLayer::drop_head(Flow& flow, unsigned direction) {
  statistics_.heads_dropped++;
  set_unknown(flow);
  if (head_of(flow, direction)) free_head(flow, direction);
  close_head(flow, direction);
}

// ---- the end of a flow -------------------------------------------------------------------------

const ApplicationSummary& ApplicationLayer::finish(Flow& flow) noexcept {
  summary_ = {};
  for (unsigned direction = 0; direction < 2; direction++) {
    flow.packets++;  // what is decided now comes after all that was before
    if ((flow.flags[direction] & kClosed) == 0) close_head(flow, direction);
  }
  summary_.unknown = (flow.flags[0] & kUnknown) != 0;

  if (flow.details != kNone) {
    const Details& details = details_[flow.details];
    const uint32_t slot = details.http[requester(details)];
    if (slot != kNone) {
      const Http& http = http_[slot];
      summary_.http_requests = http.requests;
      summary_.http_responses = http.responses;
      summary_.http_content_length = http.content_length;
      summary_.http_method = http.methods.most_common({});
      summary_.http_code = http.codes.most_common(0);
    }
    const Tls& client = details.tls[details.tls[0].client ? 0 : 1];
    const Tls& server = details.tls[details.tls[1].server ? 1 : 0];
    summary_.tls_messages = details.tls[0].messages + details.tls[1].messages;
    summary_.tls_version_known = client.client || server.server;
    summary_.tls_version = server.server ? server.server_version : client.client_version;
    if (client.client) {
      summary_.tls_cipher_suites += client.suite_count;
      summary_.tls_extensions += client.client_extensions;
    }
    if (server.server) {
      const bool offered = client.client && has_suite(client, server.server_suite);
      if (!offered && !is_grease(server.server_suite)) summary_.tls_cipher_suites++;
      summary_.tls_extensions += server.server_extensions;
    }
  }
  if (flow.dns != kNone) {
    const Dns& dns = dns_[flow.dns];
    constexpr uint16_t kNoType = 0;
    summary_.dns_queries = dns.queries;
    summary_.dns_responses = dns.responses;
    summary_.dns_type_known = !dns.types.empty();
    summary_.dns_type = dns.types.most_common(kNoType);
    summary_.dns_rcode = dns.rcodes.most_common(0);
  }
  return summary_;
}

void ApplicationLayer::release(Flow& flow) noexcept {
  if (flow.details != kNone) {
    for (unsigned direction = 0; direction < 2; direction++)
      if (head_of(flow, direction)) free_head(flow, direction);
    Details& details = details_[flow.details];
    for (const uint32_t http : details.http)
      if (http != kNone) http_.give_back(http);
    for (const Tls& tls : details.tls) std::free(tls.suites);
    details_.give_back(flow.details);
  }
  if (flow.dns != kNone) dns_.give_back(flow.dns);
  flow = {};
}

}  // namespace flowmeter
