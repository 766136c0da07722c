// SPDX-License-Identifier: BSD-3-Clause
// Runs everything that reads names and answers of containers on arbitrary bytes: what comes out is
// bounded and safe. The first byte chooses.
#include <cstdlib>
#include <string_view>

#include "containers/cgroup_path.h"
#include "containers/cri_answers.h"
#include "containers/docker_json.h"
#include "containers/name_text.h"

namespace {

using namespace flowmeter;

void require(bool holds) {
  if (!holds) std::abort();
}

void require_safe(const std::string& text) {
  require(text.size() <= 1024 && name_of_text(text));
}

void require_safe(const ContainerName& name) {
  for (const std::string* text : {&name.container, &name.pod, &name.pod_namespace, &name.pod_uid})
    require_safe(*text);
}

void require_safe(const std::optional<NamesById>& names) {
  if (!names) return;
  for (const auto& [id, name] : *names) {
    require(is_container_id(id));
    require_safe(name);
  }
}

void check_name(std::string_view name) {
  const std::string text = name_text(name);
  require_safe(text);
  if (!text.ends_with("%~")) require(name_of_text(text) == name);
}

void check_path(std::string_view path) {
  const CgroupPath found = parse_cgroup_path(path);
  require(found.owner_end <= path.size());
  require(found.container_id.empty() || is_container_id(found.container_id));
  require_safe(found.pod_uid);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 6) {
    case 0:
      check_name(text);
      break;
    case 1:
      check_path(text);
      break;
    case 2:
      if (const auto log = parse_log_file(text)) require_safe(log->name);
      break;
    case 3:
      if (const auto name = parse_docker_config(text)) require_safe(*name);
      break;
    case 4:
      require_safe(parse_docker_containers(text));
      break;
    case 5:
      require_safe(
          parse_cri_answers(text.substr(0, text.size() / 2), text.substr(text.size() / 2)));
      break;
  }
  return 0;
}
