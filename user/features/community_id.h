// SPDX-License-Identifier: BSD-3-Clause
// Community ID, version 1 (https://github.com/corelight/community-id-spec): a hash of the 5-tuple
// that many programs make in the same way, so that their records of one flow can be joined.
#pragma once

#include "features/column.h"

namespace flowmeter {

// The id of the flow's first packet. Its ports are the types of an ICMP request and of its reply,
// in the order of that packet, or type and code of a message without a reply.
Cell community_id(const FlowRecord& record);

}  // namespace flowmeter
