// SPDX-License-Identifier: BSD-3-Clause
// The configuration of a run, independent of the command line. The options (options.h) set it;
// everything in run/ reads it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/confinement.h"
#include "base/log.h"
#include "features/feature_sets.h"
#include "flowmeter/settings.h"
#include "kernel/attachment.h"
#include "kernel/bpf_datapath.h"
#include "output/output_kind.h"

namespace flowmeter {

// Exit codes of the program.
enum ExitCode : int { kOk = 0, kRunFailed = 1, kUsage = 2 };

// Write the rows of another program, cell by cell (docs/compat.md).
enum class Compat { kNone, kPython, kJava };

struct Config {
  std::vector<std::string> captures;    // replay these, in order; "-" is standard input
  std::vector<std::string> interfaces;  // or meter these: names and patterns
  std::string netns;                    // of the interfaces; empty: the current one
  OutputOptions outputs;
  const NamedFeatureSet* features = &feature_sets().front();
  std::string fields;  // empty: all
  std::string extra;   // columns appended to them
  bool quality = false;
  bool fleet = false;
  std::string meter_id;  // empty: default_meter_id()
  uint16_t community_id_seed = 0;
  bool identify_rows = false;  // a column says which meter or flow a row is of; settle_options()

  Compat compat = Compat::kNone;

  fm_settings settings = features->settings;  // changed by explicit options

  uint32_t max_flows = 0;  // 0: default_max_flows()
  uint32_t max_fragments = 65'536;
  uint32_t event_memory_mib = 32;

  Hook hook = Hook::kAuto;
  AttachOrder attach_order = AttachOrder::kFirst;
  Datapath datapath = Datapath::kEvents;
  bool lru = false;
  bool per_interface = false;
  fm_attribute attribute = FM_ATTRIBUTE_OFF;
  std::string engine;           // "unix:///…", which is asked for names; empty: none
  std::string pin;              // directory of a bpffs
  std::string state_directory;  // with pin; empty: default_state_directory()
  bool unpin = false;
  uint32_t batch = 65'536;  // most records processed at a time

  std::optional<double> duration_s;
  std::optional<uint64_t> packets;

  SandboxMode sandbox = SandboxMode::kAuto;
  std::string user;  // that the process becomes; empty: it stays

  std::string metrics;                // where they are served; empty: they are not
  uint32_t metrics_interfaces = 100;  // with series of their own
  bool bpf_stats = false;

  bool top = false;
  bool strict = false;
  bool verbose = false;
  bool quiet = false;
  bool print = false;  // live: one line per finished flow on standard error

  // Only set on a command line.
  std::string configuration_file;
  bool print_config = false;
  bool list_fields = false;
  LogFormat log_format = LogFormat::kText;
  LogLevel log_level = LogLevel::kInfo;

  bool live() const { return !interfaces.empty(); }
};

// The default, which depends on input and datapath.
uint32_t default_max_flows(const Config& config);
// The default, which depends on the user: a directory that belongs to one user is of no use to the
// others, not even to root.
std::string default_state_directory(const Config& config);

}  // namespace flowmeter
