// SPDX-License-Identifier: BSD-3-Clause
#include "containers/container_names.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "containers/cri_answers.h"
#include "containers/cri_message.h"
#include "containers/docker_json.h"

namespace flowmeter {
namespace {

using namespace testing;

const std::string kId(64, 'a'), kSandbox(64, 'b');

TEST(LogFileName, TellsPodNamespaceAndContainer) {
  const std::string name = "web-6d4cf56db6-xk2lp_shop_nginx-" + kId + ".log";
  const auto log = parse_log_file(name);
  ASSERT_TRUE(log);
  EXPECT_EQ(log->container_id, kId);
  EXPECT_EQ(log->name.pod, "web-6d4cf56db6-xk2lp");
  EXPECT_EQ(log->name.pod_namespace, "shop");
  EXPECT_EQ(log->name.container, "nginx");
}

TEST(LogFileName, OtherFilesAreNone) {
  for (const std::string& name :
       {std::string(), std::string(".log"), kId + ".log", "-" + kId + ".log", "a-" + kId + ".log",
        "a_b-" + kId + ".log", "a_b_c" + kId + ".log", "a_b_c-" + kId + ".txt",
        "a_b_c-" + kId.substr(1) + ".log", "a_b_c-" + std::string(64, 'G') + ".log"})
    EXPECT_FALSE(parse_log_file(name)) << name;
}

TEST(LogFileName, IsMadeSafe) {
  const std::string name = "=p,\n_n\x1b_c\"-" + kId + ".log";
  const auto log = parse_log_file(name);
  ASSERT_TRUE(log);
  EXPECT_EQ(log->name.pod, "%3Dp%2C%0A");
  EXPECT_EQ(log->name.pod_namespace, "n%1B");
  EXPECT_EQ(log->name.container, "c%22");
}

TEST(DockerJson, NameOfAConfig) {
  EXPECT_EQ(parse_docker_config(R"({"State":{"Pid":7},"Name":"/web","Config":{"Labels":null}})"),
            (ContainerName{"web", "", "", ""}));
  EXPECT_EQ(parse_docker_config(R"({"Name":"/k8s_app_pod_ns_uid_0","Config":{"Labels":{
                "io.kubernetes.container.name":"app","io.kubernetes.pod.name":"pod",
                "io.kubernetes.pod.namespace":"ns","io.kubernetes.pod.uid":"u-1"}}})"),
            (ContainerName{"app", "pod", "ns", "u-1"}));
  EXPECT_EQ(parse_docker_config(R"({"Name":"/k8s_POD_pod_ns_uid_0","Config":{"Labels":{
                "io.kubernetes.container.name":"POD","io.kubernetes.pod.name":"pod"}}})"),
            (ContainerName{"", "pod", "", ""}));
  EXPECT_EQ(parse_docker_config(R"({"Name":"/a,\u001b[1m\"b"})")->container, "a%2C%1B%5B1m%22b");
}

