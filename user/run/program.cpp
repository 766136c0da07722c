// SPDX-License-Identifier: BSD-3-Clause
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "compat/java_engine.h"
#include "compat/python_engine.h"
#include "features/columns_extra.h"
#include "features/select.h"
#include "ops/network_namespace.h"
#include "ops/signals.h"
#include "output/flow_printer.h"
#include "output/whole_file_names.h"
#include "run/check.h"
#include "run/confinement.h"
#include "run/live_metrics.h"
#include "run/outputs.h"
#include "run/run.h"

namespace flowmeter {
namespace {

Result<std::unique_ptr<CompatEngine>> open_compat_engine(const Config& config, Host& host) {
  const auto open = config.compat == Compat::kPython ? PythonEngine::open : JavaEngine::open;
  return open(config.outputs.targets.front().where, config.fields, config.max_flows,
              file_options(config.outputs), &host);
}

// The feature set's default file, which is announced because the user has not named it.
Status prepare_default_output(const std::string& path, Host& host) {
  const std::string directory = path.substr(0, path.rfind('/'));
  if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST)
    return Error{"cannot create directory " + directory, errno};
  host.log_info("writing rows to " + path + " (-c chooses another file)");
  return Done{};
}

// Whether the user can remove the pins at the end, without root's rights. (access() does not count
// capabilities, unlike every other call.)
Status check_pins_of_user(const Config& config) {
  const std::string& pins = config.pin;
  if (pins.empty() || ::access(pins.c_str(), W_OK | X_OK) == 0) return Done{};
  if (errno == ENOENT) {
    const std::string parent = parent_of(pins);
    if (::access(parent.c_str(), X_OK) == 0) return Done{};
  }
  return Error{"--pin " + pins + ": user " + config.user +
                   " cannot reach or change it (chmod 711 its BPF file system, chown it, or choose "
                   "another one)",
               errno};
}

// Checks what the run needs, and then becomes the user who owns the outputs.
Status prepare(const Config& config, Host& host) {
  if (Status inputs = check_inputs(config, host); !inputs) return inputs;
  if (config.sandbox == SandboxMode::kRequire)
    if (Status whole = host.check_sandbox(); !whole) return whole;
  if (config.user.empty()) return Done{};
  if (Status changed = host.change_user(config.user); !changed) return changed;
  return check_pins_of_user(config);
}

ExitCode run_compat(const Config& config, Host& host, LiveMetrics* metrics) {
  handle_signals();
  auto engine = open_compat_engine(config, host);
  if (!engine) return fail(host, engine.error());
  const ExitCode code = config.live() ? run_live(config, **engine, host, metrics)
                                      : run_replay(config, **engine, host);
  if (!config.quiet)
    for (const OutputAccount& account : (*engine)->output_accounts()) host.log_info(account.text());
  return code;
}

ExitCode run_meter(const Config& config, const std::vector<Column>& columns, Host& host,
                   LiveMetrics* metrics) {
  if (config.features->has_idle_periods &&
      config.settings.idle_timeout_ns <= config.settings.activity_gap_ns)
    host.log_warning("--idle-timeout is not above --activity-gap, so no idle period is possible");
  if (config.outputs.is_default_file)
    if (Status prepared = prepare_default_output(config.outputs.targets.front().where, host);
        !prepared)
      return fail(host, prepared.error());
  handle_signals();
  auto sinks = open_outputs(config.outputs, columns, host);
  if (!sinks) return fail(host, sinks.error());
  if (!config.quiet) (*sinks)->log_accounts_at_end();
  FlowPrinter printer(**sinks);
  const ExitCode code = !config.live() ? run_replay(config, **sinks, host)
                        : config.print ? run_live(config, printer, host, metrics)
                                       : run_live(config, **sinks, host, metrics);
  return code == kOk && !(*sinks)->complete() ? kRunFailed : code;
}

}  // namespace

ExitCode fail(Host& host, const Error& error) {
  host.log_error(error.message());
  return error.usage ? kUsage : kRunFailed;
}

ExitCode run_program(const Config& config, Host& host) {
  std::unique_ptr<LiveMetrics> metrics;
  if (!config.metrics.empty()) {  // before --netns: they are for this network namespace
    auto opened = LiveMetrics::open(config);
    if (!opened) return fail(host, opened.error());
    metrics = std::move(*opened);
  }
  if (!config.netns.empty())
    if (Status entered = enter_network_namespace(config.netns); !entered)
      return fail(host, entered.error());
  std::vector<Column> columns;
  if (config.compat == Compat::kNone) {
    auto selected =
        select_columns(config.features->columns, config.fields, columns_extra(), config.extra);
    if (!selected) return fail(host, selected.error());
    columns = std::move(*selected);
  }
  if (Status prepared = prepare(config, host); !prepared) return fail(host, prepared.error());
  if (metrics)
    if (Status bound = metrics->bind_as_user(); !bound) return fail(host, bound.error());
  const ExitCode code = config.compat != Compat::kNone
                            ? run_compat(config, host, metrics.get())
                            : run_meter(config, columns, host, metrics.get());
  if (metrics) metrics->close(host);
  return code;
}

}  // namespace flowmeter
