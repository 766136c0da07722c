// SPDX-License-Identifier: BSD-3-Clause
#include "output/curl.h"

#include <dlfcn.h>

#include <string>

namespace flowmeter {
namespace {

// Under the first name it uses OpenSSL, under the second GnuTLS; both are good.
constexpr const char* kNames[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
constexpr unsigned kOldest = 0x075500;

Error unusable(const std::string& why) {
  return Error{"-u needs libcurl 7.85 or newer, with TLS (Debian's package libcurl4): " + why};
}

Result<Curl> load() {
  std::string why;
  void* library = nullptr;
  for (const char* name : kNames) {
    if (!library) library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library && why.empty()) why = ::dlerror();
  }
  if (!library) return unusable(why);

  Curl curl;
  const char* missing = nullptr;
  const auto find = [&](auto* function, const char* name) {
    *function = reinterpret_cast<std::remove_pointer_t<decltype(function)>>(::dlsym(library, name));
    if (!*function) missing = name;
  };
#define FM_CURL_FIND(name) find(&curl.name, "curl_" #name);
  FM_CURL_FUNCTIONS(FM_CURL_FIND)
#undef FM_CURL_FIND
  if (missing) return unusable(std::string("this one has no ") + missing);
  const curl_version_info_data* about = curl.version_info(CURLVERSION_NOW);
  if (about->version_num < kOldest || !(about->features & CURL_VERSION_SSL))
    return unusable("this is " + std::string(about->version) +
                    (about->features & CURL_VERSION_SSL ? "" : " without TLS"));
  if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return Error{"cannot set up libcurl"};
  return curl;
}

}  // namespace

Result<const Curl*> load_curl() {
  static Result<Curl> loaded = load();
  if (!loaded) return loaded.error();
  return &*loaded;
}

}  // namespace flowmeter
