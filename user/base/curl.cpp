// SPDX-License-Identifier: BSD-3-Clause
#include "base/curl.h"

#include <string>

#include "base/shared_library.h"

namespace flowmeter {
namespace {

// Under the first name it uses OpenSSL, under the second GnuTLS; both are good.
constexpr const char* kNames[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
constexpr unsigned kOldest = 0x075500;

// Fails with the reason why this library cannot be used.
Result<Curl> functions_of(const char* file) {
  SharedLibrary library(file);
  Curl curl;
#define FM_CURL_FIND(name) library.find(&curl.name, "curl_" #name);
  FM_CURL_FUNCTIONS(FM_CURL_FIND)
#undef FM_CURL_FIND
  if (!library.usable()) return Error{library.why()};
  const curl_version_info_data* about = curl.version_info(CURLVERSION_NOW);
  if (about->version_num < kOldest || !(about->features & CURL_VERSION_SSL))
    return Error{"this is " + std::string(about->version) +
                 (about->features & CURL_VERSION_SSL ? "" : " without TLS")};
  return curl;
}

Result<Curl> load() {
  std::string why;  // the first one cannot be used
  for (const char* name : kNames) {
    Result<Curl> curl = functions_of(name);
    if (!curl) {
      if (why.empty()) why = curl.error().doing;
      continue;
    }
    if (curl->global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
      return Error{"libcurl, which cannot be set up"};
    return curl;
  }
  return Error{"libcurl 7.85 or newer, with TLS (Debian's package libcurl4): " + why};
}

}  // namespace

Result<const Curl*> load_curl(std::string_view what) {
  static Result<Curl> loaded = load();
  if (!loaded) return Error{std::string(what) + " needs " + loaded.error().doing};
  return &*loaded;
}

}  // namespace flowmeter
