// SPDX-License-Identifier: BSD-3-Clause
// Ids of flows that are unique over meters and runs.
//
// Each is a SHA-1 of the meter, the run (MeterIdentity), the flow's key and when the flow has
// started, cut to 128 bits and written as a UUID of version 8 (RFC 9562). So a row that is made
// again, by the next daemon after a kill or by another replay of a capture, has the same id, and
// nothing has to be remembered for that.
#pragma once

#include "features/column.h"

namespace flowmeter {

// Of this row. Live, it depends on nothing that may be different when the row is made again:
// neither on counters nor on the wall clock. In a replay it also depends on the end of the flow and
// on its counts, so a flow that is longer in a longer capture is another row.
Cell flow_id(const FlowRecord& record);

// Of the flow that this row is a part of: the same for all rows that continue one flow after an
// active time-out.
Cell flow_key(const FlowRecord& record);

}  // namespace flowmeter
