// SPDX-License-Identifier: BSD-3-Clause
#include "containers/docker_json.h"

#include <nlohmann/json.hpp>

#include "containers/cgroup_path.h"
#include "containers/name_text.h"

namespace flowmeter {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kLabels = "io.kubernetes.";

bool is_used(std::string_view key) {
  return key == "Id" || key == "Name" || key == "Names" || key == "Config" || key == "Labels" ||
         key.starts_with(kLabels);
}

// Whether no part is deeper than any that an engine writes. The parser keeps something of each
// level, so 32 MiB of brackets would take half a gigabyte. Brackets in texts do not count.
bool is_flat(std::string_view text) {
  constexpr int kMostDepth = 64;
  int depth = 0;
  bool in_text = false;
  for (size_t at = 0; at < text.size(); at++) {
    const char c = text[at];
    if (c == '"')
      in_text = !in_text;
    else if (in_text)
      at += c == '\\';  // what it escapes ends no text
    else if ((c == '[' || c == '{') && ++depth > kMostDepth)
      return false;
    else if (c == ']' || c == '}')
      depth--;
  }
  return true;
}

// Keeps only what is used, so that a large text does not become a much larger object.
Json parse(std::string_view text) {
  const auto keep = [](int depth, Json::parse_event_t event, const Json& value) {
    constexpr int kMostDepth = 8;  // of what is used it is 3
    if (event == Json::parse_event_t::key) return is_used(value.get_ref<const std::string&>());
    if (event == Json::parse_event_t::value) return value.is_string();
    return depth < kMostDepth;
  };
  if (!is_flat(text)) return Json::value_t::discarded;
  return Json::parse(text, keep, /*allow_exceptions=*/false);
}

// Null unless `from` is an object that has it.
const Json* member(const Json* from, const char* name) {
  if (!from || !from->is_object()) return nullptr;
  const auto found = from->find(name);
  return found == from->end() ? nullptr : &*found;
}

std::string_view text(const Json* value) {
  return value && value->is_string() ? std::string_view(value->get_ref<const std::string&>())
                                     : std::string_view();
}

// Docker's names start with '/'.
std::string own_name(std::string_view name) {
  if (name.starts_with('/')) name.remove_prefix(1);
  return name_text(name);
}

// The kubelet's labels (cri-dockerd) are better than the name that it has given: "k8s_…".
ContainerName named(std::string_view own, const Json* labels) {
  ContainerName name;
  name.pod = name_text(text(member(labels, "io.kubernetes.pod.name")));
  name.pod_namespace = name_text(text(member(labels, "io.kubernetes.pod.namespace")));
  name.pod_uid = name_text(text(member(labels, "io.kubernetes.pod.uid")));
  const std::string_view container = text(member(labels, "io.kubernetes.container.name"));
  constexpr std::string_view kSandbox = "POD";  // has no name in the other engines
  if (container.empty())
    name.container = own_name(own);
  else if (container != kSandbox)
    name.container = name_text(container);
  return name;
}

}  // namespace

std::optional<ContainerName> parse_docker_config(std::string_view json) {
  const Json config = parse(json);
  const std::string_view own = text(member(&config, "Name"));
  if (own.empty()) return {};
  return named(own, member(member(&config, "Config"), "Labels"));
}

std::optional<NamesById> parse_docker_containers(std::string_view json) {
  const Json all = parse(json);
  if (!all.is_array()) return {};
  NamesById names;
  for (const Json& each : all) {
    if (names.size() >= kMostContainers) break;
    const std::string_view id = text(member(&each, "Id"));
    const Json* const own = member(&each, "Names");
    if (!is_container_id(id) || !own || !own->is_array()) continue;
    names.emplace(id, named(own->empty() ? std::string_view() : text(&own->front()),
                            member(&each, "Labels")));
  }
  return names;
}

}  // namespace flowmeter
