// SPDX-License-Identifier: BSD-3-Clause
// Which interfaces are metered: one -i argument.
//
//   eth0            the interface of this name, or alternative name
//   veth*  en?[0-9] a glob (fnmatch(3)) over names; \ takes a special character as it is
//   /^(eth|ens)/    an extended regular expression (regex(7)) found anywhere in the name
//   any             every interface
#pragma once

#include <regex.h>

#include <memory>
#include <string>

#include "base/result.h"
#include "kernel/interface.h"

namespace flowmeter {

class InterfaceSelector {
 public:
  // Fails with a usage error if the expression is invalid or cannot match any interface.
  static Result<InterfaceSelector> parse(const std::string& text);

  // Whether it may match several interfaces, also those that do not exist yet.
  bool is_pattern() const { return kind_ != Kind::kName; }
  bool matches(const std::string& name) const;
  // Matches the interface's name; if this selector is a name, also its alternative names.
  bool matches(const Interface& interface) const;
  const std::string& text() const { return text_; }

 private:
  enum class Kind { kName, kGlob, kExpression, kAny };
  InterfaceSelector(Kind kind, const std::string& text) : kind_(kind), text_(text) {}

  Kind kind_;
  std::string text_;
  std::shared_ptr<const regex_t> expression_;
};

}  // namespace flowmeter
