// SPDX-License-Identifier: BSD-3-Clause
#include "features/owner_text.h"

#include "features/identity.h"

namespace flowmeter {

std::string owner_name(const EndOwner& owner) {
  constexpr size_t kShortId = 12;  // as docker ps shows it
  if (!owner.pod_name.empty())
    return std::string(owner.pod_namespace) + "/" + std::string(owner.pod_name);
  if (!owner.container_name.empty()) return std::string(owner.container_name);
  if (!owner.container_id.empty()) return std::string(owner.container_id.substr(0, kShortId));
  if (!owner.pod_uid.empty()) return std::string(owner.pod_uid);
  return std::string(owner.cgroup.substr(owner.cgroup.rfind('/') + 1));
}

std::string end_text(const fm_flow_key& key, unsigned end, const std::string& owner_name) {
  if (owner_name.empty()) return endpoint_text(key, end);
  if (key.kind != FM_KEY_PORTS) return owner_name;
  return owner_name + ':' + std::to_string(key.port[end]);
}

}  // namespace flowmeter
