// SPDX-License-Identifier: BSD-3-Clause
#include "containers/cri_answers.h"

#include "containers/cgroup_path.h"
#include "containers/name_text.h"
#include "containers/protobuf.h"

namespace flowmeter {
namespace {

// Numbers of fields in Kubernetes' api.proto.
enum Field : uint64_t {
  kAnswerItem = 1,  // of both answers, repeated
  kId = 1,          // of a Container, and of a PodSandbox
  kSandboxMetadata = 2,
  kSandboxOfContainer = 2,
  kContainerMetadata = 3,
  kName = 1,  // of both metadata
  kUid = 2,
  kNamespace = 3,
};

// Calls take(number, bytes) for each field. false: this is no message.
template <typename Take>
bool each_field(std::string_view message, Take take) {
  ProtobufReader reader(message);
  while (reader.next()) take(reader.number(), reader.bytes());
  return !reader.is_malformed();
}

ContainerName pod_name(std::string_view metadata) {
  ContainerName name;
  each_field(metadata, [&](uint64_t number, std::string_view bytes) {
    if (number == kName) name.pod = name_text(bytes);
    if (number == kUid) name.pod_uid = name_text(bytes);
    if (number == kNamespace) name.pod_namespace = name_text(bytes);
  });
  return name;
}

void add_sandbox(std::string_view sandbox, NamesById& names) {
  std::string_view id, metadata;
  each_field(sandbox, [&](uint64_t number, std::string_view bytes) {
    if (number == kId) id = bytes;
    if (number == kSandboxMetadata) metadata = bytes;
  });
  if (is_container_id(id) && names.size() < kMostContainers) names.emplace(id, pod_name(metadata));
}

void add_container(std::string_view container, NamesById& names) {
  std::string_view id, sandbox, metadata;
  each_field(container, [&](uint64_t number, std::string_view bytes) {
    if (number == kId) id = bytes;
    if (number == kSandboxOfContainer) sandbox = bytes;
    if (number == kContainerMetadata) metadata = bytes;
  });
  if (!is_container_id(id) || names.size() >= kMostContainers) return;
  const auto pod = names.find(std::string(sandbox));
  ContainerName name = pod == names.end() ? ContainerName() : pod->second;
  each_field(metadata, [&](uint64_t number, std::string_view bytes) {
    if (number == kName) name.container = name_text(bytes);
  });
  names.emplace(id, std::move(name));
}

}  // namespace

std::optional<NamesById> parse_cri_answers(std::string_view sandboxes,
                                           std::string_view containers) {
  NamesById names;
  const bool are_read = each_field(sandboxes,
                                   [&](uint64_t number, std::string_view bytes) {
                                     if (number == kAnswerItem) add_sandbox(bytes, names);
                                   }) &&
                        each_field(containers, [&](uint64_t number, std::string_view bytes) {
                          if (number == kAnswerItem) add_container(bytes, names);
                        });
  if (!are_read) return {};
  return names;
}

}  // namespace flowmeter
