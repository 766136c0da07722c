// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/metered_interfaces.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "base/host.h"
#include "base/utf8.h"
#include "kernel/clsact.h"
#include "kernel/offloads.h"
#include "kernel/pins.h"
#include "kernel/uplink.h"

namespace flowmeter {
namespace {

constexpr const char* kHookNames[] = {"ingress", "egress"};
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

uint64_t packets_between(const LinkCounters& before, const LinkCounters& after) {
  return after.rx_packets - before.rx_packets + after.tx_packets - before.tx_packets;
}

// A name may contain any characters except blanks and slashes, and a row has no quotes.
std::string row_name(std::string name) {
  name = printable(name, '_');
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == ',' || c == '"'; }, '_');
  return name;
}

}  // namespace

bool MeteredInterfaces::Options::has_pattern() const {
  return std::any_of(selectors.begin(), selectors.end(),
                     [](const auto& selector) { return selector.is_pattern(); });
}

Result<std::unique_ptr<MeteredInterfaces>> MeteredInterfaces::open(const Options& options,
                                                                   BpfDatapath& datapath,
                                                                   Host& host) {
  std::unique_ptr<MeteredInterfaces> self(new MeteredInterfaces(options, datapath, host));
  if (Status begun = self->begin(); !begun) {
    datapath.resumed() ? self->detach() : self->detach_for_good();
    return begun.error();
  }
  return self;
}

Status MeteredInterfaces::begin() {
  // Removes filters of a meter that was killed together with its guardian.
  if (auto stale = remove_stale_filters(); stale && *stale > 0)
    host_.log_warning("removed " + std::to_string(*stale) +
                      " filters left by a killed flowmeter-ebpf");
  auto monitor = InterfaceMonitor::open();
  if (!monitor) return monitor.error();
  monitor_ = std::move(*monitor);
  std::vector<unsigned> departed;
  if (datapath_.resumed()) before_ = datapath_.interface_counters();
  if (Status listed = monitor_->poll(changes_); !listed) return listed;
  for (const InterfaceMonitor::Change& change : changes_) {
    bool named = false;
    if (!wanted(change.interface, &named) || (!named && !change.is_known_link_type)) continue;
    if (!named) {
      attach_or_wait(change.interface);
    } else if (Status attached = attach(change.interface); !attached) {
      if (!datapath_.resumed() || !attached.error().is_shortage()) give_up(change.interface.index);
      return attached;
    }
  }
  changes_.clear();
  before_.clear();
  // Interfaces of an earlier run that have vanished meanwhile.
  for (const unsigned index : datapath_.interfaces())
    if (!metered_.contains(index) && !waiting_.contains(index)) let_go(index, departed);
  for (const InterfaceSelector& selector : options_.selectors)
    if (!selector.is_pattern() &&
        std::none_of(metered_.begin(), metered_.end(),
                     [&](const auto& each) { return selector.matches(each.second.interface); }))
      return Error{"no interface " + selector.text()};
  if (metered_.empty() && waiting_.empty())
    host_.log_warning("no interface matches yet; new ones that match will be metered");
  return Done{};
}

// named: the selector is a name, not a pattern.
bool MeteredInterfaces::wanted(const Interface& interface, bool* named) const {
  bool any = false;
  *named = false;
  for (const InterfaceSelector& selector : options_.selectors) {
    if (!selector.matches(interface)) continue;
    any = true;
    *named = *named || !selector.is_pattern();
  }
  return any;
}

std::string MeteredInterfaces::pin_of(unsigned index, fm_hook hook) const {
  return pin_path(options_.pin_directory, "link-" + std::to_string(index) + "-" + kHookNames[hook]);
}

void MeteredInterfaces::remove_pin(unsigned index, fm_hook hook) const {
  if (!options_.pin_directory.empty()) ::unlink(pin_of(index, hook).c_str());
}

void MeteredInterfaces::remove_pins(unsigned index) const {
  for (const fm_hook hook : {FM_HOOK_INGRESS, FM_HOOK_EGRESS}) remove_pin(index, hook);
}

Result<Attachment> MeteredInterfaces::attach_hook(const Interface& interface, fm_hook hook) {
  const bool ingress = hook == FM_HOOK_INGRESS;
  const Direction direction = ingress ? Direction::kIngress : Direction::kEgress;
  const bool xdp = ingress && (options_.hook == Hook::kXdp || options_.hook == Hook::kXdpGeneric);
  const int program =
      xdp ? datapath_.xdp_program_fd(interface) : datapath_.program_fd(interface, hook);
  if (!options_.pin_directory.empty()) {
    auto adopted = Attachment::adopt(pin_of(interface.index, hook), program);
    if (adopted || adopted.error().is_shortage()) return adopted;
    if (adopted.error().os_error != ENOENT) ::unlink(pin_of(interface.index, hook).c_str());
  }
  const auto attach = [&]() -> Result<Attachment> {
    if (xdp)
      return Attachment::xdp(
          program, interface,
          options_.hook == Hook::kXdpGeneric ? XdpMode::kGeneric : XdpMode::kNative);
    const bool clsact =
        options_.hook == Hook::kTc || (options_.hook == Hook::kAuto && !kernel_has_tcx());
    if (clsact) return Attachment::clsact(program, interface, direction, options_.order);
    return Attachment::tcx(program, interface, direction, options_.order);
  };
  auto attachment = attach();
  if (attachment && !options_.pin_directory.empty())
    if (Status pinned = attachment->pin(pin_of(interface.index, hook)); !pinned)
      return pinned.error();
  return attachment;
}

