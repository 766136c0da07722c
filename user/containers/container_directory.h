// SPDX-License-Identifier: BSD-3-Clause
// Knows the containers of this machine by the ids of their cgroups (--attribute). The path of a
// cgroup is learned when a cgroup is created (created()), else by walking the tree when an id is
// not known; names are looked up when a row needs them. Cgroups that have gone are remembered,
// because rows come later than containers end. Everything is bounded, and texts are safe
// (name_text.h). Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/confinement.h"
#include "base/host.h"
#include "containers/cgroup_path.h"
#include "containers/cgroup_tree.h"
#include "containers/container_names.h"
#include "containers/engine_names.h"
#include "flows/end_owner.h"
#include "flows/kept_with_flows.h"

namespace flowmeter {

class ContainerDirectory final : public OwnerNames, public KeptWithFlows {
 public:
  static constexpr size_t kMostCgroups = 65'536;
  static constexpr size_t kMostPathBytes = 32 << 20;
  static constexpr size_t kMostStations = 16'384;
  static constexpr size_t kLongestPath = 4096;  // PATH_MAX
  // Different cgroups of one of them; systemd in a container has some dozens.
  static constexpr size_t kMostSenders = 64;

  struct Options {
    std::string mountinfo = "/proc/self/mountinfo";
    ContainerNames::Places places = {};
    std::function<uint64_t()> now_ns;  // empty: monotonic_ns()
  };

  // engine: also asked for names, or null. Warns if there is no cgroup v2: then only what created()
  // tells is known.
  ContainerDirectory(Options options, std::unique_ptr<EngineNames> engine, Host& host);

  // What a run with this directory still does once it is confined.
  void add_needs(Confinement& needs) const;

  // A cgroup was created. path: from the root of the tree, may have any bytes.
  void created(uint64_t cgroup, std::string_view path);
  // Some were created without being told: they can be found by another walk, which is soon.
  void missed_some();
  // It was removed. It is still known, but forgotten before those that exist.
  void removed(uint64_t cgroup);

  // Also looks for the path and the name while there is a container of it, and so asks the engine
  // before a row needs the answer. ifindex 0: no interface leads to it alone.
  void note_sender(uint32_t ifindex, uint64_t station, uint64_t cgroup) override;
  // The texts are valid until the next call but one.
  EndOwner name(const EndTrace& end) override;
  void save(ValueBytes& bytes) const override;
  bool restore(ValueReader& bytes) override;

  size_t known() const { return cgroups_.size(); }
  // Where the tree is mounted; empty: it is not.
  std::string mount() const { return tree_ ? tree_->mount() : ""; }

 private:
  // Who a cgroup belongs to, as texts.
  struct Owner {
    std::string cgroup;
    std::string container_id;
    ContainerName name;        // with the uid of the pod
    uint32_t user = 0;         // who has named the cgroup (CgroupPath)
    std::string owner_cgroup;  // of the whole container, or of the pod
    uint64_t ask_again_ns = 0;
  };
  using SharedOwner = std::shared_ptr<const Owner>;
  struct Known {
    std::string path;
    SharedOwner owner;  // null: nobody has asked
    std::list<uint64_t>::iterator place;
    bool has_gone = false;
    uint64_t seen = 0;  // number of the latest walk that met it
  };
  // A hardware address behind an interface. The number of an interface is given again, most likely
  // to one whose other end has another address.
  struct Station {
    uint32_t ifindex;
    uint64_t address;
    bool operator==(const Station&) const = default;
  };
  struct StationHash {
    size_t operator()(const Station& station) const;
  };
  // Who is there: all cgroups of sockets that have sent from there.
  struct Senders {
    std::vector<uint64_t> cgroups;
    bool are_too_many = false;
    std::list<Station>::iterator place;
  };

  bool restore_cgroup(ValueReader& bytes);
  bool restore_station(ValueReader& bytes);
  Senders& senders_at(const Station& station);
  SharedOwner owner_of(uint64_t cgroup);
  SharedOwner owner_at(const Station& station);
  Known* find(uint64_t cgroup);
  void add(uint64_t cgroup, std::string_view path);
  void forget_surplus();
  void mark_gone(Known& known);
  void walk();
  SharedOwner owner_by(const std::string& path) const;
  void look_up_name(Owner& owner);
  std::optional<ContainerName> find_name(Owner& owner, uint64_t now_ns);
  EndOwner named(const EndTrace& end, SharedOwner owner, std::string_view attribution);

  const std::function<uint64_t()> now_ns_;
  Host& host_;
  std::optional<CgroupTree> tree_;
  ContainerNames names_;
  std::unique_ptr<EngineNames> engine_;
  bool has_warned_ = false;

  std::unordered_map<uint64_t, Known> cgroups_;
  std::list<uint64_t> alive_, gone_;  // the longest known first
  size_t path_bytes_ = 0;
  uint64_t walks_ = 0;
  uint64_t next_walk_ns_ = 0, next_walk_after_loss_ns_ = 0;

  std::unordered_map<Station, Senders, StationHash> stations_;
  std::list<Station> station_order_;
  // Of pods, by uid: what one container has told about it is also true for the others.
  std::unordered_map<std::string, ContainerName> pods_;

  // What the latest EndOwners refer to.
  struct Held {
    SharedOwner owner;
    std::string comm;
  };
  std::array<Held, 2> held_;
  size_t turn_ = 0;
};

}  // namespace flowmeter
