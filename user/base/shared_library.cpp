// SPDX-License-Identifier: BSD-3-Clause
#include "base/shared_library.h"

#include <dlfcn.h>

namespace flowmeter {

SharedLibrary::SharedLibrary(const char* file) : library_(::dlopen(file, RTLD_NOW | RTLD_LOCAL)) {
  if (!library_) why_ = ::dlerror();
}

void* SharedLibrary::address_of(const char* name) {
  void* const address = library_ ? ::dlsym(library_, name) : nullptr;
  if (!address && why_.empty()) why_ = std::string("this one has no ") + name;
  return address;
}

}  // namespace flowmeter
