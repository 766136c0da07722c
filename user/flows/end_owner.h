// SPDX-License-Identifier: BSD-3-Clause
// Whose packets a flow has (--attribute): what the kernel tells about the sockets at both ends, and
// the names that these have in a row.
#pragma once

#include <cstdint>
#include <string_view>

#include "flowmeter/abi.h"

namespace flowmeter {

// What is known of one end of a flow, without names. Zeros: nothing.
struct EndTrace {
  uint64_t cgroup = 0;   // id in cgroup v2 of the socket that sends; 0: none was seen
  uint32_t pid = 0;      // with --attribute process; 0: unknown
  uint32_t ifindex = 0;  // the interface that leads to this end alone, such as a container's veth
  fm_owner_source source = FM_OWNER_UNKNOWN;  // how cgroup and pid are known
  char comm[FM_COMM_BYTES] = {};              // not terminated if it is that long
  uint64_t station = 0;                       // the end's hardware address behind the interface
};

// One end of a flow as its row has it. Texts are safe in every output (containers/name_text.h) and
// valid until the next call but one of the OwnerNames that made them; what is not known is empty.
struct EndOwner {
  static constexpr size_t kMaxText = 1024;  // bytes of each of them

  std::string_view attribution = "none";  // "socket", "listener", "interface" or "none"
  std::string_view container_id;
  std::string_view container_name;
  std::string_view pod_uid;
  std::string_view pod_name;
  std::string_view pod_namespace;
  std::string_view cgroup;  // path in the cgroup v2 tree
  std::string_view comm;
  uint32_t pid = 0;
};

// Knows the names of owners. Not thread-safe.
class OwnerNames {
 public:
  virtual ~OwnerNames() = default;
  // Learns from a socket whose packet has come out of an interface, from this hardware address:
  // both together are its container's.
  virtual void note_sender(uint32_t ifindex, uint64_t station, uint64_t cgroup) = 0;
  virtual EndOwner name(const EndTrace& end) = 0;
};

}  // namespace flowmeter
