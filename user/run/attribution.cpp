// SPDX-License-Identifier: BSD-3-Clause
#include "run/attribution.h"

namespace flowmeter {

Result<std::unique_ptr<ContainerDirectory>> open_containers(const Config& config, Host& host) {
  std::unique_ptr<EngineNames> engine;
  if (!config.engine.empty()) {
    auto opened = EngineNames::open(config.engine, host);
    if (!opened) return opened.error();
    engine = std::move(*opened);
  }
  return std::make_unique<ContainerDirectory>(ContainerDirectory::Options{}, std::move(engine),
                                              host);
}

}  // namespace flowmeter
