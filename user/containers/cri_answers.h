// SPDX-License-Identifier: BSD-3-Clause
// The answers of a container runtime to ListPodSandbox and ListContainers (Kubernetes' CRI, version
// runtime.v1). Texts are made safe (name_text.h).
#pragma once

#include <optional>
#include <string_view>

#include "containers/container_names.h"

namespace flowmeter {

// The names of containers, and of sandboxes, which have those of the pod only. Nothing: one of the
// two is no such message.
std::optional<NamesById> parse_cri_answers(std::string_view sandboxes, std::string_view containers);

}  // namespace flowmeter
