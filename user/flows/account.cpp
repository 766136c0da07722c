// SPDX-License-Identifier: BSD-3-Clause
#include "flows/account.h"

namespace flowmeter {

std::string account_text(const Account& account) {
  return account.text({
#define FM_CLASS_NAME(constant, name, description) name,
      FM_PACKET_CLASS_LIST(FM_CLASS_NAME)
#undef FM_CLASS_NAME
  });
}

}  // namespace flowmeter
