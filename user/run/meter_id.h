// SPDX-License-Identifier: BSD-3-Clause
// Which meter this is, for the rows that it makes.
#pragma once

#include <string>

#include "flows/meter_identity.h"
#include "run/config.h"

namespace flowmeter {

// As the options say, in this run. Requires: the sandbox was not entered yet.
MeterIdentity meter_identity(const Config& config, uint64_t run);

// The machine's id (machine-id(5)); if there is none, the host's name, where '_' stands for
// characters that an id cannot have. Requires: as above.
std::string default_meter_id();

// The parts of it, for tests: "" if this is not the text of the file of a machine's id.
std::string machine_id_in(const std::string& file_text);
std::string meter_id_of_host(const std::string& host_name);

}  // namespace flowmeter
