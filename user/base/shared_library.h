// SPDX-License-Identifier: BSD-3-Clause
// A library of the system that is loaded when it is needed instead of being linked. It is never
// unloaded.
#pragma once

#include <string>

namespace flowmeter {

class SharedLibrary {
 public:
  explicit SharedLibrary(const char* file);

  // Whether it is loaded and has all functions that were asked for so far.
  bool usable() const { return why_.empty(); }
  // Why it is not.
  const std::string& why() const { return why_; }

  template <typename Function>
  void find(Function** function, const char* name) {
    *function = reinterpret_cast<Function*>(address_of(name));
  }

 private:
  void* address_of(const char* name);

  void* library_;
  std::string why_;
};

}  // namespace flowmeter
