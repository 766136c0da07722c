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
constexpr std::string_view kServices = "/system.slice/";  // of systemd, such as engines
constexpr size_t kLongestName = 256;                      // of 253 bytes at most in Kubernetes

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
  next_walk_ns_ = std::min(next_walk_ns_, next_walk_after_loss_ns_);
}

void ContainerDirectory::removed(uint64_t cgroup) {
  const auto found = cgroups_.find(cgroup);
  if (found != cgroups_.end()) mark_gone(found->second);
}

size_t ContainerDirectory::StationHash::operator()(const Station& station) const {
  return std::hash<uint64_t>()(station.address ^ uint64_t{station.ifindex} << 32);
}

void ContainerDirectory::note_sender(uint32_t ifindex, uint64_t station, uint64_t cgroup) {
  if (cgroup == 0) return;
  if (ifindex == 0) {
    owner_of(cgroup);
    return;
  }
  Senders& senders = senders_at({ifindex, station});
  const auto& all = senders.cgroups;
  if (senders.are_too_many || std::find(all.begin(), all.end(), cgroup) != all.end()) return;
  owner_of(cgroup);
  if (all.size() == kMostSenders)
    senders.are_too_many = true;
  else
    senders.cgroups.push_back(cgroup);
}

ContainerDirectory::Senders& ContainerDirectory::senders_at(const Station& station) {
  auto [at, is_new] = stations_.try_emplace(station);
  if (!is_new) return at->second;
  at->second.place = station_order_.insert(station_order_.end(), station);
  if (stations_.size() > kMostStations) {
    stations_.erase(station_order_.front());
    station_order_.pop_front();
  }
  return at->second;
}

EndOwner ContainerDirectory::name(const EndTrace& end) {
  if (end.source == FM_OWNER_SOCKET || end.source == FM_OWNER_LISTENER) {
    SharedOwner owner = owner_of(end.cgroup);
    // The interface may lead to others, too.
    if (!owner && end.pid == 0) return {};
    return named(end, std::move(owner), attribution_name(end.source));
  }
  if (end.ifindex != 0)
    if (SharedOwner owner = owner_at({end.ifindex, end.station}))
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
  auto owner = std::make_shared<Owner>(known->owner ? *known->owner : *owner_by(known->path));
  look_up_name(*owner);
  return known->owner = std::move(owner);
}

// An engine's own sockets do not count: Docker's resolver asks for the container from inside of its
// network namespace. Nor do those of other processes beside the container's.
ContainerDirectory::SharedOwner ContainerDirectory::owner_at(const Station& station) {
  const auto found = stations_.find(station);
  if (found == stations_.end() || found->second.are_too_many) return nullptr;
  SharedOwner one;
  bool is_pod = false, are_several = false;
  for (const uint64_t cgroup : found->second.cgroups) {
    SharedOwner next = owner_of(cgroup);
    if (!next) return nullptr;  // it may be another container's
    const auto is_container = [](const Owner& owner) {
      return !owner.container_id.empty() || !owner.name.pod_uid.empty();
    };
    if (!is_container(*next) && next->cgroup.find(kServices) != std::string::npos) continue;
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

ContainerDirectory::SharedOwner ContainerDirectory::owner_by(const std::string& path) const {
  const CgroupPath parsed = parse_cgroup_path(path);
  auto owner = std::make_shared<Owner>();
  owner->cgroup = name_text(path, EndOwner::kMaxText);
  owner->owner_cgroup =
      name_text(std::string_view(path).substr(0, parsed.owner_end), EndOwner::kMaxText);
  owner->container_id = parsed.container_id;
  owner->name.pod_uid = parsed.pod_uid;
  owner->user = parsed.user;
  return owner;
}

// Others than root can give a cgroup any name. If that is the id of a container of the system, the
// cgroup is not one of it.
std::optional<ContainerName> ContainerDirectory::find_name(Owner& owner, uint64_t now_ns) {
  if (owner.container_id.empty()) return {};
  if (engine_) {
    auto told = engine_->find(owner.container_id);
    if (told && engine_->knows_containers_of(owner.user)) return told;
    if (told && engine_->knows_containers_of(0)) owner.container_id.clear();
  }
  auto name = names_.find(owner.container_id, now_ns);
  if (owner.user == 0) return name;
  if (name) owner.container_id.clear();
  return {};
}

void ContainerDirectory::look_up_name(Owner& owner) {
  const uint64_t now = now_ns_();
  owner.ask_again_ns = UINT64_MAX;
  if (owner.container_id.empty() && owner.name.pod_uid.empty()) return;
  auto name = find_name(owner, now);
  owner.ask_again_ns = now + (name ? kAskAgain : kAskForUnknown);
  if (name) {
    if (!owner.name.pod_uid.empty()) name->pod_uid = owner.name.pod_uid;
    owner.name = std::move(*name);
  }
  if (owner.user != 0 && pods_.contains(owner.name.pod_uid)) owner.name.pod_uid.clear();
  if (owner.name.pod_uid.empty() || owner.user != 0) return;
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

// Walks take at most a fiftieth of the time, and a tenth while events are lost, which a container
// that may make cgroups can bring about.
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
  next_walk_after_loss_ns_ = end + std::max(kSecond, 10 * (end - begin));
}

}  // namespace flowmeter
