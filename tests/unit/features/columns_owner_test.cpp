// SPDX-License-Identifier: BSD-3-Clause
#include "features/columns_owner.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "containers/name_text.h"
#include "features/columns_extra.h"
#include "output/csv.h"
#include "output/json.h"

namespace flowmeter {
namespace {

const std::string kHostile = name_text("=cmd|' /C calc'!A0\",\n\x1b[2J\xff");

// A flow that the end 1 of the key has started.
struct Flow {
  fm_flow_key key{};
  fm_flow flow{};
  EndOwner owners[2];
  FlowRecord record{key, flow, {}, FM_END_IDLE};

  Flow() {
    flow.counters.forward_direction = 1;
    owners[1].attribution = "socket";
    owners[1].container_name = kHostile;
    owners[1].pod_namespace = "shop";
    owners[1].pid = 42;
    owners[1].comm = "curl";
    owners[0].attribution = "interface";
    record.owners = owners;
    record.service = "10.96.0.1:443";
  }
  std::string cell(std::string_view name) const {
    const FeatureSet all = columns_owner();
    const auto column =
        std::find_if(all.begin(), all.end(), [&](const Column& c) { return c.name == name; });
    if (column == all.end()) return "no such column";
    const Cell cell = column->get(record);
    return cell.kind() == Cell::Kind::kText ? std::string(cell.text())
                                            : std::to_string(cell.integer());
  }
};

TEST(ColumnsOwner, TheSourceIsTheEndThatStartedTheFlow) {
  const Flow flow;
  EXPECT_EQ(flow.cell("src_attribution"), "socket");
  EXPECT_EQ(flow.cell("dst_attribution"), "interface");
  EXPECT_EQ(flow.cell("src_container_name"), kHostile);
  EXPECT_EQ(flow.cell("src_namespace"), "shop");
  EXPECT_EQ(flow.cell("dst_namespace"), "");
  EXPECT_EQ(flow.cell("src_pid"), "42");
  EXPECT_EQ(flow.cell("dst_pid"), "");
  EXPECT_EQ(flow.cell("src_comm"), "curl");
  EXPECT_EQ(flow.cell("service"), "10.96.0.1:443");
}

TEST(ColumnsOwner, AreEmptyIfNobodyAsked) {
  Flow flow;
  flow.record.owners = nullptr;
  flow.record.service = {};
  for (const Column& column : columns_owner()) EXPECT_EQ(flow.cell(column.name), "") << column.name;
}

TEST(ColumnsOwner, EveryColumnIsOneThatCanBeAdded) {
  const FeatureSet extra = columns_extra();
  for (const Column& column : columns_owner())
    EXPECT_TRUE(std::any_of(extra.begin(), extra.end(), [&](const Column& c) {
      return c.name == column.name;
    })) << column.name;
}

TEST(ColumnsOwner, SomeNeedAttribution) {
  EXPECT_EQ(first_owner_column("src_ip, dst_pod_name ,src_pid"), "dst_pod_name");
  EXPECT_EQ(first_owner_column("interface,service,src_pod_names"), "");
  EXPECT_EQ(first_owner_column(""), "");
  EXPECT_EQ(first_process_column("src_cgroup,dst_comm"), "dst_comm");
  EXPECT_EQ(first_process_column(kContainerColumns), "");
  EXPECT_EQ(first_process_column(kProcessColumns), "src_pid");
}

template <typename Format>
std::string row(const Format& format, const FlowRecord& record) {
  std::string text(format.bound(), '\0');
  text.resize(static_cast<size_t>(format.put_row(text.data(), record) - text.data()));
  return text;
}

TEST(ColumnsOwner, NamesBreakNoFormat) {
  const Flow flow;
  const std::vector<Column> columns(columns_owner().begin(), columns_owner().begin() + 3);
  EXPECT_EQ(row(CsvFormat(columns, {}), flow.record), "," + kHostile + ",\n");
  EXPECT_EQ(row(JsonFormat(columns, {}), flow.record),
            R"({"src_container_id":"","src_container_name":")" + kHostile +
                R"(","src_pod_uid":""})" + "\n");
}

TEST(ColumnsOwner, TheLongestTextsFitIntoTheBoundOfARow) {
  const std::string longest(EndOwner::kMaxText + 100, 'x');
  Flow flow;
  for (EndOwner& owner : flow.owners)
    owner.container_id = owner.container_name = owner.pod_uid = owner.pod_name =
        owner.pod_namespace = owner.cgroup = owner.comm = owner.attribution = longest;
  const std::vector<Column> columns(columns_owner().begin(), columns_owner().end());
  const CsvFormat csv(columns, {});
  EXPECT_LE(row(csv, flow.record).size(), csv.bound());
  EXPECT_EQ(flow.cell("src_cgroup").size(), EndOwner::kMaxText);
}

}  // namespace
}  // namespace flowmeter
