// SPDX-License-Identifier: BSD-3-Clause
// libcurl, loaded by the first that uses it (HTTP outputs, --engine) instead of being linked. Its
// TLS and the certificate authorities belong to the system, so a copy in a Python wheel would be
// wrong; and the some 25 libraries that it needs cost every start of the program, with or without
// HTTP.
#pragma once

#include <curl/curl.h>

#include <string_view>

#include "base/result.h"

namespace flowmeter {

// clang-format off
#define FM_CURL_FUNCTIONS(X) \
  X(easy_cleanup) X(easy_getinfo) X(easy_init) X(easy_setopt) X(easy_strerror) X(free) \
  X(global_init) X(multi_add_handle) X(multi_cleanup) X(multi_info_read) X(multi_init) \
  X(multi_perform) X(multi_poll) X(multi_remove_handle) X(slist_append) X(slist_free_all) \
  X(url) X(url_cleanup) X(url_get) X(url_set) X(version_info)
// clang-format on

// The functions that are used: curl.easy_init is curl_easy_init.
struct Curl {
#define FM_CURL_FUNCTION(name) decltype(&::curl_##name) name = nullptr;
  FM_CURL_FUNCTIONS(FM_CURL_FUNCTION)
#undef FM_CURL_FUNCTION
};

// Initialized, the same for all callers, and never unloaded. Fails if the system has no libcurl, or
// one that is too old: the error says what needs it.
Result<const Curl*> load_curl(std::string_view what);

}  // namespace flowmeter
