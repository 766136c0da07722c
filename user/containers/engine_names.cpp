// SPDX-License-Identifier: BSD-3-Clause
#include "containers/engine_names.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <system_error>
#include <utility>

#include "containers/cgroup_path.h"
#include "containers/cri_answers.h"
#include "containers/docker_json.h"
#include "containers/engine_request.h"

namespace flowmeter {
namespace {

using std::chrono::seconds;

constexpr seconds kShortest{1};  // between two questions
constexpr seconds kUsual{10};    // until names that may have changed are asked for again
constexpr std::string_view kUnix = "unix://";

}  // namespace

Result<std::unique_ptr<EngineNames>> EngineNames::open(const std::string& address, Host& host) {
  auto curl = load_curl("--engine");
  if (!curl) return curl.error();
  return std::unique_ptr<EngineNames>(new EngineNames(address.substr(kUnix.size()), **curl, host));
}

EngineNames::~EngineNames() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool EngineNames::knows_containers_of(uint32_t user) const {
  const std::lock_guard lock(mutex_);
  return user == user_ || (user == 0 && user_ == ::geteuid());
}

std::optional<ContainerName> EngineNames::find(std::string_view container_id) {
  std::shared_ptr<const NamesById> names;
  {
    const std::lock_guard lock(mutex_);
    names = names_;
  }
  const auto found = names->find(std::string(container_id));
  if (found != names->end()) return found->second;
  if (!start()) return {};
  {
    const std::lock_guard lock(mutex_);
    is_wanted_ = true;
  }
  changed_.notify_all();
  return {};
}

// False: there is no room for a thread (RLIMIT_NPROC, pids.max). The next call tries again.
bool EngineNames::start() {
  if (thread_.joinable()) return true;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    if (!std::exchange(has_no_thread_, true))
      host_.log_warning(std::string("--engine: cannot start a thread: ") + error.what() +
                        "; names of containers come from files only");
    return false;
  }
  return true;
}

void EngineNames::run() {
  std::unique_lock lock(mutex_);
  while (!stops_) {
    is_wanted_ = false;
    lock.unlock();
    ask();
    lock.lock();
    changed_.wait_for(lock, kShortest, [this] { return stops_; });
    changed_.wait_for(lock, kUsual - kShortest, [this] { return stops_ || is_wanted_; });
  }
}

bool EngineNames::stops() {
  const std::lock_guard lock(mutex_);
  return stops_;
}

void EngineNames::ask() {
  auto answer = names();
  if (stops()) return;
  if (answer) {
    auto all = std::make_shared<const NamesById>(std::move(*answer));
    if (!std::exchange(failure_, "").empty())
      host_.log_info("--engine: " + path_ + " answers again");
    struct stat socket {};
    const bool exists = ::stat(path_.c_str(), &socket) == 0;
    const std::lock_guard lock(mutex_);
    names_ = std::move(all);
    user_ = exists ? socket.st_uid : CgroupPath::kNobody;
    return;
  }
  std::string failure = answer.error().message();
  if (failure == failure_) return;
  failure_ = std::move(failure);
  host_.log_warning("--engine: " + path_ + ": " + failure_ +
                    "; names of containers come from files only");
}

Result<NamesById> EngineNames::names() {
  if (kind_ != Kind::kCri) {
    auto names = ask_docker();
    if (names) {
      kind_ = Kind::kDocker;
      return names;
    }
    if (kind_ == Kind::kDocker || names.error().os_error != 0) {
      kind_ = Kind::kUnknown;
      return names;
    }
  }
  auto names = ask_cri();
  kind_ = names ? Kind::kCri : Kind::kUnknown;
  return names;
}

Result<NamesById> EngineNames::ask_docker() {
  EngineRequest request(curl_, path_, [this] { return stops(); });
  auto answer = request.get("/containers/json?all=1");
  if (!answer) return answer.error();
  auto names = parse_docker_containers(*answer);
  if (!names) return Error{"its answer is no list of containers"};
  return std::move(*names);
}

Result<NamesById> EngineNames::ask_cri() {
  EngineRequest request(curl_, path_, [this] { return stops(); });
  auto sandboxes = request.call("/runtime.v1.RuntimeService/ListPodSandbox");
  if (!sandboxes) return sandboxes.error();
  auto containers = request.call("/runtime.v1.RuntimeService/ListContainers");
  if (!containers) return containers.error();
  auto names = parse_cri_answers(*sandboxes, *containers);
  if (!names) return Error{"its answer is no list of containers"};
  return std::move(*names);
}

}  // namespace flowmeter
