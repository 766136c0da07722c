// SPDX-License-Identifier: BSD-3-Clause
// What a run is, without a command line. The options (options.h) fill it; everything in run/ reads
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "features/feature_sets.h"
#include "flowmeter/settings.h"
#include "kernel/attachment.h"
#include "kernel/bpf_datapath.h"
#include "output/output_kind.h"

namespace flowmeter {

// Exit codes of the program.
enum ExitCode : int { kOk = 0, kRunFailed = 1, kUsage = 2 };

// Do what another program does, cell for cell (docs/compat.md).
enum class Compat { kNone, kPython, kJava };

struct Config {
  std::vector<std::string> captures;    // replay these, in order; "-" is standard input
  std::vector<std::string> interfaces;  // or meter these: names and patterns
  std::string netns;                    // of the interfaces; empty: here
  OutputOptions outputs;
  const NamedFeatureSet* features = &feature_sets().front();
  std::string fields;  // empty: all
  std::string extra;   // columns after them
  bool quality = false;

  Compat compat = Compat::kNone;

  fm_settings settings = features->settings;  // and what was given explicitly

  uint32_t max_flows = 0;  // 0: default_max_flows()
  uint32_t max_fragments = 65'536;
  uint32_t event_memory_mib = 32;

  Hook hook = Hook::kAuto;
  AttachOrder attach_order = AttachOrder::kFirst;
  Datapath datapath = Datapath::kEvents;
  bool lru = false;
  bool per_interface = false;
  std::string pin;  // directory
  bool unpin = false;
  uint32_t batch = 65'536;  // records taken at a time

  std::optional<double> duration_s;
  std::optional<uint64_t> packets;

  bool top = false;
  bool strict = false;
  bool verbose = false;
  bool quiet = false;
  bool print = false;  // live: one line per finished flow on standard error

  // What only a command line asks for.
  std::string configuration_file;
  bool print_config = false;
  bool list_fields = false;
  LogFormat log_format = LogFormat::kText;
  LogLevel log_level = LogLevel::kInfo;

  bool live() const { return !interfaces.empty(); }
};

// By its input and datapath.
uint32_t default_max_flows(const Config& config);

}  // namespace flowmeter
