// SPDX-License-Identifier: BSD-3-Clause
#include "metrics/microhttpd.h"

#include <string>

#include "base/shared_library.h"

namespace flowmeter {

#ifdef FLOWMETER_MICROHTTPD

namespace {

// Two version numbers are compared as texts by their numbers: "0.9.75" is newer than "0.9.8".
constexpr unsigned kOldest[] = {0, 9, 71};

bool is_too_old(const std::string& version) {
  size_t at = 0;
  for (const unsigned oldest : kOldest) {
    unsigned number = 0;
    for (; at < version.size() && version[at] >= '0' && version[at] <= '9'; at++)
      number = 10 * number + static_cast<unsigned>(version[at] - '0');
    if (number != oldest) return number < oldest;
    at++;  // the dot
  }
  return false;
}

Result<Microhttpd> load() {
  const auto unusable = [](const std::string& why) {
    return Error{
        "--metrics needs libmicrohttpd 0.9.71 or newer (Debian's package libmicrohttpd12): " + why};
  };
  SharedLibrary library("libmicrohttpd.so.12");
  Microhttpd http;
#define FM_MICROHTTPD_FIND(name) library.find(&http.name, "MHD_" #name);
  FM_MICROHTTPD_FUNCTIONS(FM_MICROHTTPD_FIND)
#undef FM_MICROHTTPD_FIND
  if (!library.usable()) return unusable(library.why());
  const std::string version = http.get_version();
  if (is_too_old(version)) return unusable("this is " + version);
  return http;
}

}  // namespace

Result<const Microhttpd*> load_microhttpd() {
  static Result<Microhttpd> loaded = load();
  if (!loaded) return usage_error(loaded.error().doing);
  return &*loaded;
}

#else

Result<const Microhttpd*> load_microhttpd() {
  return usage_error(
      "--metrics is not possible: this program was built without libmicrohttpd (Debian's package "
      "libmicrohttpd-dev)");
}

#endif

}  // namespace flowmeter
