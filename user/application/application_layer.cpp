// SPDX-License-Identifier: BSD-3-Clause
#include "application/application_layer.h"

#include <algorithm>
#include <cstring>

namespace flowmeter {
namespace {

constexpr uint8_t kTlsAlert = 0x15, kTlsHandshake = 0x16;

// The bytes of a head that has been read up to this offset.
Extent extent_to(uint32_t offset) {
  return offset == FM_HEAD_BYTES ? Extent::kAll : Extent::kSoFar;
}

}  // namespace

// Counts what a TLS walk finds, for the direction in which it walks.
class ApplicationLayer::Messages final : public TlsReceiver {
 public:
  Messages(ApplicationLayer& layer, Place place) : layer_(layer), place_(place) {}
  void on_message() override { counts().messages++; }
  void on_client_hello(Bytes body) override { note(counts().add_client_hello(body)); }
  void on_server_hello(Bytes body) override { note(counts().add_server_hello(body)); }

 private:
  TlsCounts& counts() { return layer_.details_of(place_.flow).tls[place_.direction]; }
  void note(TlsCounts::Added added) {
    layer_.statistics_.malformed_hellos += added == TlsCounts::Added::kMalformed;
    if (added == TlsCounts::Added::kNoMemory) layer_.set_unknown(place_.flow);
  }

