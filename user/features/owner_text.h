// SPDX-License-Identifier: BSD-3-Clause
// The ends of a flow as people read them: by the names of their owners, if these are known.
#pragma once

#include <string>

#include "flowmeter/flow_key.h"
#include "flows/end_owner.h"

namespace flowmeter {

// "namespace/pod", the name of the container, the start of its id, or the last part of the cgroup's
// path; "" if nothing is known.
std::string owner_name(const EndOwner& owner);

// Address and port, or, unless the name is empty, name and port: "shop/web-1:80".
std::string end_text(const fm_flow_key& key, unsigned end, const std::string& owner_name);

}  // namespace flowmeter
