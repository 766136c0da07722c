// SPDX-License-Identifier: BSD-3-Clause
#include "containers/container_directory.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "containers/name_text.h"

namespace flowmeter {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
// A name that was not found may come: an engine answers later, and the log file of a container is
// made after its cgroup.
constexpr uint64_t kAskForUnknown = kSecond / 10;
// Containers can be renamed. A row that ends later than this after a change has the new name.
constexpr uint64_t kAskAgain = 60 * kSecond;
constexpr size_t kLongestPath = 4096;  // PATH_MAX
constexpr size_t kLongestName = 256;   // of 253 bytes at most in Kubernetes

std::string_view attribution_name(fm_owner_source source) {
  switch (source) {
    case FM_OWNER_SOCKET:
      return "socket";
    case FM_OWNER_LISTENER:
      return "listener";
    case FM_OWNER_INTERFACE:
      return "interface";
    case FM_OWNER_UNKNOWN:
      break;
  }
  return "none";
}

}  // namespace

ContainerDirectory::ContainerDirectory(Options options, std::unique_ptr<EngineNames> engine,
                                       Host& host)
    : now_ns_(options.now_ns ? std::move(options.now_ns) : monotonic_ns),
      host_(host),
      names_(std::move(options.places)),
      engine_(std::move(engine)) {
  auto tree = CgroupTree::open(options.mountinfo);
  if (tree) {
    tree_ = std::move(*tree);
    walk();
  } else {
    host_.log_warning("--attribute: " + tree.error().message() +
                      ", so who owns a flow is not known (column attribution: none)");
  }
}

void ContainerDirectory::add_needs(Confinement& needs) const {
  if (tree_) needs.reads.push_back(tree_->mount());
  names_.add_needs(needs);
}

void ContainerDirectory::created(uint64_t cgroup, std::string_view path) {
  add(cgroup, path);
}

void ContainerDirectory::missed_some() {
  next_walk_ns_ = std::min(next_walk_ns_, now_ns_() + kSecond);
}

void ContainerDirectory::removed(uint64_t cgroup) {
  const auto found = cgroups_.find(cgroup);
  if (found != cgroups_.end()) mark_gone(found->second);
}

void ContainerDirectory::note_sender(uint32_t ifindex, uint64_t cgroup) {
  if (cgroup == 0) return;
  if (ifindex == 0) {
    owner_of(cgroup);
    return;
  }
  auto [at, is_new] = interfaces_.try_emplace(ifindex);
  Senders& senders = at->second;
  if (is_new) senders.place = interface_order_.insert(interface_order_.end(), ifindex);
  const auto& all = senders.cgroups;
  if (senders.are_too_many || std::find(all.begin(), all.end(), cgroup) != all.end()) return;
  owner_of(cgroup);
  if (all.size() == kMostSenders)
    senders.are_too_many = true;
  else
    senders.cgroups.push_back(cgroup);
  if (interfaces_.size() > kMostInterfaces) {
    interfaces_.erase(interface_order_.front());
    interface_order_.pop_front();
  }
}

EndOwner ContainerDirectory::name(const EndTrace& end) {
  if (end.source == FM_OWNER_SOCKET || end.source == FM_OWNER_LISTENER) {
    SharedOwner owner = owner_of(end.cgroup);
    if (owner || end.pid != 0) return named(end, std::move(owner), attribution_name(end.source));
  }
  if (end.ifindex != 0)
    if (SharedOwner owner = owner_behind(end.ifindex))
      return named({}, std::move(owner), attribution_name(FM_OWNER_INTERFACE));
  return {};
}

EndOwner ContainerDirectory::named(const EndTrace& end, SharedOwner owner,
                                   std::string_view attribution) {
  turn_ = (turn_ + 1) % held_.size();
  Held& held = held_[turn_];
  held.owner = std::move(owner);
  held.comm = name_text({end.comm, ::strnlen(end.comm, sizeof(end.comm))}, kLongestName);
  EndOwner named;
  named.attribution = attribution;
  named.pid = end.pid;
  named.comm = held.comm;
  if (!held.owner) return named;
  named.container_id = held.owner->container_id;
  named.container_name = held.owner->name.container;
  named.pod_uid = held.owner->name.pod_uid;
  named.pod_name = held.owner->name.pod;
  named.pod_namespace = held.owner->name.pod_namespace;
  named.cgroup = held.owner->cgroup;
  return named;
}

// Null: its path is not known.
ContainerDirectory::SharedOwner ContainerDirectory::owner_of(uint64_t cgroup) {
  Known* const known = find(cgroup);
  if (!known) return nullptr;
  if (known->owner && now_ns_() < known->owner->ask_again_ns) return known->owner;
  auto owner = std::make_shared<Owner>(known->owner ? *known->owner : *owner_at(known->path));
  look_up_name(*owner);
  return known->owner = std::move(owner);
}

