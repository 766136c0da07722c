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

namespace flowmeter {
namespace {

constexpr const char* kHookNames[] = {"ingress", "egress"};
// When the kernel has counted this many packets, our program should have counted some.
constexpr uint64_t kEnoughToKnow = 16;

uint64_t link_packets(const LinkCounters& counters, fm_hook hook) {
  return hook == FM_HOOK_INGRESS ? counters.rx_packets : counters.tx_packets;
}

uint64_t link_bytes(const LinkCounters& counters, fm_hook hook) {
  return hook == FM_HOOK_INGRESS ? counters.rx_bytes : counters.tx_bytes;
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
  if (Status listed = monitor_->poll(changes_); !listed) return listed;
  for (const InterfaceMonitor::Change& change : changes_) {
    bool named = false;
    if (!wanted(change.interface, &named) || (!named && !change.is_known_link_type)) continue;
    if (Status attached = attach(change.interface); !attached) {
      if (named) return attached;
      host_.log_warning(attached.error().message());
    }
  }
  changes_.clear();
  // Interfaces of an earlier run that have vanished meanwhile.
  for (const unsigned index : datapath_.interfaces())
    if (!metered_.contains(index)) let_go(index, departed);
  for (const InterfaceSelector& selector : options_.selectors)
    if (!selector.is_pattern() &&
        std::none_of(metered_.begin(), metered_.end(),
                     [&](const auto& each) { return selector.matches(each.second.interface); }))
      return Error{"no interface " + selector.text()};
  if (metered_.empty())
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

void MeteredInterfaces::remove_pins(unsigned index) const {
  if (options_.pin_directory.empty()) return;
  for (const fm_hook hook : {FM_HOOK_INGRESS, FM_HOOK_EGRESS})
    ::unlink(pin_of(index, hook).c_str());
}

Result<Attachment> MeteredInterfaces::attach_hook(const Interface& interface, fm_hook hook) {
  const bool ingress = hook == FM_HOOK_INGRESS;
  const Direction direction = ingress ? Direction::kIngress : Direction::kEgress;
  const bool xdp = ingress && (options_.hook == Hook::kXdp || options_.hook == Hook::kXdpGeneric);
  const int program =
      xdp ? datapath_.xdp_program_fd(interface) : datapath_.program_fd(interface, hook);
  if (!options_.pin_directory.empty()) {
    auto adopted = Attachment::adopt(pin_of(interface.index, hook), program);
    if (adopted) return adopted;
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

Status MeteredInterfaces::attach(const Interface& interface) {
  if (options_.hook == Hook::kXdp)
    if (const std::string caution = xdp_caution(interface); !caution.empty())
      host_.log_warning(caution);
  if (Status added = datapath_.add_interface(interface, device_merging(interface.name)); !added)
    return added;
  Metered metered;
  metered.interface = interface;
  metered.since_ns = monotonic_ns();
  if (auto counters = link_counters(interface.index)) metered.at_attach = *counters;
  for (const fm_hook hook : {FM_HOOK_INGRESS, FM_HOOK_EGRESS}) {
    // Each packet on loopback passes both hooks, so one is sufficient.
    if (interface.is_loopback && hook == FM_HOOK_EGRESS) continue;
    auto attachment = attach_hook(interface, hook);
    if (!attachment) {
      metered.hooks.clear();
      remove_pins(interface.index);
      datapath_.remove_interface(interface.index);
      return attachment.error();
    }
    metered.hooks.push_back({hook, std::move(*attachment)});
  }
  names_[interface.index] = row_name(interface.name);
  metered_.insert_or_assign(interface.index, std::move(metered));
  return Done{};
}

void MeteredInterfaces::let_go(unsigned index, std::vector<unsigned>& departed) {
  if (const auto slot = datapath_.slot_of(index)) departed.push_back(*slot);
  if (const auto found = metered_.find(index); found != metered_.end()) {
    last_gone_ = found->second.interface.name;
    metered_.erase(found);
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
  if (Status polled = monitor_->poll(changes_); !polled) return polled;
  using Kind = InterfaceMonitor::Change::Kind;
  for (const InterfaceMonitor::Change& change : changes_) {
    const unsigned index = change.interface.index;
    const auto found = metered_.find(index);
    if (change.kind == Kind::kVanished) {
      if (found == metered_.end()) continue;
      let_go(index, departed);
      if (options_.verbose)
        host_.log_info("stopped metering " + last_gone_ + ": it has been removed");
    } else if (found != metered_.end() &&
               found->second.interface.has_link_header == change.interface.has_link_header) {
      found->second.interface = change.interface;  // even if the new name does not match
      names_[index] = row_name(change.interface.name);
    } else {
      if (found != metered_.end()) let_go(index, departed);
      bool named = false;
      if (!wanted(change.interface, &named) || !change.is_known_link_type) continue;
      if (Status attached = attach(change.interface); !attached)
        host_.log_warning(attached.error().message());
      else if (options_.verbose)
        host_.log_info("metering " + change.interface.name);
    }
  }
  if (metered_.empty() && !options_.has_pattern())
    return Error{"interface " + last_gone_ + " has been removed"};
  return Done{};
}

void MeteredInterfaces::check(uint64_t grace_ns) {
  std::vector<InterfaceCounters> counters;
  for (auto& [index, metered] : metered_) {
    for (auto& [hook, attachment, moved, warned] : metered.hooks) {
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
      auto now = link_counters(index);
      if (now &&
          link_packets(*now, hook) - link_packets(metered.at_attach, hook) >= kEnoughToKnow) {
        warned = true;
        host_.log_warning(
            attachment.what() +
            ": the kernel counts packets, but none reaches the program: another program takes "
            "them first (flowmeter-ebpf doctor shows it; --attach-order chooses the place)");
      }
    }
  }
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
    auto now = link_counters(each.index);
    for (const fm_hook hook : {FM_HOOK_INGRESS, FM_HOOK_EGRESS}) {
      uint64_t packets = 0, bytes = 0;
      if (now && found != metered_.end()) {
        packets = link_packets(*now, hook) - link_packets(found->second.at_attach, hook);
        bytes = link_bytes(*now, hook) - link_bytes(found->second.at_attach, hook);
      }
      if (found != metered_.end() && found->second.interface.is_loopback && hook == FM_HOOK_EGRESS)
        continue;
      accounts.push_back({std::string(name_of(each.index)), hook, each.hook[hook], packets, bytes});
    }
  }
  for (const fm_hook hook : {FM_HOOK_INGRESS, FM_HOOK_EGRESS})
    if (datapath_.journal().departed[hook].seen > 0)
      accounts.push_back({"(gone)", hook, datapath_.journal().departed[hook], 0, 0});
  return accounts;
}

}  // namespace flowmeter
