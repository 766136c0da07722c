// SPDX-License-Identifier: BSD-3-Clause
// A run inside another program (the Python module) has a thread of its own there, and takes from
// the process neither signals nor standard error: what it would read and write there is in this
// thread's Embedding. The program's own main thread has none.
#pragma once

#include <csignal>
#include <functional>
#include <string_view>

namespace flowmeter {

struct Embedding {
  volatile std::sig_atomic_t stop = 0;  // set by any thread: what a first SIGINT is to the program
  std::function<void(std::string_view level, std::string_view message)> log;
};

// Of this thread; null: the process is the program.
constinit inline thread_local Embedding* embedding = nullptr;

}  // namespace flowmeter
