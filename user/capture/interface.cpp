// SPDX-License-Identifier: BSD-3-Clause
#include "capture/interface.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/unique_fd.h"

namespace flowmeter {
namespace {

std::string all_names() {
  std::string names;
  struct if_nameindex* list = ::if_nameindex();
  for (struct if_nameindex* i = list; i && i->if_index; i++)
    names += (names.empty() ? "" : ", ") + std::string(i->if_name);
  if (list) ::if_freenameindex(list);
  return names;
}

}  // namespace

Result<Interface> find_interface(const std::string& name) {
  Interface interface;
  interface.name = name;
  interface.index = ::if_nametoindex(name.c_str());
  if (interface.index == 0)
    return Error{"no interface " + name + " (there are: " + all_names() + ")"};

  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  struct ifreq request {};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  if (!socket || ::ioctl(socket.get(), SIOCGIFHWADDR, &request) != 0)
    return Error{"cannot read the link type of interface " + name, errno};
  switch (request.ifr_hwaddr.sa_family) {
    case ARPHRD_LOOPBACK:
      interface.is_loopback = true;
      break;
    case ARPHRD_ETHER:
      break;
    case ARPHRD_NONE:  // tun, WireGuard
    case ARPHRD_PPP:
    case ARPHRD_RAWIP:
    case ARPHRD_TUNNEL:
    case ARPHRD_TUNNEL6:
    case ARPHRD_SIT:
    case ARPHRD_IPGRE:
      interface.has_link_header = false;
      break;
    default:
      return Error{"interface " + name + " has link type " +
                   std::to_string(request.ifr_hwaddr.sa_family) +
                   " (ARPHRD_…), which is not known; Ethernet, loopback and IP interfaces are"};
  }
  return interface;
}

bool interface_exists(const Interface& interface) {
  char name[IF_NAMESIZE];
  return ::if_indextoname(interface.index, name) != nullptr || errno != ENXIO;
}

}  // namespace flowmeter