TEST(DockerJson, OtherTextsTellNothing) {
  for (const char* text : {"", "{", "[]", "7", "null", "{\"Name\":7}", "{\"Name\":\"\"}",
                           "{\"Name\":[\"x\"]}", "\xff", "{\"Config\":{\"Labels\":[]}}"})
    EXPECT_FALSE(parse_docker_config(text)) << text;
  for (const char* text : {"", "{}", "[", "nonsense", "{\"message\":\"page not found\"}"})
    EXPECT_FALSE(parse_docker_containers(text)) << text;
  EXPECT_FALSE(parse_docker_containers(std::string(100'000, '[')));
}

// What is nested more than anything that an engine says would take memory for each level.
TEST(DockerJson, IsNotNestedWithoutEnd) {
  const auto answer = [](const std::string& more) {
    return R"([{"Id":")" + std::string(64, 'a') + R"(","Names":["/web"],"More":)" + more + "}]";
  };
  EXPECT_TRUE(parse_docker_containers(answer(std::string(20, '[') + std::string(20, ']'))));
  EXPECT_FALSE(parse_docker_containers(answer(std::string(99, '[') + std::string(99, ']'))));
  EXPECT_TRUE(parse_docker_containers(answer('"' + std::string(99, '[') + R"(\\\"[")")));
  EXPECT_TRUE(parse_docker_containers(answer("[" + std::string(99, ' ') + "]")));
}

TEST(DockerJson, ListOfContainers) {
  const auto names = parse_docker_containers(
      R"([{"Id":")" + kId + R"(","Names":["/web","/other/alias"],"Labels":{"x":"y"},"Mounts":[{}]},
          {"Id":"short","Names":["/bad"]},{"Id":")" +
      kSandbox + R"(","Names":7},7,null])");
  ASSERT_TRUE(names);
  EXPECT_EQ(*names, (NamesById{{kId, {"web", "", "", ""}}}));
  EXPECT_TRUE(parse_docker_containers("[]")->empty());
}

TEST(CriAnswers, ContainersHaveTheNamesOfTheirSandboxes) {
  const auto names = parse_cri_answers(cri_sandbox(kSandbox, "pod", "uid", "ns"),
                                       cri_container(kId, kSandbox, "app"));
  ASSERT_TRUE(names);
  EXPECT_EQ(*names,
            (NamesById{{kId, {"app", "pod", "ns", "uid"}}, {kSandbox, {"", "pod", "ns", "uid"}}}));
  EXPECT_TRUE(parse_cri_answers("", "")->empty());
}

TEST(CriAnswers, WhatIsNoMessageTellsNothing) {
  const std::string whole = cri_container(kId, kSandbox, "app");
  for (size_t size = 1; size < whole.size(); size++)
    EXPECT_FALSE(parse_cri_answers("", whole.substr(0, size))) << size;
  EXPECT_FALSE(parse_cri_answers("", "\x0b"));                   // a group
  EXPECT_FALSE(parse_cri_answers("", std::string(20, '\xff')));  // a number without an end
  EXPECT_FALSE(
      parse_cri_answers("", "\x0a\xff\xff\xff\xff\xff\xff\x7f"));  // longer than the message
  // What is inside of it may be anything.
  EXPECT_TRUE(parse_cri_answers(field(1, "\xff\xff"), field(1, "\xff"))->empty());
}

class Files : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = ::testing::TempDir() + "container_names." + std::to_string(::getpid());
    std::filesystem::create_directories(root_ + "/log");
    std::filesystem::create_directories(root_ + "/docker/" + kId);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void log(const std::string& name) { std::ofstream(root_ + "/log/" + name) << ""; }
  void config(const std::string& text) {
    std::ofstream(root_ + "/docker/" + kId + "/config.v2.json") << text;
  }
  ContainerNames names() { return ContainerNames({root_ + "/log", root_ + "/docker"}); }

  std::string root_;
};

TEST_F(Files, TheDirectoryIsReadOnceASecondForIdsThatAreNotKnown) {
  ContainerNames names = this->names();
  EXPECT_FALSE(names.find(kId, 10'000'000'000));
  log("p_n_c-" + kId + ".log");
  EXPECT_FALSE(names.find(kId, 10'999'999'999));
  ASSERT_TRUE(names.find(kId, 11'000'000'000));
  EXPECT_EQ(names.find(kId, 11'000'000'001)->pod, "p");
}

TEST_F(Files, DockersFileIsBoundedAndNeverAnotherFile) {
  ContainerNames names = this->names();
  config(R"({"Name":"/web"})");
  EXPECT_EQ(names.find(kId, 1)->container, "web");
  config(R"({"Name":"/renamed"})");
  EXPECT_EQ(names.find(kId, 2)->container, "renamed");
  config(R"({"Name":"/web"})" + std::string(2 << 20, ' '));
  EXPECT_FALSE(names.find(kId, 3));
  EXPECT_FALSE(names.find("../../log", 4));
  const std::string file = root_ + "/docker/" + kId + "/config.v2.json";
  std::filesystem::remove(file);
  std::filesystem::create_symlink("/etc/passwd", file);
  EXPECT_FALSE(names.find(kId, 5));
  std::filesystem::remove(file);
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  EXPECT_FALSE(names.find(kId, 6));  // does not wait for a writer
}

}  // namespace
}  // namespace flowmeter
