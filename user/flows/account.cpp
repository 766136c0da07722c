// SPDX-License-Identifier: BSD-3-Clause
#include "flows/account.h"

namespace flowmeter {
namespace {

constexpr const char* kClassNames[] = {
#define FM_CLASS_NAME(constant, name, description) name,
    FM_PACKET_CLASS_LIST(FM_CLASS_NAME)
#undef FM_CLASS_NAME
};
static_assert(std::size(kClassNames) == FM_PACKET_CLASS_COUNT);

}  // namespace

std::string account_text(const Account& account) {
  std::string text = "seen=" + std::to_string(account.seen);
  for (size_t i = 0; i < FM_PACKET_CLASS_COUNT; i++)
    text += ' ' + std::string(kClassNames[i]) + '=' + std::to_string(account.by_class[i]);
  return text;
}

}  // namespace flowmeter
