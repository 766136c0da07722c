// SPDX-License-Identifier: BSD-3-Clause
#include "run/attribution_options.h"

#include "base/utf8.h"
#include "features/columns_owner.h"

namespace flowmeter {
namespace {

using enum OptionGroup;

constexpr std::string_view kUnix = "unix://";
constexpr size_t kLongestSocketPath = 107;  // sun_path of sockaddr_un, without its end

OptionValue engine_address(Config& config) {
  const auto set = [&config](const std::string& text) -> Status {
    if (!text.starts_with(kUnix) || text.size() == kUnix.size() || text[kUnix.size()] != '/')
      return Error{"\"" + printable(text, '?') +
                   "\" is not the address of a container engine, such as "
                   "unix:///run/docker.sock"};
    if (text.size() - kUnix.size() > kLongestSocketPath)
      return Error{"the path of a socket has at most " + std::to_string(kLongestSocketPath) +
                   " bytes"};
    config.engine = text;
    return Done{};
  };
  return custom("ADDRESS", set, [&config] { return config.engine; });
}

}  // namespace

std::vector<Option> attribution_options(Config& config) {
  return {
      {"--attribute",
       kLive,
       choice<fm_attribute>(config.attribute, "WHAT", "an owner",
                            {{"off", FM_ATTRIBUTE_OFF},
                             {"container", FM_ATTRIBUTE_CONTAINER},
                             {"process", FM_ATTRIBUTE_PROCESS}}),
       "Append columns that say whose packets a flow has, for\n"
       "both of its ends: container (container, pod, cgroup),\n"
       "process (also process id and command) or off",
       {.live_only = true, .is_keyword = true, .why_live_only = "sockets are not in a capture"}},
      {"--engine",
       kLive,
       engine_address(config),
       "Ask this container engine for names, read-only: the\n"
       "socket of Docker, Podman, containerd or CRI-O, such\n"
       "as unix:///run/docker.sock",
       {.live_only = true, .needs = {"--attribute"}, .is_keyword = true}},
  };
}

std::string check_attribution(const Config& config) {
  if (config.attribute == FM_ATTRIBUTE_PROCESS) return "";
  for (const auto& [option, names] :
       {std::pair<const char*, const std::string&>{"--fields", config.fields},
        {"--extra", config.extra}}) {
    const bool containers = config.attribute == FM_ATTRIBUTE_CONTAINER;
    const std::string_view name =
        containers ? first_process_column(names) : first_owner_column(names);
    if (name.empty()) continue;
    return std::string(option) + ": the column " + std::string(name) + " needs --attribute" +
           (is_process_column(name) ? " process" : " container or process");
  }
  return "";
}

std::string attribution_columns(const Config& config) {
  switch (config.attribute) {
    case FM_ATTRIBUTE_OFF:
      break;
    case FM_ATTRIBUTE_CONTAINER:
      return kContainerColumns;
    case FM_ATTRIBUTE_PROCESS:
      return kProcessColumns;
  }
  return "";
}

}  // namespace flowmeter
