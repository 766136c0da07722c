// SPDX-License-Identifier: BSD-3-Clause
// The part of MeteredInterfaces that compares what the programs have counted with the interfaces'
// own counters.
#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/host.h"
#include "kernel/counter_sums.h"
#include "kernel/metered_interfaces.h"

namespace flowmeter {
namespace {

constexpr const char* kPastTheHook =
    "sent past the queueing discipline (packet sockets with PACKET_QDISC_BYPASS, AF_XDP, XDP "
    "redirection), where no program sees them; they are not metered";
// When the kernel has counted this many packets, our program should have counted some.
constexpr uint64_t kEnoughToKnow = 16;

uint64_t link_packets(const LinkCounters& counters, fm_hook hook) {
  return hook == FM_HOOK_INGRESS ? counters.rx_packets : counters.tx_packets;
}

uint64_t link_bytes(const LinkCounters& counters, fm_hook hook) {
  return hook == FM_HOOK_INGRESS ? counters.rx_bytes : counters.tx_bytes;
}

}  // namespace

void MeteredInterfaces::check_places(uint64_t grace_ns) {
  std::vector<InterfaceCounters> counters;
  for (auto& [index, metered] : metered_) {
    std::optional<LinkCounters> now;
    for (auto& [hook, attachment, moved, warned, sent] : metered.hooks) {
      if (warned) continue;
      if (!attachment.in_place()) {
        warned = true;
        if (link_counters(index))  // otherwise its kVanished will follow
          host_.log_warning(attachment.what() +
                            ": the program has been removed by someone else; its packets "
                            "are no longer metered");
        continue;
      }
      if (moved) continue;
      if (counters.empty()) counters = datapath_.interface_counters();
      const auto ours = std::find_if(counters.begin(), counters.end(),
                                     [&](const auto& each) { return each.index == index; });
      moved = ours == counters.end() || ours->hook[hook].buffers > 0;
      if (moved || monotonic_ns() - metered.since_ns < grace_ns) continue;
      if (!now)
        if (auto read = link_counters(index)) now = *read;
      if (now &&
          link_packets(*now, hook) - link_packets(metered.at_attach, hook) >= kEnoughToKnow) {
        warned = true;
        host_.log_warning(
            attachment.what() +
            ": the kernel counts packets, but none reaches the program: another program takes "
            "them first (flowmeter-ebpf doctor shows it; --attach-order chooses the place)" +
            (hook == FM_HOOK_EGRESS ? std::string(", or they are ") + kPastTheHook : ""));
      }
    }
  }
}

void MeteredInterfaces::check_sent(uint64_t grace_ns) {
  // A look at an interface takes some 50 us, which is much for one that carries nothing, and no
  // drain should wait for a thousand of them.
  constexpr uint64_t kEvery = 10 * FM_SECOND_NS;
  constexpr size_t kAtOnce = 16;
  const bool last = grace_ns == 0;
  const uint64_t now_ns = monotonic_ns();
  // The kernel's counters are read before the program's, which a packet passes first.
  std::vector<std::pair<Metered*, uint64_t>> interfaces;
  auto next = metered_.lower_bound(next_checked_);
  for (size_t left = metered_.size(); left > 0 && (last || interfaces.size() < kAtOnce);
       left--, next++) {
    if (next == metered_.end()) next = metered_.begin();
    Metered& metered = next->second;
    // A bond counts what its ports send, also if they send it by themselves.
    if (metered.interface.rank == rank_of_kind("bond") || now_ns - metered.since_ns < grace_ns ||
        (now_ns < metered.sent_due_ns && !last))
      continue;
    metered.sent_due_ns = now_ns + kEvery;
    if (auto now = link_counters(next->first))
      interfaces.emplace_back(&metered, now->tx_packets - metered.at_attach.tx_packets);
  }
  next_checked_ = next == metered_.end() ? 0 : next->first;
  if (interfaces.empty()) return;
  const std::vector<InterfaceCounters> counters = datapath_.interface_counters();
  for (const auto& [metered, sent] : interfaces) {
    const auto ours = std::find_if(counters.begin(), counters.end(), [&](const auto& each) {
      return each.index == metered->interface.index;
    });
    if (ours == counters.end()) continue;
    for (MeteredHook& each : metered->hooks)
      if (each.hook == FM_HOOK_EGRESS && !each.warned)
        check_sent(each, sent, ours->hook[FM_HOOK_EGRESS].seen - each.sent.seen_before);
  }
}

// sent: by the kernel's counters since the program was attached; seen: by the program. A driver may
// update its counters seconds late, and count what was queued before the program was attached. Both
// are less than what the program sees within the time of grace.
void MeteredInterfaces::check_sent(MeteredHook& hook, uint64_t sent, uint64_t seen) {
  if (!hook.sent.seen_in_grace) hook.sent.seen_in_grace = seen;
  if (hook.sent.warned || sent < seen + *hook.sent.seen_in_grace + kEnoughToKnow) return;
  hook.sent.warned = true;
  host_.log_warning(hook.attachment.what() + ": the kernel has sent " +
                    std::to_string(sent - seen) +
                    " packets that did not reach the program: they are " + kPastTheHook);
}

// Each program is at work before the system call that attaches it returns, which waits for a grace
// period of RCU, and also the interface's own counters have to wait for other work of the kernel
// (rtnl). What passes while they are read would be in both, so they are read again.
Status MeteredInterfaces::read_counters(Metered& metered, fm_hook hook) {
  constexpr int kTries = 4;
  const unsigned index = metered.interface.index;
  uint64_t least = UINT64_MAX;
  InterfaceCounters running = datapath_.interface_counters(index);
  for (int i = 0; i < kTries; i++) {
    auto now = link_counters(index);
    if (!now && now.error().is_shortage())
      return Error{"cannot attach to " + metered.interface.name, now.error().os_error};
    if (!now) return Done{};  // its kVanished has the counters
    if (i == 0) {
      const LinkCounters earlier = std::exchange(metered.at_attach, *now);
      if (metered.hooks.size() > 1) {
        metered.at_attach.rx_packets = earlier.rx_packets;
        metered.at_attach.rx_bytes = earlier.rx_bytes;
      }
    }
    if (!metered.since) return Done{};
    least = std::min<uint64_t>(least, missed(metered, *now, running).packets[hook]);
    const InterfaceCounters after = datapath_.interface_counters(index);
    if (after.hook[hook].buffers == running.hook[hook].buffers) break;
    running = after;
  }
  metered.before.packets[hook] = least;
  metered.is_unread[hook] = false;
  return Done{};
}

fm_before_attach MeteredInterfaces::carried(const Interface& interface, const LinkCounters& since,
                                            const LinkCounters& now) const {
  fm_before_attach carried{};
  for (const fm_hook hook : {FM_HOOK_INGRESS, FM_HOOK_EGRESS})
    if (meters(interface, hook))
      carried.packets[hook] =
          link_packets(now, hook) - std::min(link_packets(now, hook), link_packets(since, hook));
  return carried;
}

// What it has carried, but its programs have not counted.
fm_before_attach MeteredInterfaces::missed(const Metered& metered, const LinkCounters& now,
                                           const InterfaceCounters& counted) const {
  fm_before_attach missed{};
  for (const fm_hook hook : {FM_HOOK_INGRESS, FM_HOOK_EGRESS}) {
    if (!metered.is_unread[hook]) continue;
    const uint64_t known = link_packets(*metered.since, hook) + counted.hook[hook].buffers -
                           metered.idle.hook[hook].buffers;
    missed.packets[hook] = std::max(link_packets(now, hook), known) - known;
  }
  return missed;
}

fm_before_attach MeteredInterfaces::missed(const Metered& metered, const LinkCounters& now) const {
  return missed(metered, now, datapath_.interface_counters(metered.interface.index));
}

// Nothing more will be attached to it.
void MeteredInterfaces::settle(Metered& metered, const LinkCounters& now) {
  if (metered.is_unread[FM_HOOK_INGRESS] || metered.is_unread[FM_HOOK_EGRESS])
    datapath_.add_before_attach(metered.interface.index, missed(metered, now));
  metered.is_unread[FM_HOOK_INGRESS] = metered.is_unread[FM_HOOK_EGRESS] = false;
}

void MeteredInterfaces::give_up_unattached() {
  (void)monitor_->poll(changes_);
  for (const InterfaceMonitor::Change& change : changes_) {
    const unsigned index = change.interface.index;
    const bool has_vanished = change.kind == InterfaceMonitor::Change::Kind::kVanished;
    if (const auto metered = metered_.find(index); metered != metered_.end()) {
      if (has_vanished && change.counters) settle(metered->second, *change.counters);
      continue;
    }
    if (const auto waits = waiting_.find(index); waits != waiting_.end()) {
      if (!has_vanished) continue;
      add_before_attach(waits->second, change.counters);
      waiting_.erase(waits);
      continue;
    }
    const Unattached what = appeared(change);
    if (has_vanished)
      add_before_attach(what, change.counters);
    else if (bool named = false; change.is_known_link_type && wanted(change.interface, &named))
      held_.insert_or_assign(index, what);
  }
  changes_.clear();
  for (const auto& [index, held] : held_)
    if (auto now = link_counters(index)) add_before_attach(held, *now);
  held_.clear();
  for (auto& [index, metered] : metered_)
    if (metered.is_late)
      if (auto now = link_counters(index)) settle(metered, *now);
}

fm_before_attach MeteredInterfaces::before_attach() const {
  fm_before_attach sum = datapath_.departed_before_attach();
  for (const unsigned index : datapath_.interfaces()) add_counters(sum, before_attach(index));
  return sum;
}

// For one that still waits, with one program or both: until now.
fm_before_attach MeteredInterfaces::before_attach(unsigned index) const {
  fm_before_attach before = datapath_.before_attach(index);
  if (const auto waits = waiting_.find(index); waits != waiting_.end() && waits->second.since) {
    if (auto now = link_counters(index))
      add_counters(before, carried(waits->second.interface, *waits->second.since, *now));
  } else if (const auto late = metered_.find(index);
             late != metered_.end() && late->second.is_late) {
    if (auto now = link_counters(index)) add_counters(before, missed(late->second, *now));
  }
  return before;
}

std::vector<HookAccount> MeteredInterfaces::accounts() const {
  std::vector<HookAccount> accounts;
  for (const InterfaceCounters& each : datapath_.interface_counters()) {
    const auto found = metered_.find(each.index);
    const fm_before_attach before = before_attach(each.index);
    auto now = link_counters(each.index);
    for (const fm_hook hook : {FM_HOOK_INGRESS, FM_HOOK_EGRESS}) {
      uint64_t packets = 0, bytes = 0;
      if (now && found != metered_.end() && !(found->second.is_late && hook == FM_HOOK_EGRESS)) {
        packets = link_packets(*now, hook) - link_packets(found->second.at_attach, hook);
        bytes = link_bytes(*now, hook) - link_bytes(found->second.at_attach, hook);
      }
      if (found != metered_.end() && !meters(found->second.interface, hook)) continue;
      accounts.push_back({std::string(name_of(each.index)), hook, each.hook[hook], packets, bytes,
                          before.packets[hook]});
    }
  }
  const fm_before_attach before = datapath_.departed_before_attach();
  for (const fm_hook hook : {FM_HOOK_INGRESS, FM_HOOK_EGRESS})
    if (const fm_hook_counters gone = datapath_.departed(hook);
        gone.seen > 0 || before.packets[hook] > 0)
      accounts.push_back({"(gone)", hook, gone, 0, 0, before.packets[hook]});
  return accounts;
}

}  // namespace flowmeter
