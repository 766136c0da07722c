// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/offloads.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace flowmeter {
namespace {

// Any family will do. The sandbox of a meter without URLs has no Internet sockets.
UniqueFd control_socket() {
  return UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

// One ETHTOOL_… command.
bool ethtool(const UniqueFd& socket, const std::string& interface, void* command) {
  struct ifreq request {};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = static_cast<char*>(command);
  return ::ioctl(socket.get(), SIOCETHTOOL, &request) == 0;
}

}  // namespace

Result<Offloads> read_offloads(const std::string& interface) {
  const auto failed = [&] { return Error{"cannot read the offloads of " + interface, errno}; };
  const UniqueFd socket = control_socket();
  if (!socket) return failed();

  // The commands end in arrays, so they are passed as words. The numbers of features differ between
  // kernels, their names do not.
  std::vector<uint32_t> count = {ETHTOOL_GSSET_INFO, 0, 1u << ETH_SS_FEATURES, 0, 0};
  if (!ethtool(socket, interface, count.data())) return failed();
  const uint32_t features = count[2] != 0 ? count[4] : 0;

  std::vector<uint32_t> names(3 + size_t{features} * ETH_GSTRING_LEN / sizeof(uint32_t));
  names[0] = ETHTOOL_GSTRINGS;
  names[1] = ETH_SS_FEATURES;
  names[2] = features;
  if (!ethtool(socket, interface, names.data())) return failed();

  // The words of a block are: available, requested, active, never changed.
  const uint32_t blocks = (features + 31) / 32;
  std::vector<uint32_t> states(2 + size_t{blocks} * 4);
  states[0] = ETHTOOL_GFEATURES;
  states[1] = blocks;
  if (!ethtool(socket, interface, states.data())) return failed();

  Offloads offloads;
  const struct {
    std::string_view name;
    bool* on;
  } wanted[] = {
      {"tx-tcp-segmentation", &offloads.tso},
      {"tx-tcp6-segmentation", &offloads.tso},
      {"tx-generic-segmentation", &offloads.gso},
      {"tx-udp-segmentation", &offloads.tx_udp_segmentation},
      {"rx-gro", &offloads.gro},
      {"rx-gro-hw", &offloads.hw_gro},
      {"rx-lro", &offloads.lro},
      {"rx-vlan-hw-parse", &offloads.rx_vlan},
      {"tx-vlan-hw-insert", &offloads.tx_vlan},
  };
  for (uint32_t feature = 0; feature < features; feature++) {
    const char* text = reinterpret_cast<const char*>(names.data() + 3) + feature * ETH_GSTRING_LEN;
    std::string_view name(text, ETH_GSTRING_LEN);
    name = name.substr(0, name.find('\0'));
    const bool active = (states[2 + feature / 32 * 4 + 2] >> (feature % 32) & 1) != 0;
    for (const auto& each : wanted)
      if (active && name == each.name) *each.on = true;
  }
  return offloads;
}

DeviceMerging device_merging(const std::string& interface) {
  auto offloads = read_offloads(interface);
  const bool merges = offloads && (offloads->lro || offloads->hw_gro);
  return merges ? DeviceMerging::kOn : DeviceMerging::kOff;
}

std::string driver_of(const std::string& interface) {
  struct ethtool_drvinfo info {};
  info.cmd = ETHTOOL_GDRVINFO;
  return ethtool(control_socket(), interface, &info) ? info.driver : "";
}

}  // namespace flowmeter
