// SPDX-License-Identifier: BSD-3-Clause
// Columns that say whose packets a flow has (--attribute): the containers, pods and processes at
// both of its ends, and the service through which they met.
#pragma once

#include "features/column.h"

namespace flowmeter {

FeatureSet columns_owner();

// The names of the columns that --attribute container and --attribute process append,
// comma-separated.
extern const char kContainerColumns[];
extern const char kProcessColumns[];

// The first column in a comma-separated list that needs --attribute, or --attribute process; "":
// none does.
std::string_view first_owner_column(std::string_view names);
std::string_view first_process_column(std::string_view names);
bool is_process_column(std::string_view name);
// Whether the column "service" is among them.
bool names_service_column(std::string_view names);

}  // namespace flowmeter
