// SPDX-License-Identifier: BSD-3-Clause
// flowmeter-ebpf: command line, output, then replay or live.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.h"
#include "cli/options.h"
#include "compat/java_engine.h"
#include "compat/python_engine.h"
#include "features/columns_extra.h"
#include "features/select.h"
#include "kernel/interface.h"
#include "kernel/interface_selector.h"
#include "ops/network_namespace.h"
#include "ops/privileges.h"
#include "ops/program_host.h"
#include "ops/signals.h"
#include "output/flow_printer.h"
#include "run/run.h"
#include "view/live_view.h"

namespace flowmeter {
namespace {

// What can be seen to be wrong before the output is truncated.
Status check_inputs(const Config& config, Host& host) {
  if (!config.interfaces.empty()) {
    for (const std::string& text : config.interfaces) {
      auto selector = InterfaceSelector::parse(text);
      if (!selector) return selector.error();
      if (selector->is_pattern()) continue;
      if (auto interface = find_interface(text); !interface) return interface.error();
    }
    if (const std::string missing = missing_capabilities(); !missing.empty())
      return Error{"metering an interface needs " + missing +
                   " (run as root, or give the program these file capabilities)"};
  }
  if (config.top)
    if (auto view = LiveView::open(config.outputs.uses_stdout(), host); !view) return view.error();
  const std::vector<std::string> outputs = config.outputs.paths();
  for (const std::string& path : config.captures) {
    struct stat input {};
    if (path == "-" ? ::fstat(STDIN_FILENO, &input) != 0
                    : ::access(path.c_str(), R_OK) != 0 || ::stat(path.c_str(), &input) != 0)
      return Error{"cannot open capture " + path, errno};
    if (S_ISDIR(input.st_mode)) return Error{"cannot read capture " + path, EISDIR};
    for (const std::string& each : outputs) {
      struct stat output {};
      if (each == "-" || ::stat(each.c_str(), &output) != 0 || !S_ISREG(input.st_mode) ||
          input.st_dev != output.st_dev || input.st_ino != output.st_ino)
        continue;
      Error error{"output " + each + " is also an input"};
      error.usage = true;
      return error;
    }
  }
  return Done{};
}

// A file opened later must not get the number of a standard stream that the caller has closed. What
// takes its place cannot be used, so that using the closed stream stays the error that it is.
void occupy_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (::fcntl(fd, F_GETFD) < 0) ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

ExitCode fail(Host& host, const Error& error) {
  host.log_error(error.message());
  return error.usage ? kUsage : kRunFailed;
}

Result<std::unique_ptr<CompatEngine>> open_compat_engine(const Config& config) {
  const auto open = config.compat == Compat::kPython ? PythonEngine::open : JavaEngine::open;
  return open(config.outputs.csv.front(), config.fields, config.max_flows);
}

// The feature set's own file, which is announced because nobody has named it.
Status prepare_default_output(const std::string& path, Host& host) {
  const std::string directory = path.substr(0, path.rfind('/'));
  if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST)
    return Error{"cannot create directory " + directory, errno};
  host.log_info("rows go to " + path + " (-c names another file)");
  return Done{};
}

ExitCode run_compat(const Config& config, Host& host) {
  if (Status inputs = check_inputs(config, host); !inputs) return fail(host, inputs.error());
  handle_signals();
  auto engine = open_compat_engine(config);
  if (!engine) return fail(host, engine.error());
  return config.interfaces.empty() ? run_replay(config, **engine, host)
                                   : run_live(config, **engine, host);
}

ExitCode run(int argc, char** argv, Host& host) {
  if (argc > 1 && std::string_view(argv[1]) == "doctor")
    return run_doctor(argc - 1, argv + 1, host);
  if (argc > 1 && std::string_view(argv[1]) == "features")
    return run_features(argc - 1, argv + 1, host);
  auto parsed = parse_options(argc, argv, OptionsFrom::kAnywhere, host);
  if (const auto* code = std::get_if<ExitCode>(&parsed)) return *code;
  const Config& config = std::get<Config>(parsed);

  if (!config.netns.empty())
    if (Status entered = enter_network_namespace(config.netns); !entered)
      return fail(host, entered.error());
  if (config.compat != Compat::kNone) return run_compat(config, host);

  auto columns =
      select_columns(config.features->columns, config.fields, columns_extra(), config.extra);
  if (!columns) return fail(host, columns.error());
  if (Status inputs = check_inputs(config, host); !inputs) return fail(host, inputs.error());

  if (config.features->name != "cic82" &&
      config.settings.idle_timeout_ns <= config.settings.activity_gap_ns)
    host.log_warning("--idle-timeout is not above --activity-gap: there can be no idle periods");

  if (config.outputs.is_default_file)
    if (Status prepared = prepare_default_output(config.outputs.csv.front(), host); !prepared)
      return fail(host, prepared.error());
  handle_signals();
  auto sinks =
      open_outputs(config.outputs, *columns, !config.interfaces.empty(), config.quiet, host);
  if (!sinks) return fail(host, sinks.error());
  FlowPrinter printer(**sinks);
  const ExitCode code = config.interfaces.empty() ? run_replay(config, **sinks, host)
                        : config.print            ? run_live(config, printer, host)
                                                  : run_live(config, **sinks, host);
  return code == kOk && !(*sinks)->complete() ? kRunFailed : code;
}

}  // namespace
}  // namespace flowmeter

int main(int argc, char** argv) {
  flowmeter::occupy_standard_streams();
  flowmeter::ProgramHost host;
  try {
    const flowmeter::ExitCode code = flowmeter::run(argc, argv, host);
    host.log_suppressed();
    return code;
  } catch (const std::bad_alloc&) {
    host.log_error("out of memory (--max-flows and --max-fragments bound it)");
  } catch (const std::exception& error) {
    host.log_error(error.what());
  }
  return flowmeter::kRunFailed;
}
