// SPDX-License-Identifier: BSD-3-Clause
// What a live run with --attribute knows of containers.
#pragma once

#include <memory>

#include "base/host.h"
#include "base/result.h"
#include "containers/container_directory.h"
#include "run/config.h"

namespace flowmeter {

// The directory that this configuration asks for. Requires: config.attribute is not kOff.
Result<std::unique_ptr<ContainerDirectory>> open_containers(const Config& config, Host& host);

}  // namespace flowmeter
