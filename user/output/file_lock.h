// SPDX-License-Identifier: BSD-3-Clause
// One run at a time writes a file.
#pragma once

#include <string>

#include "base/result.h"

namespace flowmeter {

// Locks an open file for this run until unlock_file() or its last descriptor is closed. Fails if
// another run writes it, also under another name. What is no regular file is not locked, nor is a
// file on a file system without locks.
Status lock_file(int fd, const std::string& path);
// A forked child may hold the descriptor as well, so closing it is not enough.
void unlock_file(int fd);

}  // namespace flowmeter