  ApplicationLayer& layer_;
  Place place_;
};

ApplicationLayer::ApplicationLayer(uint32_t max_flows, size_t max_head_bytes)
    : details_(max_flows), http_(max_flows * 2), dns_(max_flows), heads_(max_head_bytes) {}

// The flows that are still open, because the next daemon has them, were not released.
ApplicationLayer::~ApplicationLayer() {
  for (uint32_t slot = 0; slot < details_.used(); slot++)
    for (TlsCounts& tls : details_[slot].tls) tls.release();
}

ApplicationLayer::Statistics ApplicationLayer::statistics() const {
  Statistics all = statistics_;
  all.heads = heads_.count();
  all.head_bytes = heads_.bytes();
  return all;
}

StreamHead* ApplicationLayer::head_of(const Flow& flow, unsigned direction) {
  if (flow.details == kNone) return nullptr;
  const uint32_t head = details_[flow.details].head[direction];
  return head == kNone ? nullptr : &heads_[head];
}

// ---- packets -----------------------------------------------------------------------------------

bool ApplicationLayer::starts(Bytes bytes, bool port_53) {
  uint8_t first[FM_START_TEST_BYTES] = {};
  const size_t n = std::min(bytes.size(), sizeof first);
  if (n == 0) return false;
  std::memcpy(first, bytes.data(), n);
  return fm_application_starts(first, static_cast<unsigned>(n), port_53);
}

void ApplicationLayer::udp(Flow& flow, const Payload& payload) noexcept {
  if (payload.length == 0) return;
  DnsMessage message;
  const size_t size =
      std::min({payload.bytes.size(), size_t{payload.length}, size_t{FM_DATAGRAM_BYTES}});
  if (parse_dns(payload.bytes.first(size), size, &message) == Verdict::kYes)
    dns_of(flow).add(message);
  else
    statistics_.malformed_dns++;
}

void ApplicationLayer::lost(Flow& flow) noexcept {
  statistics_.records_lost++;
  set_unknown(flow);
}

void ApplicationLayer::add_segment(Flow& flow, bool port_53, const Payload& payload) {
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
  const Bytes bytes = payload.bytes.first(std::min(payload.bytes.size(), size_t{payload.length}));

  if ((flags & kClosed) == 0 && segments == FM_HEAD_SEGMENTS) close_head(flow, direction);
  if ((flags & kClosed) != 0) {
    look_at_start(place, sequence, bytes, uint64_t{flow.packets} << 16 | 0xffff);
    return;
  }
  if (segments == 0 && (flags & kOriginKnown) == 0) flow.origin[direction] = sequence;
  const uint32_t offset = sequence - flow.origin[direction];
  segments++;
  if (offset < FM_HEAD_BYTES) {
    add_to_head(place, offset, bytes);
  } else {
    flow.begins[direction][segments - 1u] = Flow::kNowhere;
    look_at_start(place, sequence, bytes, uint64_t{flow.packets} << 16);
  }
  if (segments == FM_HEAD_SEGMENTS && (flags & kClosed) == 0) {
    // The rest of the head cannot arrive any more. Parked segments wait until the next segment
    // closes the head.
    const StreamHead* head = head_of(flow, direction);
    if (head == nullptr || !head->parked_after(flow.end[direction])) close_head(flow, direction);
  }
}

void ApplicationLayer::add_to_head(Place place, uint32_t offset, Bytes bytes) {
  auto& [flow, direction] = place;
  const auto begins = flow.begins[direction].begin();
  const auto here = begins + (flow.segments[direction] - 1);
  const bool new_begin = std::find(begins, here, offset) == here;
  *here = static_cast<uint16_t>(offset);

  uint32_t end = flow.end[direction];
  if (offset <= end) {
    const size_t size = std::min<size_t>(bytes.size(), FM_HEAD_BYTES - offset);
    add_in_order(place, offset, bytes.first(size), new_begin);
  } else if (!bytes.empty() && (head_of(flow, direction) || open_head(place, end))) {
    keep(place, offset, bytes, &end);
  }
}

// Adds a segment that starts within the stream so far or at its end.
void ApplicationLayer::add_in_order(Place place, uint32_t offset, Bytes bytes, bool new_begin) {
  auto& [flow, direction] = place;
  const uint32_t from = flow.end[direction];
  uint32_t to = offset + static_cast<uint32_t>(bytes.size());
  const Candidate begin{uint64_t{flow.packets} << 16 | offset, static_cast<uint16_t>(offset),
                        flow.segments[direction]};
  new_begin &= offset < from && !bytes.empty();

  StreamHead* head = head_of(flow, direction);
  if (new_begin && (head ? offset < head->base() : to < from)) {
    judge_copy(place, bytes, begin);
    new_begin = false;
  }
  if (head == nullptr) {
    // Nothing has been kept, so the segment is parsed in the packet.
    if (to < from || (to == from && !new_begin)) return;
    Candidates candidates;
    const uint32_t base = new_begin ? offset : from;
    if (new_begin) candidates.push(begin);
    push_begins(place, from, to, &candidates);
    flow.end[direction] = static_cast<uint16_t>(to);
    const uint32_t needed =
        parse(place, bytes.subspan(base - offset), base, candidates, extent_to(to));
    if (needed >= to) return;
    head = open_head(place, needed);
    if (head == nullptr) return;
    head->candidates = candidates;
    uint32_t end = needed;
    keep(place, needed, bytes.subspan(needed - offset), &end);
    return;
  }
  if (offset < head->base()) {
    bytes = bytes.subspan(std::min<size_t>(head->base() - offset, bytes.size()));
    offset = head->base();
  }
  if (new_begin) head->candidates.push(begin);
  to = from;
  if (!keep(place, offset, bytes, &to)) return;
  flow.end[direction] = static_cast<uint16_t>(to);
  push_begins(place, from, to, &head->candidates);
  const uint32_t needed =
      parse(place, head->from_base(to), head->base(), head->candidates, extent_to(to));
  if (needed >= to && !head->parked_after(to)) free_head(flow, direction);
}

// Adds as candidates the segments so far that started between from and to, the part of the stream
// that has just become complete.
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

// Parses the stream from base on. Returns the first offset that is still needed, or the end.
uint32_t ApplicationLayer::parse(Place place, Bytes bytes, uint32_t base, Candidates& candidates,
                                 Extent extent) {
  auto& [flow, direction] = place;
  uint32_t needed = base + static_cast<uint32_t>(bytes.size());
  while (!candidates.empty()) {
    const Candidate& next = candidates.front();
    if (judge(place, bytes.subspan(next.offset - base), next, extent) == Verdict::kMore) {
      needed = std::min(needed, candidates.least_offset());
      break;
    }
    candidates.pop();
  }
  if ((flow.flags[direction] & kTlsWalking) != 0) {
    TlsWalk& walk = details_of(flow).walk[direction];
    Messages messages(*this, place);
    if (walk.advance(bytes, base, messages) && extent == Extent::kSoFar)
      needed = std::min(needed, walk.needs());
    else
      flow.flags[direction] &= static_cast<uint8_t>(~kTlsWalking);
  }
  if ((flow.flags[direction] & (kPort53 | kDnsStopped)) == kPort53) {
    walk_dns(place, bytes, base);
    if (extent == Extent::kSoFar && (flow.flags[direction] & kDnsStopped) == 0)
      needed = std::min(needed, dns_of(flow).next[direction]);
  }
  return needed;
}

// Whether a message starts with these bytes of the head. If so, it is counted.
Verdict ApplicationLayer::judge(Place place, Bytes bytes, const Candidate& candidate,
                                Extent extent) {
  auto& [flow, direction] = place;
  const uint8_t first = bytes[0];
  if (first == kTlsHandshake || first == kTlsAlert) {
    if ((flow.flags[direction] & kTlsBegun) != 0) return Verdict::kNo;
    uint32_t skip;
    const Verdict start = tls_start(bytes, TlsStart::kInHead, &skip);
    if (start != Verdict::kYes) return extent == Extent::kAll ? Verdict::kNo : start;
    flow.flags[direction] |= kTlsBegun | kTlsWalking;
    details_of(flow).walk[direction] = TlsWalk(candidate.offset + skip);
    return Verdict::kYes;
  }
  if (first < 'A' || first > 'Z') return Verdict::kNo;
  HttpMessage message;
  const Verdict start = parse_http(bytes, extent, &message);
  if (start == Verdict::kYes)
    count_http(place, message, flow.origin[direction] + candidate.offset, candidate.order,
               candidate.segment);
  return start;
}

// Decides on a copy that starts in a part of the stream that is no longer kept, because no message
// was being read there. Only the copy's own payload is available.
void ApplicationLayer::judge_copy(Place place, Bytes bytes, const Candidate& candidate) {
  auto& [flow, direction] = place;
  const uint8_t before = flow.flags[direction];
  judge(place, bytes, candidate, Extent::kAll);
  if (((flow.flags[direction] ^ before) & kTlsWalking) == 0) return;
  Messages messages(*this, place);
  details_of(flow).walk[direction].advance(bytes, candidate.offset, messages);
  flow.flags[direction] &= static_cast<uint8_t>(~kTlsWalking);
}

void ApplicationLayer::walk_dns(Place place, Bytes bytes, uint32_t base) {
  DnsCounts& dns = dns_of(place.flow);
  uint32_t& next = dns.next[place.direction];
  while (next < base + bytes.size()) {
    const Bytes here = bytes.subspan(next - base);
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
    dns.add(message);
    next += 2u + length;
  }
}

void ApplicationLayer::close_head(Flow& flow, unsigned direction) {
  const Place place{flow, direction};
  if (StreamHead* head = head_of(flow, direction)) {
    const uint32_t end = flow.end[direction];
    if (end > head->base())
      parse(place, head->from_base(end), head->base(), head->candidates, Extent::kAll);
    flow.flags[direction] |= kClosed;
    uint64_t order = uint64_t{flow.packets} << 16 | FM_HEAD_BYTES;
    head->visit_parked(end, [&](uint32_t offset, Bytes bytes) {
      look_at_start(place, flow.origin[direction] + offset, bytes, order++);
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

// Frees the offered suites once no further ServerHello can arrive.
void ApplicationLayer::free_suites(Flow& flow) {
  Details& details = details_[flow.details];
  if (!details.tls[1].server && (flow.flags[0] & flow.flags[1] & kTlsBegun) == 0) return;
  const TlsCounts& server = tls_server(details.tls);
  for (TlsCounts& tls : details.tls) tls.give_up_suites(server);
}

unsigned ApplicationLayer::requester(const Details& details) const {
  if (details.http[0] == kNone) return 1;
  if (details.http[1] == kNone) return 0;
  return http_[details.http[0]].first < http_[details.http[1]].first ? 0 : 1;
}

// ---- later segments ----------------------------------------------------------------------------

void ApplicationLayer::look_at_start(Place place, uint32_t sequence, Bytes bytes, uint64_t order) {
  auto& [flow, direction] = place;
  bytes = bytes.first(std::min<size_t>(bytes.size(), FM_START_BYTES));
  const bool port_53 = (flow.flags[direction] & kPort53) != 0;
  if (!starts(bytes, port_53)) return;

  uint32_t skip;
  HttpMessage http;
  if (bytes[0] == kTlsHandshake) {
    if ((flow.flags[direction] & kTlsBegun) == 0 &&
        tls_start(bytes, TlsStart::kLater, &skip) == Verdict::kYes) {
      flow.flags[direction] |= kTlsBegun;
      Messages messages(*this, place);
      TlsWalk().advance(bytes, 0, messages);
      if ((flow.flags[0] & kSettled) != 0 && flow.details != kNone) free_suites(flow);
    }
  } else if (parse_http(bytes, Extent::kAll, &http) == Verdict::kYes) {
    const bool closed = (flow.flags[direction] & kClosed) != 0;
    count_http(place, http, sequence, order,
               closed ? uint8_t{FM_HEAD_SEGMENTS + 1} : flow.segments[direction]);
  }
  if (port_53 && (flow.flags[direction] & kDnsStopped) == 0 && bytes.size() > 2) {
    const size_t size = std::min<size_t>(be16(bytes.data()), bytes.size() - 2);
    DnsMessage message;
    DnsCounts& dns = dns_of(flow);
    if (parse_dns(bytes.subspan(2, size), size, &message) == Verdict::kYes &&
        message.questions == 1 && !dns.later[direction].covers(sequence)) {
      dns.later[direction].add(sequence, 1);
      dns.add(message);
    }
  }
}

// ---- counts ------------------------------------------------------------------------------------

void ApplicationLayer::count_http(Place place, const HttpMessage& message, uint32_t sequence,
                                  uint64_t order, uint8_t segment) {
  auto& [flow, direction] = place;
  const unsigned requester = message.request ? direction : !direction;
  Details& details = details_of(flow);
  if ((flow.flags[0] & kSettled) != 0 && details.http[!requester] != kNone) return;
  made(http_, details.http[requester]).add(message, direction, sequence, order, segment);
}

// ---- bytes kept -------------------------------------------------------------------------------

StreamHead* ApplicationLayer::open_head(Place place, uint32_t base) {
  auto& [flow, direction] = place;
  const uint32_t slot = heads_.open(flow, direction, base);
  if (slot == HeadPool::kNone) {
    drop_head(flow, direction);
    return nullptr;
  }
  details_of(flow).head[direction] = slot;
  return &heads_[slot];
}

// Adds payload to the direction's head. False if the head had to be given up.
bool ApplicationLayer::keep(Place place, uint32_t offset, Bytes bytes, uint32_t* end) {
  auto& [flow, direction] = place;
  const uint32_t slot = details_[flow.details].head[direction];
  const bool kept = heads_.add(slot, offset, bytes, end);
  const StreamHead* other = head_of(flow, !direction);
  if (!kept || heads_[slot].buffered() + (other ? other->buffered() : 0) > kMaxFlowBytes)
    drop_head(flow, direction);
  while (heads_.over_limit()) {
    const StreamHead& oldest = heads_.oldest();
    drop_head(*oldest.flow, oldest.direction);
  }
  return (flow.flags[direction] & kClosed) == 0;
}

void ApplicationLayer::free_head(Flow& flow, unsigned direction) {
  uint32_t& slot = details_[flow.details].head[direction];
  heads_.close(slot);
  slot = kNone;
}

// Closes the head and drops what it holds.
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
    flow.packets++;  // messages that are decided now come after all others
    if ((flow.flags[direction] & kClosed) == 0) close_head(flow, direction);
  }
  summary_.unknown = (flow.flags[0] & kUnknown) != 0;

  if (flow.details != kNone) {
    const Details& details = details_[flow.details];
    const uint32_t slot = details.http[requester(details)];
    if (slot != kNone) http_[slot].describe(summary_);
    describe_tls(details.tls, summary_);
  }
  if (flow.dns != kNone) dns_[flow.dns].describe(summary_);
  return summary_;
}

void ApplicationLayer::release(Flow& flow) noexcept {
  if (flow.details != kNone) {
    for (unsigned direction = 0; direction < 2; direction++)
      if (head_of(flow, direction)) free_head(flow, direction);
    Details& details = details_[flow.details];
    for (const uint32_t http : details.http)
      if (http != kNone) http_.give_back(http);
    for (TlsCounts& tls : details.tls) tls.release();
    details_.give_back(flow.details);
  }
  if (flow.dns != kNone) dns_.give_back(flow.dns);
  flow = {};
}

}  // namespace flowmeter
