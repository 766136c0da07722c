// SPDX-License-Identifier: BSD-3-Clause
#include "ops/interface_findings.h"

#include <net/if.h>

#include <cerrno>

#include "kernel/interface.h"
#include "kernel/xdp_support.h"

namespace flowmeter {
namespace {

std::string joined(std::initializer_list<std::pair<bool, const char*>> parts, const char* none) {
  std::string text;
  for (const auto& [there, name] : parts)
    if (there) text += (text.empty() ? "" : ", ") + std::string(name);
  return text.empty() ? none : text;
}

}  // namespace

std::vector<Finding> offload_findings(const InterfaceDiagnosis& interface) {
  if (!interface.offloads)
    return {{"offloads", FindingState::kUnknown, Need::kOptional,
             "the interface does not report them"}};
  const Offloads& on = *interface.offloads;
  std::vector<Finding> findings;
  const std::string segmentation = joined({{on.tso, "TSO"},
                                           {on.gso, "GSO"},
                                           {on.tx_udp_segmentation, "UDP segmentation"},
                                           {on.gro, "GRO"}},
                                          "");
  findings.push_back({"segmentation", FindingState::kOk, Need::kOptional,
                      segmentation.empty()
                          ? "off: each buffer is a packet on the wire"
                          : segmentation + " on: counted exactly, as segments on the wire"});
  if (on.lro)
    findings.push_back(
        {"lro", FindingState::kLimited, Need::kOptional,
         "on: counts of merged buffers are computed, flags of middle segments are uncertain; "
         "ethtool -K " +
             interface.name + " lro off"});
  if (on.hw_gro)
    findings.push_back(
        {"hw_gro", FindingState::kLimited, Need::kOptional,
         "on: the device merges packets before they are seen; their counts are computed from its "
         "segment size; ethtool -K " +
             interface.name + " rx-gro-hw off, if the driver supports it"});
  if (!on.lro && !on.hw_gro)
    findings.push_back(
        {"device_merging", FindingState::kOk, Need::kOptional, "LRO and hardware GRO are off"});
  findings.push_back({"vlan", FindingState::kOk, Need::kOptional,
                      on.rx_vlan ? "tags are removed by the device and read from metadata"
                                 : "tags are read from the frame"});
  return findings;
}

std::vector<Finding> attachment_findings(const InterfaceDiagnosis& interface) {
  std::vector<Finding> findings;
  findings.push_back({"xdp", FindingState::kOk, Need::kOptional,
                      !interface.native_xdp
                          ? "the kernel does not report whether the driver supports it"
                      : *interface.native_xdp ? "native, for --hook xdp"
                                              : "generic only: --hook xdp-generic"});
  if (!interface.attached) {
    findings.push_back(
        {"attached", FindingState::kUnknown, Need::kOptional, interface.why_not_told});
    return findings;
  }
  for (const AttachedProgram& program : *interface.attached) {
    const bool is_xdp = program.hook.starts_with("xdp");
    findings.push_back({"attached", is_xdp ? FindingState::kLimited : FindingState::kOk,
                        Need::kOptional,
                        program.hook + ": " + describe(program) +
                            (is_xdp ? "; --hook xdp is not available, and packets that it drops or "
                                      "redirects are not seen"
                                    : "")});
  }
  if (interface.attached->empty())
    findings.push_back({"attached", FindingState::kOk, Need::kOptional, "no other programs"});
  return findings;
}

InterfaceDiagnosis diagnose_interface(const std::string& name, Need need) {
  InterfaceDiagnosis diagnosis;
  diagnosis.name = name;
  diagnosis.index = ::if_nametoindex(name.c_str());
  auto found = find_interface(name);
  if (!found) {
    diagnosis.findings.push_back(
        {"link", need == Need::kRequired ? FindingState::kMissing : FindingState::kLimited, need,
         "not metered: " + found.error().message()});
    return diagnosis;
  }
  const Interface& interface = *found;
  diagnosis.mtu = interface.mtu;
  diagnosis.findings.push_back(
      {"link", FindingState::kOk, Need::kRequired,
       std::string(interface.is_loopback ? "loopback, metered on ingress, which each packet passes "
                                           "once"
                   : interface.has_link_header ? "Ethernet"
                                               : "IP packets without a link header") +
           ", index " + std::to_string(interface.index) + ", MTU " + std::to_string(interface.mtu) +
           (interface.is_up ? ", up" : ", down")});
  if (auto offloads = read_offloads(name)) diagnosis.offloads = *offloads;
  diagnosis.native_xdp = has_native_xdp(interface);
  if (auto attached = attached_programs(interface))
    diagnosis.attached = std::move(*attached);
  else
    diagnosis.why_not_told = attached.error().os_error == EPERM ? "unknown without CAP_NET_ADMIN"
                                                                : attached.error().message();
  for (auto findings : {offload_findings(diagnosis), attachment_findings(diagnosis)})
    diagnosis.findings.insert(diagnosis.findings.end(), findings.begin(), findings.end());
  return diagnosis;
}

}  // namespace flowmeter
