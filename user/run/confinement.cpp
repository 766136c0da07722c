// SPDX-License-Identifier: BSD-3-Clause
#include "run/confinement.h"

#include "output/whole_file_names.h"
#include "run/outputs.h"

namespace flowmeter {
namespace {

void add_output(const OutputTarget& target, const OutputOptions& options, Confinement& needs) {
  const OutputKind& kind = *target.kind;
  if (!kind.is_file())
    needs.connects = true;
  else if (target.where != "-")
    needs.changes.push_back(is_whole_file(target.where, options) ? parent_of(target.where)
                                                                 : target.where);
  if (!kind.files) return;
  for (std::string& file : kind.files(options)) needs.reads.push_back(std::move(file));
}

}  // namespace

Confinement confinement_of(const Config& config, uint64_t keep) {
  Confinement needs;
  needs.mode = config.sandbox;
  needs.verbose = config.verbose;
  needs.meters = config.live();
  needs.capabilities = keep;
  needs.reads = config.captures;
  needs.reads.push_back("/proc/self");  // of the C library, and of sanitizers
  for (const OutputTarget& target : config.outputs.targets)
    add_output(target, config.outputs, needs);
  if (needs.connects && !config.outputs.delivery.spool.empty())
    needs.changes.push_back(config.outputs.delivery.spool);
  if (config.live()) needs.changes.push_back("/dev/null");  // of a guardian (kernel/clsact.cpp)
  if (!config.pin.empty()) {
    needs.changes.push_back(config.pin);
    needs.changes.push_back(config.state_directory);
    needs.removes_directories_from.push_back(parent_of(config.pin));
  }
  return needs;
}

}  // namespace flowmeter
