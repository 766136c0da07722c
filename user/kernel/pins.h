// SPDX-License-Identifier: BSD-3-Clause
// The objects that outlive the daemon on purpose: maps pinned in a directory of a bpffs, under
// their names.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "flowmeter/abi.h"

struct bpf_map;
struct btf;

namespace flowmeter {

// Creates the directory if it does not exist, and locks it for this process as long as the
// descriptor is open. Fails if it is not in a bpffs or another process has locked it.
Result<UniqueFd> claim_pin_directory(const std::string& directory);

// Whose journal is pinned there.
enum class JournalOf { kNobody, kThisVersion, kAnotherVersion };
Result<JournalOf> whose_journal(const std::string& directory, uint64_t schema);
// Fails if it was made with other options than wanted. Requires: it is of this version.
Result<fm_journal> pinned_journal(const std::string& directory, const fm_journal& wanted);
// Whether a journal is pinned in `kept` that is not the one in `directory`.
bool is_another_journal(const std::string& directory, const std::string& kept);

// Uses the pinned map instead of a new one. Fails if it has another type, other sizes or flags.
// Requires: the object is not loaded yet.
Status reuse_pinned_map(const std::string& directory, bpf_map* map);
Status pin_map(const std::string& directory, bpf_map* map);

std::string pin_path(const std::string& directory, const std::string& name);
// Pins a description of the layouts in the maps, by which another version can read them.
Status pin_layouts(const std::string& directory, const btf* layouts);
void remove_pin(const std::string& directory, const std::string& name);
// Removes the directory if it is empty.
void remove_pin_directory(const std::string& directory);

}  // namespace flowmeter
