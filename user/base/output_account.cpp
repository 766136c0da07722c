// SPDX-License-Identifier: BSD-3-Clause
#include "base/output_account.h"

#include <algorithm>

namespace flowmeter {

uint64_t OutputAccount::waiting() const {
  // The counts are of two threads, so they may be of different moments.
  return rows - std::min(rows, written + dropped);
}

std::string OutputAccount::text() const {
  std::string text = "output " + name + ":";
  const auto add = [&](const char* what, uint64_t count) {
    text.append(" ").append(what).append("=").append(std::to_string(count));
  };
  add("rows", rows);
  add("written", written);
  add("waiting", waiting());
  add("dropped", dropped);
  if (files) add("files", *files);
  if (delivery) {
    add("sent", delivery->sent);
    add("refused", delivery->refused);
    add("lost", delivery->lost);
    add("spooled", delivery->spooled);
  }
  return text;
}

}  // namespace flowmeter
