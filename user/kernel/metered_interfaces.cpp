// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/metered_interfaces.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

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
    Unattached what{change.interface, std::nullopt};
    if (!named) {
      attach_or_wait(what, /*whole=*/true);
    } else if (Status attached = attach(what, /*whole=*/true); !attached) {
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
// still belongs to the interface. whole: not only the first program.
Status MeteredInterfaces::attach(Unattached& what, bool whole) {
  const Interface& interface = what.interface;
  if (options_.hook == Hook::kXdp)
    if (const std::string caution = xdp_caution(interface); !caution.empty())
      host_.log_warning(caution);
  Metered metered;
  metered.interface = interface;
  metered.since = what.since;
  metered.since_ns = monotonic_ns();
  // Only real devices merge packets. Asking takes three waits for a lock of the kernel (rtnl) that
  // is busy while containers start.
  const DeviceMerging merging = interface.peer == Interface::Peer::kNone
                                    ? device_merging(interface.name)
                                    : DeviceMerging::kOff;
  if (Status added = datapath_.add_interface(interface, merging); !added) return added;
  follow_uplinks();
  set_ends(interface);
  metered.idle = datapath_.interface_counters(interface.index);
  for (const fm_hook hook : {FM_HOOK_INGRESS, FM_HOOK_EGRESS}) {
    if (!meters(interface, hook)) {
      remove_pin(interface.index, hook);  // of an earlier run that has metered there
      continue;
    }
    metered.is_unread[hook] = what.since.has_value();
    metered.is_late = !whole && !metered.hooks.empty();
    if (metered.is_late) {
      late_.push_back(interface.index);
    } else if (Status attached = attach_program(metered, hook); !attached) {
      take_back(what, metered);
      return attached;
    }
  }
  datapath_.add_before_attach(interface.index, std::exchange(metered.before, {}));
  names_[interface.index] = row_name(interface.name);
  metered_.insert_or_assign(interface.index, std::move(metered));
  return Done{};
}

// What a program has counted meanwhile was not missed.
void MeteredInterfaces::take_back(Unattached& what, Metered& metered) {
  const unsigned index = what.interface.index;
  if (!what.since) return;  // its pins are of an earlier daemon
  remove_pins(index);
  metered.hooks.clear();
  const InterfaceCounters now = datapath_.interface_counters(index);
  const auto counted = [&](fm_hook hook) {
    return now.hook[hook].buffers - metered.idle.hook[hook].buffers;
  };
  what.since->rx_packets += counted(FM_HOOK_INGRESS);
  what.since->tx_packets += counted(FM_HOOK_EGRESS);
}

Status MeteredInterfaces::attach_program(Metered& metered, fm_hook hook) {
  auto attachment = attach_hook(metered.interface, hook);
  if (!attachment) return attachment.error();
  metered.hooks.push_back({.hook = hook,
                           .attachment = std::move(*attachment),
                           .sent = {.seen_before = seen_before(metered.interface.index, hook)}});
  return read_counters(metered, hook);
}

void MeteredInterfaces::tell_metering(const Interface& interface) const {
  if (options_.verbose) host_.log_info("metering " + interface.name);
}

// The second program of the interface that has waited for it longest.
void MeteredInterfaces::attach_late(std::vector<unsigned>& departed) {
  const unsigned index = late_.front();
  late_.pop_front();
  const auto found = metered_.find(index);
  if (found == metered_.end() || !found->second.is_late) return;
  Metered& metered = found->second;
  Status attached = attach_program(metered, FM_HOOK_EGRESS);
  if (attached) {
    metered.is_late = false;
    metered.since_ns = monotonic_ns();
    datapath_.add_before_attach(index, std::exchange(metered.before, {}));
    tell_metering(metered.interface);
    return;
  }
  // Its descriptors may be needed to find out what it has carried.
  remove_pins(index);
  metered.hooks.clear();
  auto now = link_counters(index);
  if (!now && now.error().os_error == ENODEV) return;  // its kVanished follows
  Unattached again{metered.interface, std::nullopt};
  if (now) {
    again.since = *now;
    settle(metered, *now);
  }
  metered_.erase(found);
  const auto slot = datapath_.slot_of(index);
  if (note_failure(again, attached.error()) != Outcome::kWaits && slot) departed.push_back(*slot);
}

uint64_t MeteredInterfaces::seen_before(unsigned index, fm_hook hook) const {
  const auto found = std::find_if(before_.begin(), before_.end(),
                                  [index](const auto& each) { return each.index == index; });
  return found == before_.end() ? 0 : found->hook[hook].seen;
}

void MeteredInterfaces::set_ends(const Interface& interface) const {
  if (!options_.attribute) return;
  const bool is_uplink =
      std::find(uplinks_.begin(), uplinks_.end(), interface.index) != uplinks_.end();
  const bool leads_elsewhere = interface.peer == Interface::Peer::kElsewhere && !is_uplink;
  datapath_.set_ends(interface.index, {interface.senders_are_local, leads_elsewhere});
}

void MeteredInterfaces::follow_uplinks() {
  if (!options_.attribute) return;
  const auto found = find_uplinks();
  if (!found || std::exchange(uplinks_, *found) == *found) return;
  for (const auto& [index, metered] : metered_) set_ends(metered.interface);
}

void MeteredInterfaces::give_up(unsigned index) {
  remove_pins(index);
  datapath_.remove_interface(index);
}

MeteredInterfaces::Outcome MeteredInterfaces::attach_or_wait(Unattached& what, bool whole) {
  Status attached = attach(what, whole);
  return attached ? Outcome::kAttached : note_failure(what, attached.error());
}

MeteredInterfaces::Outcome MeteredInterfaces::note_failure(const Unattached& what,
                                                           const Error& why) {
  const Interface& interface = what.interface;
  if (why.is_shortage()) {
    wait(what, why);
    return Outcome::kWaits;
  }
  give_up(interface.index);
  if (auto there = link_counters(interface.index); !there && there.error().os_error == ENODEV) {
    host_.log(LogLevel::kDebug, interface.name + " has gone before it could be metered");
    return Outcome::kGone;
  }
  host_.log_warning(why.message());
  return Outcome::kRefused;
}

// For an interface that has appeared.
void MeteredInterfaces::attach_or_hold(Unattached what) {
  using Peer = Interface::Peer;
  Interface& interface = what.interface;
  if (interface.peer == Peer::kNotYet)
    if (auto link = read_link(interface.index)) interface = link->interface;
  // A link that is down carries nothing. While both ends are here, one may be about to leave for a
  // container; it would be metered there for a moment, and its packets at both ends.
  if (interface.peer == Peer::kHere && !interface.is_up) {
    held_.insert_or_assign(interface.index, std::move(what));
    return;
  }
  const Outcome outcome = attach_or_wait(what, /*whole=*/false);
  if (outcome == Outcome::kAttached && !metered_.at(interface.index).is_late)
    tell_metering(interface);
  if (outcome == Outcome::kGone) held_.insert_or_assign(interface.index, std::move(what));
}

void MeteredInterfaces::wait(const Unattached& what, const Error& why) {
  const unsigned index = what.interface.index;
  Unattached waiting = what;
  const bool pinned = !options_.pin_directory.empty() &&
                      ::access(pin_of(index, FM_HOOK_INGRESS).c_str(), F_OK) == 0;
  // Also this may fail for want of a descriptor. The next attempt reads them again.
  if (!waiting.since && !pinned)
    if (auto counters = link_counters(index)) waiting.since = *counters;
  waiting_.insert_or_assign(index, std::move(waiting));
  names_[index] = row_name(what.interface.name);
  note_shortage(why);
}

// now: the interface's counters, if they are known.
void MeteredInterfaces::add_before_attach(const Unattached& what,
                                          const std::optional<LinkCounters>& now) {
  if (what.since && now)
    datapath_.add_before_attach(what.interface.index, carried(what.interface, *what.since, *now));
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
void MeteredInterfaces::attach_waiting(uint64_t until_ns) {
  if (!shortage_ || monotonic_ns() < next_attempt_ns_) return;
  while (!waiting_.empty()) {
    if (monotonic_ns() >= until_ns) return;
    auto [index, waiting] = *waiting_.begin();
    const Outcome outcome = attach_or_wait(waiting, /*whole=*/true);
    if (outcome == Outcome::kWaits) return;
    if (outcome == Outcome::kAttached) {
      const Metered& metered = metered_.at(index);
      if (waiting.since) unmetered_ += metered.at_attach.packets() - waiting.since->packets();
      tell_metering(metered.interface);
    }
    if (outcome == Outcome::kGone) held_.insert_or_assign(index, waiting);
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
      packets += now->packets() - waiting.since->packets();
  host_.log_warning(std::to_string(waiting_.size()) +
                    " interfaces could not be attached to the end (" +
                    waiting_.begin()->second.interface.name + (waiting_.size() > 1 ? ", …" : "") +
                    "); " + std::to_string(packets) + " packets passed unmetered");
}

void MeteredInterfaces::let_go(unsigned index, std::vector<unsigned>& departed) {
  if (const auto slot = datapath_.slot_of(index)) departed.push_back(*slot);
  if (const auto found = metered_.find(index); found != metered_.end()) {
    if (found->second.is_late)
      if (auto now = link_counters(index)) settle(found->second, *now);
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

void MeteredInterfaces::lose(const InterfaceMonitor::Change& change,
                             std::vector<unsigned>& departed) {
  const unsigned index = change.interface.index;
  if (const auto held = held_.find(index); held != held_.end()) {
    add_before_attach(held->second, change.counters);
    held_.erase(held);
    return;
  }
  const bool was_metered = metered_.contains(index);
  const auto waits = waiting_.find(index);
  if (!was_metered && waits == waiting_.end()) return;
  if (!was_metered)
    add_before_attach(waits->second, change.counters);
  else if (change.counters)
    settle(metered_.at(index), *change.counters);
  let_go(index, departed);
  if (was_metered && options_.verbose)
    host_.log_info("stopped metering " + last_gone_ + ": it has been removed");
}

// An interface that has appeared or changed, with what it has carried.
MeteredInterfaces::Unattached MeteredInterfaces::appeared(const InterfaceMonitor::Change& change) {
  // If a listing has found it, all that it has ever carried may have been missed.
  Unattached what{change.interface, change.counters.value_or(LinkCounters{})};
  if (const auto held = held_.extract(change.interface.index)) what.since = held.mapped().since;
  return what;
}

void MeteredInterfaces::take(const InterfaceMonitor::Change& change,
                             std::vector<unsigned>& departed) {
  const unsigned index = change.interface.index;
  const auto found = metered_.find(index);
  const auto waits = waiting_.find(index);
  if (found != metered_.end() &&
      found->second.interface.has_link_header == change.interface.has_link_header) {
    found->second.interface = change.interface;  // even if the new name does not match
    set_ends(change.interface);
    names_[index] = row_name(change.interface.name);
    return;
  }
  bool named = false;
  const bool is_wanted = wanted(change.interface, &named) && change.is_known_link_type;
  if (waits != waiting_.end() && is_wanted) {
    waits->second.interface = change.interface;
    return;
  }
  Unattached what = appeared(change);
  if (found != metered_.end() || waits != waiting_.end()) let_go(index, departed);
  if (is_wanted) attach_or_hold(std::move(what));
}

Status MeteredInterfaces::update(std::vector<unsigned>& departed) {
  if (Status polled = monitor_->poll(changes_); !polled) {
    if (!polled.error().is_shortage()) return polled;
    note_shortage(polled.error());  // the next poll lists all interfaces
  }
  const uint64_t until = monotonic_ns() + kLongestNs;
  size_t taken = 0;
  while (taken < changes_.size() && (taken == 0 || monotonic_ns() < until)) {
    const InterfaceMonitor::Change& change = changes_[taken++];
    if (change.kind == InterfaceMonitor::Change::Kind::kVanished)
      lose(change, departed);
    else
      take(change, departed);
  }
  changes_.erase(changes_.begin(), changes_.begin() + static_cast<std::ptrdiff_t>(taken));
  // Containers are heard from their first packet if none of them waits for the answers of others.
  for (; changes_.empty() && !late_.empty() && (taken == 0 || monotonic_ns() < until); taken++)
    attach_late(departed);
  attach_waiting(until);
  if (metered_.empty() && waiting_.empty() && !options_.has_pattern())
    return Error{"interface " + last_gone_ + " has been removed"};
  return Done{};
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

}  // namespace flowmeter
