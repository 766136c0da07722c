// SPDX-License-Identifier: BSD-3-Clause
// What Docker and Podman say about containers in JSON: the file config.v2.json of one container,
// and the answer of the HTTP API about all. Texts are made safe (name_text.h); JSON that is none,
// or says something else, gives nothing.
#pragma once

#include <optional>
#include <string_view>

#include "containers/container_names.h"

namespace flowmeter {

// Of a config.v2.json: the name, and what Kubernetes has noted in the labels.
std::optional<ContainerName> parse_docker_config(std::string_view json);

// The answer to GET /containers/json?all=1. Nothing: it is not such an answer.
std::optional<NamesById> parse_docker_containers(std::string_view json);

}  // namespace flowmeter
