// SPDX-License-Identifier: BSD-3-Clause
#include "flows/account.h"

namespace flowmeter {
namespace {

constexpr const char* kReasonNames[] = {
#define FM_REASON_NAME(constant, name, description) name,
    FM_REASON_LIST(FM_REASON_NAME)
#undef FM_REASON_NAME
};
static_assert(std::size(kReasonNames) == FM_REASON_COUNT);

}  // namespace

std::string account_text(const Account& account) {
  std::string text = "seen=" + std::to_string(account.seen);
  for (size_t i = 0; i < FM_REASON_COUNT; i++)
    text += ' ' + std::string(kReasonNames[i]) + '=' + std::to_string(account.by_reason[i]);
  return text;
}

}  // namespace flowmeter
