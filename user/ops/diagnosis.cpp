// SPDX-License-Identifier: BSD-3-Clause
#include "ops/diagnosis.h"

#include <algorithm>

#include "base/json_string.h"
#include "base/utf8.h"

namespace flowmeter {
namespace {

struct StateName {
  const char* text;
  const char* colour;  // SGR
};

StateName name_of(FindingState state) {
  switch (state) {
    case FindingState::kOk:
      return {"ok", "32"};
    case FindingState::kLimited:
      return {"limited", "33"};
    case FindingState::kMissing:
      return {"missing", "31"};
    case FindingState::kUnknown:
      break;
  }
  return {"unknown", "33"};
}

template <typename Visit>
void for_each_finding(const Diagnosis& diagnosis, Visit visit) {
  for (const Finding& finding : diagnosis.kernel) visit(finding);
  for (const Finding& finding : diagnosis.process) visit(finding);
  for (const InterfaceDiagnosis& interface : diagnosis.interfaces)
    for (const Finding& finding : interface.findings) visit(finding);
}

// ---- table ----

// Other users choose the names of processes and interfaces, so a terminal must not interpret them.
std::string for_terminal(std::string_view text) {
  return printable(text, '?');
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

// ---- JSON ----

const char* json_bool(bool value) {
  return value ? "true" : "false";
}

// One item per line, so that two diagnoses can be compared line by line.
template <typename Item, typename Text>
std::string json_array(const std::vector<Item>& items, const std::string& indent, Text text) {
  if (items.empty()) return "[]";
  std::string json = "[";
  for (size_t i = 0; i < items.size(); i++)
    json += (i ? ",\n" : "\n") + indent + "  " + text(items[i]);
  return json + "\n" + indent + "]";
}

std::string json_findings(const std::vector<Finding>& findings, const std::string& indent) {
  return json_array(findings, indent, [](const Finding& finding) {
    return "{\"what\": " + json_string(finding.what) +
           ", \"state\": " + json_string(name_of(finding.state).text) +
           ", \"required\": " + json_bool(finding.need == Need::kRequired) +
           ", \"meaning\": " + json_string(finding.meaning) + "}";
  });
}

std::string json_offloads(const Offloads& offloads) {
  const struct {
    const char* name;
    bool on;
  } all[] = {
      {"tso", offloads.tso},
      {"gso", offloads.gso},
      {"tx_udp_segmentation", offloads.tx_udp_segmentation},
      {"gro", offloads.gro},
      {"hw_gro", offloads.hw_gro},
      {"lro", offloads.lro},
      {"rx_vlan", offloads.rx_vlan},
      {"tx_vlan", offloads.tx_vlan},
  };
  std::string json;
  for (const auto& each : all)
    json += (json.empty() ? "{" : ", ") + json_string(each.name) + ": " + json_bool(each.on);
  return json + "}";
}

std::string json_interface(const InterfaceDiagnosis& interface) {
  const std::string indent = "     ";
  const auto line = [&](const char* name, const std::string& value) {
    return ",\n" + indent + json_string(name) + ": " + value;
  };
  return "{\"name\": " + json_string(interface.name) +
         line("index", std::to_string(interface.index)) +
         line("mtu", std::to_string(interface.mtu)) +
         line("offloads", interface.offloads ? json_offloads(*interface.offloads) : "null") +
         line("native_xdp", interface.native_xdp ? json_bool(*interface.native_xdp) : "null") +
         line("attached",
              !interface.attached
                  ? "null"
                  : json_array(*interface.attached, indent,
                               [](const AttachedProgram& program) {
                                 return "{\"hook\": " + json_string(program.hook) +
                                        ", \"program_id\": " + std::to_string(program.program_id) +
                                        ", \"program_name\": " + json_string(program.program_name) +
                                        ", \"owner\": " + json_string(program.owner) + "}";
                               })) +
         line("findings", json_findings(interface.findings, indent)) + "}";
}

}  // namespace

std::string missing_requirements(const Diagnosis& diagnosis) {
  std::string missing;
  for_each_finding(diagnosis, [&](const Finding& finding) {
    if (finding.need == Need::kRequired && finding.state == FindingState::kMissing)
      missing += (missing.empty() ? "" : ", ") + finding.what;
  });
  return missing;
}

std::string diagnosis_table(const Diagnosis& diagnosis, Colour colour) {
  size_t what_width = 0;
  for_each_finding(diagnosis, [&](const Finding& finding) {
    what_width = std::max(what_width, finding.what.size());
  });
  std::string text;
  const auto section = [&](const std::string& title, const std::vector<Finding>& findings) {
    if (findings.empty()) return;
    if (!text.empty()) text += "\n";
    text += for_terminal(title) + "\n";
    for (const Finding& finding : findings) {
      const StateName state = name_of(finding.state);
      text += "  " + padded(finding.what, what_width) + "  ";
      if (colour == Colour::kOfStates) text += "\033[" + std::string(state.colour) + "m";
      text += padded(state.text, 7);
      if (colour == Colour::kOfStates) text += "\033[0m";
      text += "  " + for_terminal(finding.meaning) + "\n";
    }
  };
  section("kernel " + diagnosis.kernel_release, diagnosis.kernel);
  section("this process", diagnosis.process);
  for (const InterfaceDiagnosis& interface : diagnosis.interfaces)
    section("interface " + interface.name, interface.findings);
  const std::string missing = missing_requirements(diagnosis);
  return text + (missing.empty()
                     ? "\nMetering is possible: nothing that it needs is missing.\n"
                     : "\nMetering is not possible, because this is missing: " + missing + "\n");
}

std::string diagnosis_json(const Diagnosis& diagnosis) {
  return "{\"schema\": " + std::to_string(kDiagnosisSchema) +
         ",\n \"version\": " + json_string(FLOWMETER_VERSION) +
         ",\n \"kernel_release\": " + json_string(diagnosis.kernel_release) +
         ",\n \"can_meter\": " + json_bool(missing_requirements(diagnosis).empty()) +
         ",\n \"kernel\": " + json_findings(diagnosis.kernel, " ") +
         ",\n \"process\": " + json_findings(diagnosis.process, " ") +
         ",\n \"interfaces\": " + json_array(diagnosis.interfaces, " ", json_interface) + "}\n";
}

}  // namespace flowmeter
