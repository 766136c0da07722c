// SPDX-License-Identifier: BSD-3-Clause
// The diagnosis as a table and as JSON, from a filled struct with hostile names.
#include "ops/diagnosis.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "ops/interface_findings.h"

namespace flowmeter {
namespace {

constexpr char kNastyName[] = "e\x1b[31m\"\\\n\xc3\xa9\xff\xc0\x80\xed\xa0\x80";

Diagnosis example() {
  Diagnosis diagnosis;
  diagnosis.kernel_release = "6.18.0-test";
  diagnosis.kernel = {
      {"ring_buffer", FindingState::kOk, Need::kRequired, "for events"},
      {"tcx", FindingState::kLimited, Need::kOptional, "needs Linux 6.6"},
  };
  diagnosis.process = {
      {"CAP_BPF", FindingState::kMissing, Need::kRequired, "loads programs"},
      {"CAP_PERFMON", FindingState::kMissing, Need::kRequired, "pointers"},
      {"CAP_SYS_ADMIN", FindingState::kMissing, Need::kOptional, "not needed"},
      {"bpffs", FindingState::kUnknown, Need::kRequired, "cannot tell"},
  };
  InterfaceDiagnosis interface;
  interface.name = kNastyName;
  interface.index = 7;
  interface.mtu = 1400;
  interface.offloads = Offloads{.tso = true, .lro = true};
  interface.attached = {
      {"tcx/ingress", 12, "cil_from_netdev", std::string(kNastyName) + " (pid 3)"},
      {"clsact/egress", 0, "u32", ""}};
  interface.findings = {{"lro", FindingState::kLimited, Need::kOptional, "not certain"}};
  diagnosis.interfaces = {interface, {}};
  return diagnosis;
}

TEST(Diagnosis, NamesWhatIsRequiredAndMissing) {
  EXPECT_EQ(missing_requirements(example()), "CAP_BPF, CAP_PERFMON");
  EXPECT_EQ(missing_requirements({}), "");
}

TEST(Diagnosis, MissingInterfaceIsARequirement) {
  Diagnosis diagnosis;
  diagnosis.interfaces.resize(1);
  diagnosis.interfaces[0].findings = {
      {"link", FindingState::kMissing, Need::kRequired, "no such interface"}};
  EXPECT_EQ(missing_requirements(diagnosis), "link");
}

TEST(Diagnosis, TableHasOneLinePerFinding) {
  EXPECT_EQ(diagnosis_table(example(), Colour::kNone),
            "kernel 6.18.0-test\n"
            "  ring_buffer    ok       for events\n"
            "  tcx            limited  needs Linux 6.6\n"
            "\n"
            "this process\n"
            "  CAP_BPF        missing  loads programs\n"
            "  CAP_PERFMON    missing  pointers\n"
            "  CAP_SYS_ADMIN  missing  not needed\n"
            "  bpffs          unknown  cannot tell\n"
            "\n"
            "interface e?[31m\"\\?\xc3\xa9??????\n"
            "  lro            limited  not certain\n"
            "\n"
            "Metering is not possible, because this is missing: CAP_BPF, CAP_PERFMON\n");
}

TEST(Diagnosis, ColourIsOfTheStateOnly) {
  Diagnosis diagnosis;
  diagnosis.kernel = {{"tcx", FindingState::kOk, Need::kRequired, "there"}};
  EXPECT_EQ(diagnosis_table(diagnosis, Colour::kOfStates),
            "kernel \n  tcx  \033[32mok     \033[0m  there\n\nMetering is possible: nothing that "
            "it needs is missing.\n");
}

// An independent JSON reader says what is in it.
TEST(Diagnosis, JsonIsReadByPython) {
  constexpr char kCheck[] = R"py(python3 -c '
import json, sys
d = json.loads(sys.stdin.buffer.read().decode("utf-8"))
assert list(d) == ["schema", "version", "kernel_release", "can_meter", "kernel", "process", "interfaces"], list(d)
assert d["schema"] == 1 and d["can_meter"] is False and d["kernel_release"] == "6.18.0-test"
assert d["kernel"][1] == {"what": "tcx", "state": "limited", "required": False, "meaning": "needs Linux 6.6"}
assert [f["state"] for f in d["process"]] == ["missing", "missing", "missing", "unknown"]
name = "e\x1b[31m\"\\\n\u00e9" + "\ufffd" * 6
first, second = d["interfaces"]
assert first["name"] == name, ascii(first["name"])
assert (first["index"], first["mtu"], first["native_xdp"]) == (7, 1400, None)
assert {k for k, v in first["offloads"].items() if v} == {"tso", "lro"} and len(first["offloads"]) == 8
assert first["attached"] == [
    {"hook": "tcx/ingress", "program_id": 12, "program_name": "cil_from_netdev", "owner": name + " (pid 3)"},
    {"hook": "clsact/egress", "program_id": 0, "program_name": "u32", "owner": ""}]
assert first["findings"][0]["what"] == "lro"
assert (second["offloads"], second["attached"], second["findings"]) == (None, None, [])
')py";
  FILE* python = ::popen(kCheck, "w");
  ASSERT_NE(python, nullptr);
  const std::string json = diagnosis_json(example());
  std::fwrite(json.data(), 1, json.size(), python);
  EXPECT_EQ(::pclose(python), 0) << json;
}

// ---- what the offloads mean ----

struct OffloadRow {
  const char* claim;
  Offloads offloads;
  const char* what;
  FindingState state;
  const char* part;
};

TEST(InterfaceFindings, SayWhatOffloadsMeanForExactness) {
  const OffloadRow rows[] = {
      {"segments are counted",
       {.tso = true, .gro = true},
       "segmentation",
       FindingState::kOk,
       "TSO, GRO on: counted exactly, as segments on the wire"},
      {"nothing to split", {}, "segmentation", FindingState::kOk, "off: each buffer is a packet"},
      {"LRO is not exact", {.lro = true}, "lro", FindingState::kLimited, "ethtool -K eth7 lro off"},
      {"hardware GRO is not certain",
       {.hw_gro = true},
       "hw_gro",
       FindingState::kLimited,
       "ethtool -K eth7 rx-gro-hw off"},
      {"no merging by the device", {.gro = true}, "device_merging", FindingState::kOk, "off"},
      {"tag in metadata", {.rx_vlan = true}, "vlan", FindingState::kOk, "metadata"},
      {"tag in the frame", {}, "vlan", FindingState::kOk, "from the frame"},
  };
  for (const OffloadRow& row : rows) {
    SCOPED_TRACE(row.claim);
    InterfaceDiagnosis interface;
    interface.name = "eth7";
    interface.offloads = row.offloads;
    int found = 0;
    for (const Finding& finding : offload_findings(interface)) {
      if (finding.what != row.what) continue;
      found++;
      EXPECT_EQ(finding.state, row.state);
      EXPECT_NE(finding.meaning.find(row.part), std::string::npos) << finding.meaning;
    }
    EXPECT_EQ(found, 1);
  }
  EXPECT_EQ(offload_findings({}).at(0).state, FindingState::kUnknown);
}

TEST(InterfaceFindings, XdpOfOthersIsALimitTcxIsNot) {
  InterfaceDiagnosis interface;
  interface.attached = {{"xdp", 5, "drop", "loader (pid 9)"}, {"tcx/ingress", 6, "", ""}};
  const auto findings = attachment_findings(interface);
  ASSERT_EQ(findings.size(), 3u);
  EXPECT_EQ(findings[1].state, FindingState::kLimited);
  EXPECT_NE(findings[1].meaning.find("xdp: program 5 \"drop\", held by loader (pid 9); --hook xdp"),
            std::string::npos)
      << findings[1].meaning;
  EXPECT_EQ(findings[2].state, FindingState::kOk);
  EXPECT_EQ(findings[2].meaning, "tcx/ingress: program 6");
}

TEST(InterfaceFindings, SayWhyAttachmentsCannotBeTold) {
  InterfaceDiagnosis interface;
  interface.why_not_told = "unknown without CAP_NET_ADMIN";
  const Finding finding = attachment_findings(interface).back();
  EXPECT_EQ(finding.state, FindingState::kUnknown);
  EXPECT_EQ(finding.meaning, "unknown without CAP_NET_ADMIN");
}

}  // namespace
}  // namespace flowmeter
