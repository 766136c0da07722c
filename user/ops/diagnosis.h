// SPDX-License-Identifier: BSD-3-Clause
// The findings of `flowmeter-ebpf doctor`, and how they are shown: as a table for people, or as one
// JSON object for programs. The object's members are documented in the manual page; an incompatible
// change increases kDiagnosisSchema.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernel/attached_programs.h"
#include "kernel/offloads.h"

namespace flowmeter {

constexpr int kDiagnosisSchema = 1;

enum class FindingState {
  kOk,
  kLimited,  // metering works without it, or is less exact
  kMissing,
  kUnknown,  // this process lacks the privileges to find out
};

enum class Need {
  kRequired,  // metering is not possible without it
  kOptional,
};

struct Finding {
  std::string what;  // stable, e.g. "event_streams"
  FindingState state = FindingState::kOk;
  Need need = Need::kOptional;
  std::string meaning;  // what the state means, or what to do
};

struct InterfaceDiagnosis {
  std::string name;
  unsigned index = 0;
  uint32_t mtu = 0;
  std::optional<Offloads> offloads;                      // nothing: they cannot be read
  std::optional<bool> native_xdp;                        // nothing: the kernel does not say
  std::optional<std::vector<AttachedProgram>> attached;  // nothing: not known
  std::string why_not_told;
  std::vector<Finding> findings;
};

struct Diagnosis {
  std::string kernel_release;
  std::vector<Finding> kernel;
  std::vector<Finding> process;  // its privileges and limits
  std::vector<InterfaceDiagnosis> interfaces;
};

// The missing required findings, as "event_streams, CAP_BPF"; empty if metering is possible.
std::string missing_requirements(const Diagnosis& diagnosis);

enum class Colour { kNone, kOfStates };

std::string diagnosis_table(const Diagnosis& diagnosis, Colour colour);
std::string diagnosis_json(const Diagnosis& diagnosis);

}  // namespace flowmeter
