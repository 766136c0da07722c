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
  if (must_list_)
    if (Status listed = list(changes); !listed) return listed;
  part(changes);
  return Done{};
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
  join(it->first, known.interface, changes);
}

// The end of a pair that is made first is reported before there is another, which is no change.
void InterfaceMonitor::join(unsigned index, const Interface& end, std::vector<Change>& changes) {
  if (end.peer != Peer::kHere) return;
  const auto it = known_.find(end.peer_index);
  if (it == known_.end() || it->second.interface.peer == Peer::kHere) return;
  Interface& other = it->second.interface;
  const bool comes_back = other.peer == Peer::kElsewhere;
  other.peer = Peer::kHere;
  other.peer_index = index;
  if (comes_back) changes.push_back({Kind::kChanged, other, "", it->second.is_known_link_type});
}

void InterfaceMonitor::lose(unsigned index, const std::optional<LinkCounters>& counters,
                            std::vector<Change>& changes) {
  const auto it = known_.find(index);
  if (it == known_.end()) return;
  Interface interface = std::move(it->second.interface);
  if (interface.peer == Peer::kHere) parted_.emplace_back(interface.peer_index, index);
  changes.push_back(
      {Kind::kVanished, std::move(interface), "", it->second.is_known_link_type, counters});
  known_.erase(it);
}

// Only when all else is known: if both ends were deleted, the other one has gone, too.
void InterfaceMonitor::part(std::vector<Change>& changes) {
  const auto leads_to = [this](unsigned index, unsigned other) {
    const auto it = known_.find(index);
    return it != known_.end() && it->second.interface.peer == Peer::kHere &&
           it->second.interface.peer_index == other;
  };
  for (const auto& [left, gone] : parted_) {
    if (!leads_to(left, gone) || leads_to(gone, left)) continue;
    LinkMessage& link = known_.at(left);
    link.interface.peer = Peer::kElsewhere;
    link.interface.peer_index = 0;
    changes.push_back({Kind::kChanged, link.interface, "", link.is_known_link_type});
  }
  parted_.clear();
}

}  // namespace flowmeter
