// SPDX-License-Identifier: BSD-3-Clause
#include "ops/privileges.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace flowmeter {

std::string missing_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return "";
  const uint64_t effective = uint64_t{data[1].effective} << 32 | data[0].effective;
  const auto has = [&](int capability) { return (effective >> capability & 1) != 0; };
  if (has(CAP_SYS_ADMIN) && has(CAP_NET_ADMIN)) return "";
  std::string missing;
  const auto need = [&](int capability, const char* name) {
    if (!has(capability)) missing += (missing.empty() ? "" : ", ") + std::string(name);
  };
  need(CAP_BPF, "CAP_BPF");
  need(CAP_NET_ADMIN, "CAP_NET_ADMIN");
  need(CAP_PERFMON, "CAP_PERFMON");
  return missing;
}

}  // namespace flowmeter
