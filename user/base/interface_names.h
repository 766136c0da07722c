// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string_view>

namespace flowmeter {

// The names of interface indexes in rows. A name is kept as long as a flow of its interface may
// still be written.
class InterfaceNames {
 public:
  virtual ~InterfaceNames() = default;
  virtual std::string_view name_of(unsigned index) const = 0;
};

}  // namespace flowmeter
