// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/interface_monitor.h"

#include <set>

namespace flowmeter {

using Kind = InterfaceMonitor::Change::Kind;
using Peer = Interface::Peer;

Result<std::unique_ptr<InterfaceMonitor>> InterfaceMonitor::open() {
  Result<RtnetlinkSocket> socket = RtnetlinkSocket::open();
  if (!socket) return socket.error();
  return std::unique_ptr<InterfaceMonitor>(new InterfaceMonitor(std::move(*socket)));
}

Status InterfaceMonitor::poll(std::vector<Change>& changes) {
  for (;;) {
    messages_.clear();
    Result<RtnetlinkSocket::Receipt> receipt = socket_.receive(messages_);
    if (!receipt) return receipt.error();
    if (*receipt == RtnetlinkSocket::Receipt::kNothing) break;
    if (*receipt == RtnetlinkSocket::Receipt::kLost) must_list_ = true;
    if (must_list_) continue;  // these notifications are older than the listing that follows
    for (LinkMessage& message : messages_) {
      if (message.is_deleted)
        lose(message.interface.index, message.counters, changes);
      else
        see(message, changes);
    }
  }
  return must_list_ ? list(changes) : Done{};
}

// Notifications report changes during the listing later. They may also repeat what the list already
// had, but the last notification of a link always describes its current state.
Status InterfaceMonitor::list(std::vector<Change>& changes) {
  Result<LinkList> list = list_links();
  if (!list) return list.error();

  // Links may change during the listing, so a link that is missing from it may exist. The next poll
  // tries again.
  must_list_ = !list->is_whole;
  std::set<unsigned> gone;
  if (list->is_whole)
    for (const auto& [index, link] : known_) gone.insert(index);
  for (const LinkMessage& link : list->links) {
    const auto known = known_.find(link.interface.index);
    const bool is_another =
        known != known_.end() && (known->second.link_type != link.link_type ||
                                  known->second.hardware_address != link.hardware_address);
    if (is_another)
      gone.insert(link.interface.index);
    else
      gone.erase(link.interface.index);
  }
  // Vanished interfaces first, since others may have taken their names.
  for (unsigned index : gone) lose(index, std::nullopt, changes);
  for (LinkMessage& link : list->links) see(link, changes);
  return Done{};
}

void InterfaceMonitor::see(LinkMessage& link, std::vector<Change>& changes) {
  const auto [it, is_new] = known_.try_emplace(link.interface.index);
  LinkMessage& known = it->second;
  if (is_new || known.interface != link.interface ||
      known.is_known_link_type != link.is_known_link_type) {
    Change change{is_new ? Kind::kAppeared : Kind::kChanged, link.interface, "",
                  link.is_known_link_type, link.counters};
    if (!is_new && known.interface.name != link.interface.name)
      change.old_name = known.interface.name;
    changes.push_back(std::move(change));
  }
  known = std::move(link);
  join(it->first, known.interface);
}

// The end of a pair that is made first is reported before there is another.
void InterfaceMonitor::join(unsigned index, const Interface& end) {
  if (end.peer != Peer::kHere) return;
  const auto other = known_.find(end.peer_index);
  if (other == known_.end() || other->second.interface.peer != Peer::kNotYet) return;
  other->second.interface.peer = Peer::kHere;
  other->second.interface.peer_index = index;
}

void InterfaceMonitor::lose(unsigned index, const std::optional<LinkCounters>& counters,
                            std::vector<Change>& changes) {
  const auto it = known_.find(index);
  if (it == known_.end()) return;
  Interface interface = std::move(it->second.interface);
  const unsigned other = interface.peer == Peer::kHere ? interface.peer_index : 0;
  changes.push_back(
      {Kind::kVanished, std::move(interface), "", it->second.is_known_link_type, counters});
  known_.erase(it);
  part(other, index, changes);
}

// If both ends are deleted, the other's kVanished follows.
void InterfaceMonitor::part(unsigned index, unsigned from, std::vector<Change>& changes) {
  const auto it = known_.find(index);
  if (it == known_.end() || it->second.interface.peer != Peer::kHere ||
      it->second.interface.peer_index != from)
    return;
  it->second.interface.peer = Peer::kElsewhere;
  it->second.interface.peer_index = 0;
  it->second.interface.is_one_end = true;
  changes.push_back({Kind::kChanged, it->second.interface, "", it->second.is_known_link_type});
}

}  // namespace flowmeter
