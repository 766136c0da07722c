// SPDX-License-Identifier: BSD-3-Clause
#include "run/live_owners.h"

namespace flowmeter {
namespace {

Result<std::unique_ptr<ContainerDirectory>> open_directory(const Config& config, Host& host) {
  std::unique_ptr<EngineNames> engine;
  if (!config.engine.empty()) {
    auto opened = EngineNames::open(config.engine, host);
    if (!opened) return opened.error();
    engine = std::move(*opened);
  }
  return std::make_unique<ContainerDirectory>(ContainerDirectory::Options{}, std::move(engine),
                                              host);
}

}  // namespace

Status LiveOwners::open(const Config& config, const BpfDatapath& datapath, Host& host) {
  if (config.attribute == FM_ATTRIBUTE_OFF) return Done{};
  if (config.verbose) verbose_host_ = &host;
  // Before the directory searches the tree, so that no cgroup is made in between.
  if (auto events = CgroupEvents::open())
    events_ = std::move(*events);
  else if (verbose_host_)
    host.log_info(
        "cgroups are found by searching their tree, which misses those that live less "
        "than a second: " +
        events.error().message());
  auto directory = open_directory(config, host);
  if (!directory) return directory.error();
  directory_ = std::move(*directory);
  const std::string tree = directory_->mount();
  if (config.attribute != FM_ATTRIBUTE_PROCESS || tree.empty()) return Done{};
  auto sockets = SocketOwners::open(tree, datapath.socket_owners_fd(), host);
  if (!sockets) return sockets.error();
  sockets_ = std::move(*sockets);
  return Done{};
}

void LiveOwners::add_needs(Confinement& needs) const {
  if (directory_) directory_->add_needs(needs);
}

void LiveOwners::follow_cgroups() {
  if (!events_) return;
  const bool complete =
      events_->drain([this](uint64_t id, std::string_view path) { directory_->created(id, path); },
                     [this](uint64_t id) { directory_->removed(id); });
  if (complete) return;
  directory_->missed_some();
  if (verbose_host_) {
    verbose_host_->log_info("some cgroup events were lost, so these cgroups are searched for");
    verbose_host_ = nullptr;
  }
}

}  // namespace flowmeter
