// SPDX-License-Identifier: BSD-3-Clause
// libmicrohttpd, loaded for --metrics instead of being linked: it brings a TLS library that nobody
// else needs here, and that would cost every start of the program.
#pragma once

#include "base/result.h"

#ifdef FLOWMETER_MICROHTTPD

#include <microhttpd.h>

namespace flowmeter {

// clang-format off
#define FM_MICROHTTPD_FUNCTIONS(X) \
  X(add_response_header) X(create_response_from_buffer) X(destroy_response) \
  X(get_connection_info) X(get_daemon_info) X(get_timeout) X(get_version) \
  X(lookup_connection_value) X(queue_response) X(run) X(start_daemon) X(stop_daemon)
// clang-format on

// The functions that are used: http.run is MHD_run.
struct Microhttpd {
#define FM_MICROHTTPD_FUNCTION(name) decltype(&::MHD_##name) name = nullptr;
  FM_MICROHTTPD_FUNCTIONS(FM_MICROHTTPD_FUNCTION)
#undef FM_MICROHTTPD_FUNCTION
};

}  // namespace flowmeter

#else

namespace flowmeter {
struct Microhttpd {};
}  // namespace flowmeter

#endif

namespace flowmeter {

// The same for all callers, and never unloaded. Fails if the system has none, or one that is too
// old, or if the program was built without it. To be called before the sandbox, which refuses new
// code.
Result<const Microhttpd*> load_microhttpd();

}  // namespace flowmeter