// If it fails, give_up() must follow, unless it is tried again: then what a pinned link meters
// still belongs to the interface.
Status MeteredInterfaces::attach(const Interface& interface) {
  if (options_.hook == Hook::kXdp)
    if (const std::string caution = xdp_caution(interface); !caution.empty())
      host_.log_warning(caution);
  Metered metered;
  metered.interface = interface;
  metered.since_ns = monotonic_ns();
  auto counters = link_counters(interface.index);
  if (counters)
    metered.at_attach = *counters;
  else if (counters.error().is_shortage())
    return Error{"cannot attach to " + interface.name, counters.error().os_error};
  metered.since = metered.at_attach;
  if (Status added = datapath_.add_interface(interface, device_merging(interface.name)); !added)
    return added;
  set_ends(interface);
  for (const fm_hook hook : {FM_HOOK_INGRESS, FM_HOOK_EGRESS}) {
    if (!meters(interface, hook)) {
      remove_pin(interface.index, hook);  // of an earlier run that has metered there
      continue;
    }
    auto attachment = attach_hook(interface, hook);
    if (!attachment) return attachment.error();
    metered.hooks.push_back({.hook = hook,
                             .attachment = std::move(*attachment),
                             .sent = {.seen_before = seen_before(interface.index, hook)}});
  }
  names_[interface.index] = row_name(interface.name);
  metered_.insert_or_assign(interface.index, std::move(metered));
  return Done{};
}

uint64_t MeteredInterfaces::seen_before(unsigned index, fm_hook hook) const {
  const auto found = std::find_if(before_.begin(), before_.end(),
                                  [index](const auto& each) { return each.index == index; });
  return found == before_.end() ? 0 : found->hook[hook].seen;
}

void MeteredInterfaces::set_ends(Interface interface) const {
  if (!options_.attribute) return;
  interface.is_one_end = interface.is_one_end && !is_uplink(interface.index);
  datapath_.set_ends(interface);
}

void MeteredInterfaces::give_up(unsigned index) {
  remove_pins(index);
  datapath_.remove_interface(index);
}

MeteredInterfaces::Outcome MeteredInterfaces::attach_or_wait(const Interface& interface) {
  Status attached = attach(interface);
  if (attached) return Outcome::kAttached;
  if (attached.error().is_shortage()) {
    wait(interface, attached.error());
    return Outcome::kWaits;
  }
  give_up(interface.index);
  host_.log_warning(attached.error().message());
  return Outcome::kRefused;
}

void MeteredInterfaces::wait(const Interface& interface, const Error& why) {
  Waiting& waiting = waiting_[interface.index];
  waiting.interface = interface;
  // Also this may fail for want of a descriptor. The next attempt reads them again.
  if (!waiting.since)
    if (auto counters = link_counters(interface.index)) waiting.since = *counters;
  names_[interface.index] = row_name(interface.name);
  note_shortage(why);
}

void MeteredInterfaces::note_shortage(const Error& why) {
  next_attempt_ns_ = monotonic_ns() + FM_SECOND_NS;
  if (shortage_) return;
  shortage_ = true;
  const char* remedy = why.os_error == EMFILE   ? " (ulimit -n, LimitNOFILE=)"
                       : why.os_error == ENFILE ? " (sysctl fs.file-max)"
                                                : "";
  host_.log_warning(why.message() + remedy +
                    "; this and later interfaces are tried again each second");
}

// Attaches to those that wait, until there is no room again.
void MeteredInterfaces::attach_waiting() {
  if (!shortage_ || monotonic_ns() < next_attempt_ns_) return;
  while (!waiting_.empty()) {
    const auto [index, waiting] = *waiting_.begin();
    const Outcome outcome = attach_or_wait(waiting.interface);
    if (outcome == Outcome::kWaits) return;
    if (outcome == Outcome::kAttached) {
      Metered& metered = metered_.at(index);
      if (waiting.since) {
        unmetered_ += packets_between(*waiting.since, metered.at_attach);
        metered.since = *waiting.since;
      }
      if (options_.verbose) host_.log_info("metering " + metered.interface.name);
    }
    waiting_.erase(index);
  }
  shortage_ = false;
  host_.log_warning("all interfaces are metered again; " + std::to_string(unmetered_) +
                    " packets passed unmetered meanwhile");
  unmetered_ = 0;
}

