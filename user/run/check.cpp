// SPDX-License-Identifier: BSD-3-Clause
#include "run/check.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "kernel/attachment.h"
#include "kernel/interface.h"
#include "kernel/interface_selector.h"
#include "ops/privileges.h"
#include "view/live_view.h"

namespace flowmeter {
namespace {

Status check_capture(const std::string& path, const std::vector<std::string>& outputs) {
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
    return usage_error("output " + each + " is also an input");
  }
  return Done{};
}

}  // namespace

Status check_interfaces(const Config& config) {
  for (const std::string& text : config.interfaces) {
    auto selector = InterfaceSelector::parse(text);
    if (!selector) return selector.error();
    if (selector->is_pattern()) continue;
    if (auto interface = find_interface(text); !interface) return interface.error();
  }
  return Done{};
}

Status check_inputs(const Config& config, Host& host) {
  if (Status there = check_interfaces(config); !there) return there;
  if (config.live())
    if (const std::string missing = missing_capabilities(); !missing.empty())
      return Error{"metering an interface needs " + missing +
                   " (run as root, or give the program these file capabilities)"};
  if (!config.pin.empty() && !kernel_has_tcx())
    return usage_error("--pin needs TCX, which kernel " + kernel_release() +
                       " does not have (Linux 6.6 and newer have it): leave it out, as METER_PIN= "
                       "in /etc/default/flowmeter-ebpf does for the systemd unit");
  if (config.top)
    if (auto view = LiveView::open(config.outputs.uses_stdout(), host); !view) return view.error();
  const std::vector<std::string> outputs = config.outputs.paths();
  for (const std::string& path : config.captures)
    if (Status fine = check_capture(path, outputs); !fine) return fine;
  return Done{};
}

}  // namespace flowmeter
