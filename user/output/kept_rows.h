// SPDX-License-Identifier: BSD-3-Clause
// The rows that earlier runs left in a file: where they end, and how far they are part of a commit
// (RecordSink::resume).
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>

#include "base/result.h"
#include "flowmeter/abi.h"
#include "flows/flow_record.h"

namespace flowmeter {

// Up to this many bytes of a file at this offset.
Result<std::string> read_at(int fd, off_t offset, size_t bytes);

// The end of the last whole row within the first bytes of a file.
Result<off_t> end_of_rows(int fd, off_t bytes);

// "7 rows there", for the first bytes of a file. The rows of a very long file are not counted.
std::string rows_there(int fd, off_t bytes, std::string_view header);

// The error for a file that a run cannot go on with.
Error not_our_rows(const std::string& path);

// What is cut from the end of a file, as a log line.
std::string cut_text(const std::string& path, int fd, off_t from, off_t to);
// The same, where its rows cannot be counted.
std::string cut_text(const std::string& path, off_t bytes);

// Warnings about a file of a killed run.
std::string not_in_commit(const std::string& path);
std::string shorter_than_commit(const std::string& path, off_t bytes);

// Whether that run has committed, and was killed.
bool is_of_killed(const LastCommit& last);
// The position in this file; null: there is none.
const fm_output_position* position_of(const struct stat& file, const LastCommit& last);
fm_output_position position_in(const struct stat& file, uint64_t bytes);

}  // namespace flowmeter
