// SPDX-License-Identifier: BSD-3-Clause
#include "containers/cgroup_path.h"

#include <gtest/gtest.h>

namespace flowmeter {
namespace {

const std::string kId = "4c01db0b339c9d1b5ab6e4d1e5a8e9b2c6f7f0a1b2c3d4e5f60718293a4b5c6d";
const std::string kOther = "ffffdb0b339c9d1b5ab6e4d1e5a8e9b2c6f7f0a1b2c3d4e5f60718293a4b5c6d";
const std::string kUid = "c0ffee00-1234-4abc-8def-0123456789ab";
const std::string kSliceUid = "c0ffee00_1234_4abc_8def_0123456789ab";
const std::string kHash = "0123456789abcdef0123456789abcdef";

struct Row {
  const char* what;
  std::string path;
  std::string container_id;
  std::string pod_uid;
  std::string owner;  // the path of the container's or pod's cgroup; empty: the whole path
  uint32_t user = 0;  // who has named it
};

const Row kContainers[] = {
    {"Docker, cgroupfs", "/docker/" + kId, kId, "", ""},
    {"Docker, systemd", "/system.slice/docker-" + kId + ".scope", kId, "", ""},
    {"Docker with --cgroup-parent", "/tenants/a/" + kId, kId, "", ""},
    {"Docker with a slice as --cgroup-parent", "/tenants.slice/docker-" + kId + ".scope", kId, "",
     ""},
    {"Docker, rootless",
     "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + kId + ".scope", kId, "",
     "", 1000},
    {"systemd in a container", "/system.slice/docker-" + kId + ".scope/init.scope", kId, "",
     "/system.slice/docker-" + kId + ".scope"},
    {"Docker in Docker: the outer container", "/docker/" + kId + "/docker/" + kOther, kId, "",
     "/docker/" + kId},
    {"a pod in kind: the node's container",
     "/docker/" + kId +
         "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
         "kubelet-kubepods-besteffort-pod" +
         kSliceUid + ".slice/cri-containerd-" + kOther + ".scope",
     kId, "", "/docker/" + kId},
    {"a pod in kind, seen from its node",
     "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
     "kubelet-kubepods-besteffort-pod" +
         kSliceUid + ".slice/cri-containerd-" + kId + ".scope",
     kId, kUid, ""},
    {"containerd, cgroupfs, as ctr and nerdctl", "/default/" + kId, kId, "", ""},
    {"nerdctl, systemd", "/system.slice/nerdctl-" + kId + ".scope", kId, "", ""},
    {"Podman", "/machine.slice/libpod-" + kId + ".scope", kId, "", ""},
    {"Podman with crun", "/machine.slice/libpod-" + kId + ".scope/container", kId, "",
     "/machine.slice/libpod-" + kId + ".scope"},
    {"Podman, rootless",
     "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + kId + ".scope/container",
     kId, "", "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + kId + ".scope",
     1000},
    {"Podman in a unit (Quadlet)", "/system.slice/web.service/libpod-payload-" + kId, kId, "", ""},
    {"Podman, cgroupfs", "/libpod_parent/libpod-" + kId, kId, "", ""},
    {"a pod of Podman",
     "/machine.slice/machine-libpod_pod_" + kOther + ".slice/libpod-" + kId + ".scope", kId, kOther,
     ""},
    {"a pod of Podman, cgroupfs", "/libpod_parent/" + kOther + "/libpod-" + kId, kId, kOther, ""},
};

const Row kPods[] = {
    {"kubepods, cgroupfs, burstable", "/kubepods/burstable/pod" + kUid + "/" + kId, kId, kUid, ""},
    {"kubepods, cgroupfs, besteffort", "/kubepods/besteffort/pod" + kUid + "/" + kId, kId, kUid,
     ""},
    {"kubepods, cgroupfs, guaranteed", "/kubepods/pod" + kUid + "/" + kId, kId, kUid, ""},
    {"kubepods, cgroupfs, CRI-O", "/kubepods/burstable/pod" + kUid + "/crio-" + kId, kId, kUid, ""},
    {"kubepods, systemd, burstable",
     "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + kSliceUid +
         ".slice/cri-containerd-" + kId + ".scope",
     kId, kUid, ""},
    {"kubepods, systemd, guaranteed",
     "/kubepods.slice/kubepods-pod" + kSliceUid + ".slice/crio-" + kId + ".scope/container", kId,
     kUid, "/kubepods.slice/kubepods-pod" + kSliceUid + ".slice/crio-" + kId + ".scope"},
    {"cri-dockerd",
     "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + kSliceUid +
         ".slice/docker-" + kId + ".scope",
     kId, kUid, ""},
    {"a static pod, cgroupfs", "/kubepods/burstable/pod" + kHash + "/" + kId, kId, kHash, ""},
    {"a static pod, systemd",
     "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + kHash +
         ".slice/cri-containerd-" + kId + ".scope",
     kId, kHash, ""},
    {"a pod's own cgroup", "/kubepods/burstable/pod" + kUid, "", kUid, ""},
    {"the monitor of a pod of CRI-O", "/kubepods/pod" + kUid + "/crio-conmon-" + kId, "", kUid,
     "/kubepods/pod" + kUid},
};

const Row kOthers[] = {
    {"the root", "/", "", "", ""},
    {"nothing", "", "", "", ""},
    {"a service", "/system.slice/docker.service", "", "", ""},
    {"a session", "/user.slice/user-0.slice/session-1.scope", "", "", ""},
    {"a user's session", "/user.slice/user-1000.slice/session-1.scope", "", "", "", 1000},
    {"a slice of nobody", "/user.slice/other.slice/user-1000.slice", "", "", "",
     CgroupPath::kNobody},
    {"Podman's monitor", "/machine.slice/libpod-conmon-" + kId + ".scope", "", "", ""},
    {"CRI-O's monitor", "/system.slice/crio-conmon-" + kId + ".scope", "", "", ""},
    {"no digits", "/docker/" + std::string(64, 'g'), "", "", ""},
    {"capitals", "/docker/" + std::string(64, 'A'), "", "", ""},
    {"a digit less", "/docker/" + kId.substr(1), "", "", ""},
    {"a digit more", "/docker/" + kId + "0", "", "", ""},
    {"no id in a scope", "/system.slice/docker-.scope", "", "", ""},
    {"another scope", "/system.slice/other-" + kId + ".scope", "", "", ""},
    {"a uid of other lengths", "/kubepods/pod" + kUid + "0", "", "", ""},
    {"a uid without its dashes in place", "/kubepods/podc0ffee001-234-4abc-8def-0123456789ab", "",
     "", ""},
    {"a slice that ends in -pod", "/kubepods.slice/kubepods-pod.slice", "", "", ""},
    {"a path of 4 KiB", "/" + std::string(4095, 'a'), "", "", ""},
    {"slashes only", std::string(4096, '/'), "", "", ""},
    {"any bytes", std::string("/docker/\0\xff\n", 11), "", "", ""},
};

void expect_row(const Row& row) {
  SCOPED_TRACE(row.what);
  const CgroupPath found = parse_cgroup_path(row.path);
  EXPECT_EQ(found.container_id, row.container_id);
  EXPECT_EQ(found.pod_uid, row.pod_uid);
  EXPECT_EQ(found.user, row.user);
  EXPECT_EQ(row.path.substr(0, found.owner_end), row.owner.empty() ? row.path : row.owner);
}

TEST(CgroupPath, ContainersOfEngines) {
  for (const Row& row : kContainers) expect_row(row);
}

TEST(CgroupPath, ContainersOfPods) {
  for (const Row& row : kPods) expect_row(row);
}

TEST(CgroupPath, OthersAreNoContainers) {
  for (const Row& row : kOthers) expect_row(row);
}

TEST(CgroupPath, AnIdFarDownAPathIsFound) {
  const std::string above = "/" + std::string(200, 'a') + "/" + std::string(3000, 'b');
  EXPECT_EQ(parse_cgroup_path(above + "/docker/" + kId).container_id, kId);
}

}  // namespace
}  // namespace flowmeter
