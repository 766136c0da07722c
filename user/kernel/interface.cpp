// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/interface.h"

#include <net/if.h>
#include <net/if_arp.h>

#include <cerrno>

#include "kernel/rtnetlink.h"

namespace flowmeter {
namespace {

// For an error message: only the first few names, because a container host has hundreds.
std::string all_names() {
  constexpr size_t kShown = 20;
  std::string names;
  size_t count = 0;
  struct if_nameindex* list = ::if_nameindex();
  for (struct if_nameindex* i = list; i && i->if_index; i++)
    if (count++ < kShown) names += (names.empty() ? "" : ", ") + std::string(i->if_name);
  if (list) ::if_freenameindex(list);
  if (count > kShown) names += " and " + std::to_string(count - kShown) + " more";
  return names;
}

}  // namespace

bool set_link_type(Interface& interface, unsigned short link_type) {
  interface.is_loopback = link_type == ARPHRD_LOOPBACK;
  switch (link_type) {
    case ARPHRD_LOOPBACK:
    case ARPHRD_ETHER:
      interface.has_link_header = true;
      return true;
    case ARPHRD_NONE:  // tun, WireGuard
    case ARPHRD_PPP:
    case ARPHRD_RAWIP:
    case ARPHRD_TUNNEL:
    case ARPHRD_TUNNEL6:
    case ARPHRD_SIT:
    case ARPHRD_IPGRE:
      interface.has_link_header = false;
      return true;
    default:
      return false;
  }
}

uint32_t rank_of_kind(std::string_view kind) {
  if (kind == "bond" || kind == "team") return 1;
  if (kind == "vlan" || kind == "macvlan" || kind == "macvtap" || kind == "ipvlan" ||
      kind == "ipvtap")
    return 2;
  if (kind == "bridge" || kind == "openvswitch") return 3;
  if (kind == "vrf") return 4;
  return 0;
}

bool is_pair_kind(std::string_view kind) {
  return kind == "veth" || kind == "netkit";
}

bool senders_are_local(std::string_view kind) {
  return is_pair_kind(kind) || kind == "macvlan" || kind == "ipvlan";
}

Result<Interface> find_interface(const std::string& name) {
  const unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) return Error{"no interface " + name + " (there are: " + all_names() + ")"};
  Result<LinkMessage> link = read_link(index);
  if (!link) return Error{"cannot read the link type of interface " + name, link.error().os_error};
  if (!link->is_known_link_type)
    return Error{"interface " + name + " has link type " + std::to_string(link->link_type) +
                 " (ARPHRD_…), which is not supported; use an Ethernet, loopback or IP interface"};
  return link->interface;
}

Result<LinkCounters> link_counters(unsigned index) {
  Result<LinkMessage> link = read_link(index);
  if (!link)
    return Error{"cannot read the packet counters of interface index " + std::to_string(index),
                 link.error().os_error};
  if (!link->counters)
    return Error{"the kernel reports no packet counters for interface " + link->interface.name};
  return *link->counters;
}

}  // namespace flowmeter
