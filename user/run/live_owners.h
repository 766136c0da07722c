// SPDX-License-Identifier: BSD-3-Clause
// The part of a live run that knows the owners of flows (--attribute): names of containers, cgroups
// that come and go, and the processes of sockets.
#pragma once

#include <memory>

#include "base/host.h"
#include "base/result.h"
#include "containers/container_directory.h"
#include "kernel/bpf_datapath.h"
#include "kernel/cgroup_events.h"
#include "kernel/socket_owners.h"
#include "run/config.h"

namespace flowmeter {

class LiveOwners {
 public:
  // Does nothing if owners are not asked for. To be called before the programs of the datapath are
  // attached, so that they know the sockets from their first packets.
  Status open(const Config& config, const BpfDatapath& datapath, Host& host);

  // null: owners are not asked for.
  OwnerNames* names() { return directory_.get(); }
  KeptWithFlows* kept_with_flows() { return directory_.get(); }
  // What this still does once the run is confined.
  void add_needs(Confinement& needs) const;
  // Learns of cgroups that were made. To be called before records of flows are processed, which may
  // be of a cgroup that has gone already.
  void follow_cgroups();

 private:
  std::unique_ptr<CgroupEvents> events_;
  std::unique_ptr<ContainerDirectory> directory_;
  std::unique_ptr<SocketOwners> sockets_;
  Host* verbose_host_ = nullptr;  // to be told, once, that events were lost
};

}  // namespace flowmeter
