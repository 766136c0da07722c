// SPDX-License-Identifier: BSD-3-Clause
// What a run is, without a command line: filled by cli/ and api/, read by everything in run/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "features/feature_sets.h"
#include "flowmeter/settings.h"
#include "kernel/attachment.h"
#include "kernel/bpf_datapath.h"
#include "run/outputs.h"

namespace flowmeter {

// Exit codes of the program.
enum ExitCode : int { kOk = 0, kRunFailed = 1, kUsage = 2 };

// Do what another program does, cell for cell (docs/compat.md).
enum class Compat { kNone, kPython, kJava };

struct Config {
  std::vector<std::string> captures;    // replay these, in order; "-" is standard input
  std::vector<std::string> interfaces;  // or meter these: names and patterns
  std::string netns;                    // there; empty: here
  OutputOptions outputs;
  const NamedFeatureSet* features = &feature_sets().front();
  std::string fields;  // empty: all
  std::string extra;   // columns behind them

  Compat compat = Compat::kNone;

  fm_settings settings = features->settings;  // and what was given explicitly

  uint32_t max_flows = 0;
  uint32_t max_fragments = 0;
  uint32_t ring_mib = 0;

  Hook hook = Hook::kAuto;
  AttachOrder attach_order = AttachOrder::kFirst;
  Datapath datapath = Datapath::kEvents;
  bool lru = false;
  bool per_interface = false;
  std::string pin;  // directory
  bool unpin = false;
  uint32_t batch = 0;  // records taken at a time

  std::optional<double> duration_s;
  std::optional<uint64_t> packets;

  bool top = false;
  bool strict = false;
  bool verbose = false;
  bool quiet = false;
  bool print = false;  // live: a line a finished flow on standard error
};

}  // namespace flowmeter
