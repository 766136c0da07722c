// SPDX-License-Identifier: BSD-3-Clause
// The names of containers as their engine tells them (--engine): Docker's HTTP API, which Podman
// has too, or CRI (containerd, CRI-O, cri-dockerd). The first answer shows which of them it is.
// Only lists are asked for, which changes nothing. A thread asks, with time-outs and bounded
// answers, so that an engine that hangs or lies costs the meter nothing but names.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "base/curl.h"
#include "base/host.h"
#include "base/result.h"
#include "containers/container_names.h"

namespace flowmeter {

class EngineNames {
 public:
  // address: "unix:///…". Loads libcurl, which a confined process cannot do.
  static Result<std::unique_ptr<EngineNames>> open(const std::string& address, Host& host);
  ~EngineNames();

  // What the latest answer says. For an id that it lacks, the engine is asked again, at most once a
  // second, and never waited for. The first call starts the thread: the process is confined by
  // then.
  std::optional<ContainerName> find(std::string_view container_id);
  // Whether the engine is believed about containers of this user (0: of the system). Users can give
  // a cgroup the id of somebody else's container, and their engines may say anything.
  bool knows_containers_of(uint32_t user) const;

 private:
  enum class Kind { kUnknown, kDocker, kCri };

  EngineNames(std::string path, const Curl& curl, Host& host)
      : path_(std::move(path)), curl_(curl), host_(host) {}
  bool start();
  void run();
  // Asks once, and tells in the log if that works or fails for the first time.
  void ask();
  Result<NamesById> names();
  Result<NamesById> ask_docker();
  Result<NamesById> ask_cri();
  bool stops();

  const std::string path_;  // of the socket
  const Curl& curl_;
  Host& host_;
  std::thread thread_;
  bool has_no_thread_ = false;  // that was logged
  Kind kind_ = Kind::kUnknown;  // of the thread
  std::string failure_;         // of the thread: what was logged last; empty: it works

  mutable std::mutex mutex_;  // guards the following members
  std::condition_variable changed_;
  bool stops_ = false;
  bool is_wanted_ = false;
  std::shared_ptr<const NamesById> names_ = std::make_shared<NamesById>();
  uint32_t user_ = 0;  // to whom the socket belongs
};

}  // namespace flowmeter