void MeteredInterfaces::report_shortage() const {
  if (waiting_.empty()) return;
  uint64_t packets = unmetered_;
  for (const auto& [index, waiting] : waiting_)
    if (auto now = link_counters(index); now && waiting.since)
      packets += packets_between(*waiting.since, *now);
  host_.log_warning(std::to_string(waiting_.size()) +
                    " interfaces could not be attached to the end (" +
                    waiting_.begin()->second.interface.name + (waiting_.size() > 1 ? ", …" : "") +
                    "); " + std::to_string(packets) + " packets passed unmetered");
}

void MeteredInterfaces::let_go(unsigned index, std::vector<unsigned>& departed) {
  if (const auto slot = datapath_.slot_of(index)) departed.push_back(*slot);
  if (const auto found = metered_.find(index); found != metered_.end()) {
    last_gone_ = found->second.interface.name;
    metered_.erase(found);
  } else if (const auto waits = waiting_.find(index); waits != waiting_.end()) {
    last_gone_ = waits->second.interface.name;
    waiting_.erase(waits);
  }
  forget_names();
  remove_pins(index);
  datapath_.remove_interface(index);
}

// Rows of an interface's flows may be written long after it has vanished, but not forever.
void MeteredInterfaces::forget_names() {
  constexpr size_t kMost = 8192;
  for (auto name = names_.begin(); names_.size() > kMost && name != names_.end();)
    name = metered_.contains(name->first) ? std::next(name) : names_.erase(name);
}

Status MeteredInterfaces::update(std::vector<unsigned>& departed) {
  changes_.clear();
  if (Status polled = monitor_->poll(changes_); !polled) {
    if (!polled.error().is_shortage()) return polled;
    note_shortage(polled.error());  // the next poll lists all interfaces
  }
  using Kind = InterfaceMonitor::Change::Kind;
  for (const InterfaceMonitor::Change& change : changes_) {
    const unsigned index = change.interface.index;
    const auto found = metered_.find(index);
    const auto waits = waiting_.find(index);
    if (change.kind == Kind::kVanished) {
      const bool was_metered = found != metered_.end();
      if (!was_metered && waits == waiting_.end()) continue;
      let_go(index, departed);
      if (was_metered && options_.verbose)
        host_.log_info("stopped metering " + last_gone_ + ": it has been removed");
    } else if (found != metered_.end() &&
               found->second.interface.has_link_header == change.interface.has_link_header) {
      found->second.interface = change.interface;  // even if the new name does not match
      set_ends(change.interface);
      names_[index] = row_name(change.interface.name);
    } else {
      bool named = false;
      const bool is_wanted = wanted(change.interface, &named) && change.is_known_link_type;
      if (waits != waiting_.end() && is_wanted) {
        waits->second.interface = change.interface;
        continue;
      }
      if (found != metered_.end() || waits != waiting_.end()) let_go(index, departed);
      if (is_wanted && attach_or_wait(change.interface) == Outcome::kAttached && options_.verbose)
        host_.log_info("metering " + change.interface.name);
    }
  }
  attach_waiting();
  if (metered_.empty() && waiting_.empty() && !options_.has_pattern())
    return Error{"interface " + last_gone_ + " has been removed"};
  return Done{};
}

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

void MeteredInterfaces::detach() {
  for (auto& [index, metered] : metered_) metered.hooks.clear();
}

void MeteredInterfaces::detach_for_good() {
  for (const auto& [index, metered] : metered_) remove_pins(index);
  detach();
}

std::string MeteredInterfaces::names() const {
  std::string text;
  for (const auto& [index, metered] : metered_)
    text += (text.empty() ? "" : ", ") + metered.interface.name;
  return text.empty() ? "nothing yet" : text;
}

std::string_view MeteredInterfaces::name_of(unsigned ifindex) const {
  const auto found = names_.find(ifindex);
  return found == names_.end() ? std::string_view() : found->second;
}

std::vector<HookAccount> MeteredInterfaces::accounts() const {
  std::vector<HookAccount> accounts;
  for (const InterfaceCounters& each : datapath_.interface_counters()) {
    const auto found = metered_.find(each.index);
    const auto waits = waiting_.find(each.index);
    std::optional<LinkCounters> since;
    if (found != metered_.end()) since = found->second.since;
    if (waits != waiting_.end()) since = waits->second.since;
    auto now = link_counters(each.index);
    for (const fm_hook hook : {FM_HOOK_INGRESS, FM_HOOK_EGRESS}) {
      uint64_t packets = 0, bytes = 0;
      if (now && since) {
        packets = link_packets(*now, hook) - link_packets(*since, hook);
        bytes = link_bytes(*now, hook) - link_bytes(*since, hook);
      }
      if (found != metered_.end() && !meters(found->second.interface, hook)) continue;
      accounts.push_back({std::string(name_of(each.index)), hook, each.hook[hook], packets, bytes});
    }
  }
  for (const fm_hook hook : {FM_HOOK_INGRESS, FM_HOOK_EGRESS})
    if (const fm_hook_counters gone = datapath_.departed(hook); gone.seen > 0)
      accounts.push_back({"(gone)", hook, gone, 0, 0});
  return accounts;
}

}  // namespace flowmeter
