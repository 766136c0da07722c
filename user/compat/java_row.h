// SPDX-License-Identifier: BSD-3-Clause
// The 84 cells of a flow of the Java CICFlowMeter (BasicFlow.dumpFlowBasedFeaturesEx).
#pragma once

#include <cstddef>
#include <string_view>

#include "compat/java_flow.h"

namespace flowmeter {

// The names, joined by commas, without line end.
extern const std::string_view kJavaHeader;

// Longest row: 84 cells of at most kMaxJavaDouble bytes, except the flow's name.
constexpr size_t kMaxJavaRow = 84 * 33 + 64;

// Longest SRC-DST-SPORT-DPORT-PROTO.
constexpr size_t kMaxJavaFlowId = 15 + 1 + 15 + 1 + 5 + 1 + 5 + 1 + 2;

// The flow's name, which is its key in the original. Returns the end of the text.
char* put_java_flow_id(char* at, const JavaFlowIdentity& identity);

// One row with its line end. Returns the end of the text. Requires: kMaxJavaRow bytes at `at`.
char* put_java_row(char* at, const JavaFlow& flow);

}  // namespace flowmeter
