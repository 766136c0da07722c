// SPDX-License-Identifier: BSD-3-Clause
#include "run/live_config.h"

#include <bit>

namespace flowmeter {

Result<MeteredInterfaces::Options> interface_options(const Config& config) {
  MeteredInterfaces::Options options;
  for (const std::string& text : config.interfaces) {
    auto selector = InterfaceSelector::parse(text);
    if (!selector) return selector.error();
    options.selectors.push_back(std::move(*selector));
  }
  options.hook = config.hook;
  options.attribute = config.attribute != FM_ATTRIBUTE_OFF;
  options.order = config.attach_order;
  options.pin_directory = config.pin;
  options.verbose = config.verbose;
  return options;
}

BpfDatapath::Config datapath_config(const Config& config, bool several, Host& host) {
  BpfDatapath::Config kernel;
  kernel.settings = config.settings;
  kernel.datapath = config.datapath;
  kernel.lru = config.lru;
  // Leaves room for new flows while old ones are being closed. Each CPU also reserves some free
  // entries.
  kernel.max_entries = config.max_flows + config.max_flows / 8 + 1024;
  kernel.max_fragments = config.max_fragments;
  kernel.stream_bytes = std::bit_ceil(config.event_memory_mib) << 20;
  if (config.verbose) kernel.libbpf_log = &host;
  kernel.with_xdp = config.hook == Hook::kXdp || config.hook == Hook::kXdpGeneric;
  kernel.xdp_takes_frags = config.hook == Hook::kXdp;
  kernel.attribute = config.attribute;
  kernel.pin_directory = config.pin;
  kernel.per_interface = several && config.per_interface;
  kernel.count_once = several && !config.per_interface;
  return kernel;
}

}  // namespace flowmeter
