// SPDX-License-Identifier: BSD-3-Clause
// Which options can be combined: first the rules of the table's rows, then those that depend on
// values.
#include <algorithm>

#include "output/csv.h"
#include "output/output_kind.h"
#include "run/attribution_options.h"
#include "run/options.h"

namespace flowmeter {
namespace {

// A flag with the value false counts as not given. Requires: set_options() took the values.
bool was_given(const std::vector<Option>& options, const GivenOptions& given,
               std::string_view spoken_name) {
  return std::any_of(options.begin(), options.end(), [&](const Option& option) {
    const auto found = given.find(&option);
    return found != given.end() && option.spoken_name() == spoken_name &&
           !(option.value.is_flag() && !*to_truth(found->second.values.at(0)));
  });
}

// needed: an option, or several of which one is enough: "-u or --kafka".
bool was_one_given(const std::vector<Option>& options, const GivenOptions& given,
                   std::string_view needed) {
  constexpr std::string_view kOr = " or ";
  const size_t end = needed.find(kOr);
  return was_given(options, given, needed.substr(0, end)) ||
         (end != std::string_view::npos &&
          was_one_given(options, given, needed.substr(end + kOr.size())));
}

// Rules that check values in the Config. "": no error.

std::string check_datapath(const Config& config) {
  if (config.datapath != Datapath::kKernel) return "";
  if (config.compat != Compat::kNone)
    return "--compat needs an event of each packet, which --datapath kernel does not send";
  if (config.settings.with_application)
    return std::string(config.features->name) +
           " needs payload, which --datapath kernel does not send";
  if (config.lru)
    return "--flow-map lru needs --datapath events: otherwise dropped flows would be lost";
  return "";
}

std::string check_pin(const Config& config) {
  if (config.pin.empty()) return "";
  if (config.hook == Hook::kTc) return "--pin needs BPF links: --hook tcx or xdp, not tc";
  return "";
}

std::string check_compat_output(const Config& config) {
  const auto& targets = config.outputs.targets;
  if (config.compat == Compat::kNone || targets.empty()) return "";
  if (targets.size() != 1 || targets.front().kind != &kCsvOutput || config.outputs.rotation)
    return "--compat writes one CSV, as the other program does: use -c FILE and no other output";
  if (!compression_suffix(targets.front().where).empty())
    return "--compat does not compress: choose another file name";
  return "";
}

}  // namespace

Status check_options(const std::vector<Option>& options, const GivenOptions& given,
                     const Config& config) {
  if (config.captures.empty() && config.interfaces.empty())
    return usage_error("give a capture (-f) or an interface (-i); see --help");
  if (!config.captures.empty() && config.live())
    return usage_error("-f and -i cannot be used together");
  for (const Option& option : options) {
    const std::string name = option.spoken_name();
    if (!was_given(options, given, name)) continue;
    if (option.rules.live_only && !config.live())
      return usage_error(name + " can only be used with -i" +
                         (option.rules.why_live_only.empty() ? "" : ": ") +
                         std::string(option.rules.why_live_only));
    for (const std::string_view needed : option.rules.needs)
      if (!was_one_given(options, given, needed))
        return usage_error(name + " can only be used with " + std::string(needed));
    for (const auto& [excluded, why] : option.rules.excludes)
      for (const std::string_view each : excluded)
        if (was_given(options, given, each)) return usage_error(std::string(why));
  }
  for (const auto& rule : {check_compat_output, check_datapath, check_pin, check_attribution})
    if (std::string wrong = rule(config); !wrong.empty()) return usage_error(std::move(wrong));
  return Done{};
}

}  // namespace flowmeter
