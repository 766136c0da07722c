// SPDX-License-Identifier: BSD-3-Clause
// What ethtool says about an interface: its driver, and its offloads (ETHTOOL_GFEATURES), which
// merge and split packets: because of them, the buffers that the meter sees are not the packets on
// the wire, whose form may be uncertain.
#pragma once

#include <string>

#include "base/result.h"

namespace flowmeter {

struct Offloads {
  bool tso = false;  // TCP segmentation by the device, IPv4 or IPv6
  bool gso = false;  // segmentation late in the stack
  bool tx_udp_segmentation = false;
  bool gro = false;      // merging in the stack
  bool hw_gro = false;   // merging by the device, so that it can be undone
  bool lro = false;      // merging by the device
  bool rx_vlan = false;  // a VLAN tag is moved from the frame into metadata
  bool tx_vlan = false;
};

// Needs no privileges.
Result<Offloads> read_offloads(const std::string& interface);

// Whether the device delivers buffers of several packets whose form on the wire is not certain.
enum class DeviceMerging { kOff, kOn };

// Also kOff for an interface whose offloads cannot be read.
DeviceMerging device_merging(const std::string& interface);

// The name of the driver; empty if it cannot be read.
std::string driver_of(const std::string& interface);

}  // namespace flowmeter
