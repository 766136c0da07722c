// SPDX-License-Identifier: BSD-3-Clause
// Errors of set-up and I/O as values. A function reports what it was doing and the operating
// system's error. Each caller may add what it was doing itself, once. main prints all of this as
// one line. The packet path does not use this.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <variant>

namespace flowmeter {

struct Error {
  std::string doing;
  int os_error = 0;    // errno value; 0 if `doing` is the whole message
  bool usage = false;  // an error of the command line, not of the run

  // Whether descriptors or memory ran out, which may change.
  bool is_shortage() const {
    return os_error == EMFILE || os_error == ENFILE || os_error == ENOMEM || os_error == ENOBUFS;
  }
  std::string message() const { return os_error ? doing + ": " + std::strerror(os_error) : doing; }
};

inline Error usage_error(std::string what) {
  return {std::move(what), 0, true};
}

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() { return std::get<0>(state_); }
  T* operator->() { return &std::get<0>(state_); }
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

struct Done {};
using Status = Result<Done>;

}  // namespace flowmeter
