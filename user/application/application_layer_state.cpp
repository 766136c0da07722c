// SPDX-License-Identifier: BSD-3-Clause
// How the payload state of flows passes from one daemon to the next (flows/flow_state.h). A record
// is written as it is in memory, and then what it points to; its indices and pointers only say
// whether that follows.
#include "application/application_layer.h"

namespace flowmeter {

uint64_t ApplicationLayer::layout() {
  uint64_t layout = 0;
  for (const size_t size :
       {sizeof(Flow), sizeof(Details), sizeof(HttpCounts), sizeof(DnsCounts), sizeof(StreamHead)})
    layout = layout * 8191 + size;
  return layout;
}

void ApplicationLayer::save(const Flow& flow, ValueBytes& to) const {
  append(to, flow);
  if (flow.details != kNone) {
    const Details& details = details_[flow.details];
    append(to, details);
    for (unsigned direction = 0; direction < 2; direction++) {
      const TlsCounts& tls = details.tls[direction];
      if (details.http[direction] != kNone) append(to, http_[details.http[direction]]);
      if (tls.suites) append_array(to, tls.suites, tls.suite_count);
      if (details.head[direction] != kNone)
        heads_[details.head[direction]].save(flow.end[direction], to);
    }
  }
  if (flow.dns != kNone) append(to, dns_[flow.dns]);
}

bool ApplicationLayer::restore(Flow& flow, ValueReader& from) {
  Flow kept;
  if (!from.read(kept)) return false;
  flow = kept;
  flow.details = flow.dns = kNone;
  if (kept.details != kNone && !restore_details(flow, from)) return false;
  return kept.dns == kNone || from.read(dns_of(flow));
}

// After a failure the flow can be released like any other.
bool ApplicationLayer::restore_details(Flow& flow, ValueReader& from) {
  Details kept;
  if (!from.read(kept)) return false;
  Details& details = details_of(flow);
  details.walk = kept.walk;
  for (unsigned direction = 0; direction < 2; direction++) {
    if (kept.http[direction] != kNone && !from.read(made(http_, details.http[direction])))
      return false;
    if (!details.tls[direction].restore(kept.tls[direction], from)) return false;
    if (kept.head[direction] == kNone) continue;
    details.head[direction] = heads_.restore(flow, direction, from);
    if (details.head[direction] == kNone) return false;
  }
  return true;
}

}  // namespace flowmeter
