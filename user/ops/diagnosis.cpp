// SPDX-License-Identifier: BSD-3-Clause
#include "ops/diagnosis.h"

#include <algorithm>
#include <cstdio>
#include <string_view>

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
std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text;
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

class Table {
 public:
  Table(const Diagnosis& diagnosis, bool colour) : colour_(colour) {
    for_each_finding(diagnosis, [this](const Finding& finding) {
      what_width_ = std::max(what_width_, finding.what.size());
    });
  }

  void section(const std::string& title, const std::vector<Finding>& findings) {
    if (findings.empty()) return;
    if (!text_.empty()) text_ += "\n";
    text_ += printable(title) + "\n";
    for (const Finding& finding : findings) {
      const StateName state = name_of(finding.state);
      text_ += "  " + padded(finding.what, what_width_) + "  ";
      if (colour_) text_ += "\033[" + std::string(state.colour) + "m";
      text_ += padded(state.text, 7);
      if (colour_) text_ += "\033[0m";
      text_ += "  " + printable(finding.meaning) + "\n";
    }
  }

  std::string text_;

 private:
  bool colour_;
  size_t what_width_ = 0;
};

// ---- JSON ----

// Length of the UTF-8 character at the start of the text; 0 if it is not valid (RFC 3629).
size_t utf8_length(std::string_view text) {
  const auto byte = [text](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const unsigned first = byte(0);
  const auto continues = [&](size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
    return byte(i) >= low && byte(i) <= high;
  };
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef)  // neither overlong nor a surrogate
    return continues(1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf) && continues(2)
               ? 3
               : 0;
  if (first >= 0xf0 && first <= 0xf4)  // neither overlong nor above U+10FFFF
    return continues(1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf) && continues(2) &&
                   continues(3)
               ? 4
               : 0;
  return 0;
}

// A name may contain any bytes. Bytes that are not valid UTF-8 become U+FFFD.
std::string quoted(std::string_view text) {
  std::string json = "\"";
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    const auto first = static_cast<unsigned char>(text[0]);
    if (length == 0) {
      json += "\\ufffd";
    } else if (first < 0x20 || first == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", first);
      json += escape;
    } else {
      if (first == '"' || first == '\\') json += '\\';
      json += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return json + "\"";
}

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
    return "{\"what\": " + quoted(finding.what) +
           ", \"state\": " + quoted(name_of(finding.state).text) +
           ", \"required\": " + json_bool(finding.required) +
           ", \"meaning\": " + quoted(finding.meaning) + "}";
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
    json += (json.empty() ? "{" : ", ") + quoted(each.name) + ": " + json_bool(each.on);
  return json + "}";
}

std::string json_interface(const InterfaceDiagnosis& interface) {
  const std::string indent = "     ";
  const auto line = [&](const char* name, const std::string& value) {
    return ",\n" + indent + quoted(name) + ": " + value;
  };
  return "{\"name\": " + quoted(interface.name) + line("index", std::to_string(interface.index)) +
         line("mtu", std::to_string(interface.mtu)) +
         line("offloads", interface.offloads ? json_offloads(*interface.offloads) : "null") +
         line("native_xdp", interface.native_xdp ? json_bool(*interface.native_xdp) : "null") +
         line("attached",
              !interface.attached
                  ? "null"
                  : json_array(*interface.attached, indent,
                               [](const AttachedProgram& program) {
                                 return "{\"hook\": " + quoted(program.hook) +
                                        ", \"program_id\": " + std::to_string(program.program_id) +
                                        ", \"program_name\": " + quoted(program.program_name) +
                                        ", \"owner\": " + quoted(program.owner) + "}";
                               })) +
         line("findings", json_findings(interface.findings, indent)) + "}";
}

}  // namespace

std::string missing_requirements(const Diagnosis& diagnosis) {
  std::string missing;
  for_each_finding(diagnosis, [&](const Finding& finding) {
    if (finding.required && finding.state == FindingState::kMissing)
      missing += (missing.empty() ? "" : ", ") + finding.what;
  });
  return missing;
}

std::string diagnosis_table(const Diagnosis& diagnosis, bool colour) {
  Table table(diagnosis, colour);
  table.section("kernel " + diagnosis.kernel_release, diagnosis.kernel);
  table.section("this process", diagnosis.process);
  for (const InterfaceDiagnosis& interface : diagnosis.interfaces)
    table.section("interface " + interface.name, interface.findings);
  const std::string missing = missing_requirements(diagnosis);
  table.text_ += missing.empty()
                     ? "\nMetering is possible: nothing that it needs is missing.\n"
                     : "\nMetering is not possible, because this is missing: " + missing + "\n";
  return table.text_;
}

std::string diagnosis_json(const Diagnosis& diagnosis) {
  return "{\"schema\": " + std::to_string(kDiagnosisSchema) +
         ",\n \"version\": " + quoted(FLOWMETER_VERSION) +
         ",\n \"kernel_release\": " + quoted(diagnosis.kernel_release) +
         ",\n \"can_meter\": " + json_bool(missing_requirements(diagnosis).empty()) +
         ",\n \"kernel\": " + json_findings(diagnosis.kernel, " ") +
         ",\n \"process\": " + json_findings(diagnosis.process, " ") +
         ",\n \"interfaces\": " + json_array(diagnosis.interfaces, " ", json_interface) + "}\n";
}

}  // namespace flowmeter
