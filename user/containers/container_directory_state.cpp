// SPDX-License-Identifier: BSD-3-Clause
// How the names of containers pass from one daemon to the next, with the flows that have them.
#include "containers/container_directory.h"

namespace flowmeter {
namespace {

void append_text(ValueBytes& bytes, const std::string& text) {
  append(bytes, static_cast<uint32_t>(text.size()));
  append_array(bytes, text.data(), text.size());
}

bool read_text(ValueReader& bytes, std::string& text, size_t longest) {
  uint32_t size = 0;
  if (!bytes.read(size) || size > longest) return false;
  text.resize(size);
  return bytes.read_array(text.data(), size);
}

}  // namespace

void ContainerDirectory::save(ValueBytes& bytes) const {
  uint64_t asked_for = 0;
  for (const auto& [cgroup, known] : cgroups_) asked_for += known.owner != nullptr;
  append(bytes, asked_for);
  for (const auto& [cgroup, known] : cgroups_) {
    if (!known.owner) continue;
    append(bytes, cgroup);
    append_text(bytes, known.path);
    const ContainerName& name = known.owner->name;
    for (const auto* text : {&name.container, &name.pod, &name.pod_namespace, &name.pod_uid})
      append_text(bytes, *text);
  }
  append(bytes, uint64_t{stations_.size()});
  for (const Station& station : station_order_) {
    const Senders& senders = stations_.at(station);
    append(bytes, station.ifindex);
    append(bytes, station.address);
    append(bytes, uint8_t{senders.are_too_many});
    append(bytes, uint64_t{senders.cgroups.size()});
    append_array(bytes, senders.cgroups.data(), senders.cgroups.size());
  }
}

bool ContainerDirectory::restore(ValueReader& bytes) {
  for (const auto read :
       {&ContainerDirectory::restore_cgroup, &ContainerDirectory::restore_station}) {
    uint64_t count = 0;
    if (!bytes.read(count)) return false;
    for (; count > 0; count--)
      if (!(this->*read)(bytes)) return false;
  }
  return true;
}

// A name that is taken over is looked up again when it is needed, and stays if it is not found.
bool ContainerDirectory::restore_cgroup(ValueReader& bytes) {
  uint64_t cgroup = 0;
  std::string path;
  ContainerName name;
  if (!bytes.read(cgroup) || !read_text(bytes, path, kLongestPath)) return false;
  for (auto* text : {&name.container, &name.pod, &name.pod_namespace, &name.pod_uid})
    if (!read_text(bytes, *text, EndOwner::kMaxText)) return false;
  if (cgroup == 0) return true;
  const bool is_there = cgroups_.count(cgroup) != 0;
  if (!is_there) add(cgroup, path);
  const auto found = cgroups_.find(cgroup);
  if (found == cgroups_.end()) return true;  // there is no room
  Known& known = found->second;
  if (!is_there) mark_gone(known);
  auto owner = std::make_shared<Owner>(*owner_by(known.path));
  if (known.owner || owner->container_id != owner_by(path)->container_id) return true;
  owner->name = std::move(name);
  known.owner = std::move(owner);
  return true;
}

bool ContainerDirectory::restore_station(ValueReader& bytes) {
  Station station{};
  uint8_t are_too_many = 0;
  uint64_t count = 0;
  if (!bytes.read(station.ifindex) || !bytes.read(station.address) || !bytes.read(are_too_many) ||
      !bytes.read(count))
    return false;
  if (count > kMostSenders) return false;
  std::vector<uint64_t> cgroups(count);
  if (!bytes.read_array(cgroups.data(), count)) return false;
  Senders& senders = senders_at(station);
  senders.are_too_many = are_too_many != 0;
  senders.cgroups = std::move(cgroups);
  return true;
}

}  // namespace flowmeter