// An engine's own sockets do not count beside those of a container: Docker's resolver asks for the
// container from inside of its network namespace.
ContainerDirectory::SharedOwner ContainerDirectory::owner_behind(uint32_t ifindex) {
  const auto found = interfaces_.find(ifindex);
  if (found == interfaces_.end() || found->second.are_too_many) return nullptr;
  SharedOwner one;
  bool is_pod = false, are_several = false;
  for (const uint64_t cgroup : found->second.cgroups) {
    SharedOwner next = owner_of(cgroup);
    if (!next) continue;
    const auto is_container = [](const Owner& owner) {
      return !owner.container_id.empty() || !owner.name.pod_uid.empty();
    };
    if (!one || (is_container(*next) && !is_container(*one))) {
      one = std::move(next);
      are_several = false;
    } else if (is_container(*one) && !is_container(*next)) {
      continue;
    } else if (one->owner_cgroup != next->owner_cgroup) {
      if (one->name.pod_uid.empty() || one->name.pod_uid != next->name.pod_uid) are_several = true;
      is_pod = true;
    }
  }
  if (!one || are_several) return nullptr;
  auto owner = std::make_shared<Owner>(*one);
  owner->cgroup = is_pod ? "" : one->owner_cgroup;
  if (is_pod) {
    owner->container_id.clear();
    owner->name.container.clear();
  }
  return owner;
}

ContainerDirectory::SharedOwner ContainerDirectory::owner_at(const std::string& path) const {
  const CgroupPath parsed = parse_cgroup_path(path);
  auto owner = std::make_shared<Owner>();
  owner->cgroup = name_text(path, EndOwner::kMaxText);
  owner->owner_cgroup =
      name_text(std::string_view(path).substr(0, parsed.owner_end), EndOwner::kMaxText);
  owner->container_id = parsed.container_id;
  owner->name.pod_uid = parsed.pod_uid;
  owner->engine = parsed.engine;
  owner->is_rootless = parsed.is_rootless;
  return owner;
}

void ContainerDirectory::look_up_name(Owner& owner) {
  const uint64_t now = now_ns_();
  owner.ask_again_ns = UINT64_MAX;
  if (owner.container_id.empty() && owner.name.pod_uid.empty()) return;
  std::optional<ContainerName> name;
  if (engine_ && !owner.container_id.empty()) name = engine_->find(owner.container_id, now);
  // Others than root can give a cgroup any name, but none of these files.
  if (!name && !owner.is_rootless && !owner.container_id.empty())
    name = names_.find(owner.container_id, now);
  owner.ask_again_ns = now + (name ? kAskAgain : kAskForUnknown);
  if (name) {
    if (!owner.name.pod_uid.empty()) name->pod_uid = owner.name.pod_uid;
    owner.name = std::move(*name);
  }
  if (owner.name.pod_uid.empty() || owner.is_rootless) return;
  if (!owner.name.pod.empty()) {
    if (pods_.size() >= kMostContainers) pods_.clear();
    pods_.insert_or_assign(owner.name.pod_uid, owner.name);
  } else if (const auto pod = pods_.find(owner.name.pod_uid); pod != pods_.end()) {
    owner.name.pod = pod->second.pod;
    owner.name.pod_namespace = pod->second.pod_namespace;
  }
}

// ---- the cgroups that are known ----

ContainerDirectory::Known* ContainerDirectory::find(uint64_t cgroup) {
  if (cgroup == 0) return nullptr;
  auto found = cgroups_.find(cgroup);
  if (found == cgroups_.end() && tree_ && now_ns_() >= next_walk_ns_) {
    walk();
    found = cgroups_.find(cgroup);
  }
  return found == cgroups_.end() ? nullptr : &found->second;
}

void ContainerDirectory::add(uint64_t cgroup, std::string_view path) {
  path = path.substr(0, kLongestPath);
  auto [at, is_new] = cgroups_.try_emplace(cgroup);
  Known& known = at->second;
  known.seen = walks_;
  if (!is_new && known.path == path && !known.has_gone) return;
  if (is_new)
    known.place = alive_.insert(alive_.end(), cgroup);
  else if (known.has_gone)
    alive_.splice(alive_.end(), gone_, known.place);
  known.has_gone = false;
  path_bytes_ = path_bytes_ - known.path.size() + path.size();
  if (known.path != path) known.owner = nullptr;
  known.path = path;
  forget_surplus();
}

void ContainerDirectory::mark_gone(Known& known) {
  if (!std::exchange(known.has_gone, true)) gone_.splice(gone_.end(), alive_, known.place);
}

void ContainerDirectory::forget_surplus() {
  while (cgroups_.size() > kMostCgroups || path_bytes_ > kMostPathBytes) {
    std::list<uint64_t>& from = gone_.empty() ? alive_ : gone_;
    const auto oldest = cgroups_.find(from.front());
    path_bytes_ -= oldest->second.path.size();
    cgroups_.erase(oldest);
    from.pop_front();
  }
}

// A walk takes at most a fiftieth of the time.
void ContainerDirectory::walk() {
  const uint64_t begin = now_ns_();
  walks_++;
  const Status walked = tree_->walk(
      kMostCgroups, [this](uint64_t cgroup, std::string_view path) { add(cgroup, path); });
  if (!walked && !std::exchange(has_warned_, true))
    host_.log_warning("--attribute: " + walked.error().message() +
                      ", so some owners of flows are not known");
  if (walked)
    for (auto at = alive_.begin(); at != alive_.end();) {
      Known& known = cgroups_.at(*at++);
      if (known.seen != walks_) mark_gone(known);
    }
  const uint64_t end = now_ns_();
  next_walk_ns_ = end + std::max(kSecond, 50 * (end - begin));
}

}  // namespace flowmeter
