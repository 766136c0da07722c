// SPDX-License-Identifier: BSD-3-Clause
#include "run/live_owners.h"

#include <array>
#include <string>
#include <unordered_map>

namespace flowmeter {
namespace {

// Names a cgroup by its number.
class CgroupNumbers final : public OwnerNames {
 public:
  void note_sender(uint32_t ifindex, uint64_t cgroup) override { behind_[ifindex] = cgroup; }
  EndOwner name(const EndTrace& end) override {
    EndOwner owner;
    uint64_t cgroup = end.cgroup;
    if (cgroup != 0) {
      owner.attribution = end.source == FM_OWNER_LISTENER ? "listener" : "socket";
    } else if (const auto found = behind_.find(end.ifindex); found != behind_.end()) {
      owner.attribution = "interface";
      cgroup = found->second;
    }
    std::string& text = texts_[turn_ ^= 1];
    text = cgroup != 0 ? std::to_string(cgroup) : "";
    owner.cgroup = text;
    owner.pid = end.pid;
    return owner;
  }

 private:
  std::unordered_map<uint32_t, uint64_t> behind_;
  std::array<std::string, 2> texts_;  // of the latest two
  size_t turn_ = 0;
};

}  // namespace

LiveOwners::LiveOwners() = default;
LiveOwners::~LiveOwners() = default;

Status LiveOwners::open(const Config& config, const BpfDatapath&, Host&) {
  if (config.attribute != Attribute::kOff) names_ = std::make_unique<CgroupNumbers>();
  return Done{};
}

}  // namespace flowmeter
