// SPDX-License-Identifier: BSD-3-Clause
// Checks what still works after privileges are dropped: each line of the table in ops/privileges.h.
// Each case runs in a child process, because dropped privileges do not come back. Its network
// namespace ends with it.
#include "ops/privileges.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <thread>

#include "base/clock.h"
#include "bpf/parity.h"
#include "kernel/attached_programs.h"
#include "kernel/attachment.h"
#include "kernel/bpf_datapath.h"

namespace flowmeter::testing {
namespace {

constexpr Capabilities kNetAdmin = Capabilities{1} << CAP_NET_ADMIN;
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);

// The expectations that failed, one per line. A child process sends them to its parent.
using Failures = std::string;

void expect(Failures& failures, bool good, const std::string& what) {
  if (!good) failures += what + " (errno " + std::to_string(errno) + ")\n";
}

// Runs `body` in a child with a network namespace of its own; returns its failures.
Failures in_child(const std::function<Failures()>& body) {
  int ends[2];
  if (::pipe(ends) != 0) return "pipe";
  const pid_t child = ::fork();
  if (child < 0) return "fork";
  if (child == 0) {
    ::close(ends[0]);
    Failures failures = ::unshare(CLONE_NEWNET) == 0 ? body() : "no network namespace";
    failures += "ran";
    const bool said = ::write(ends[1], failures.data(), failures.size()) > 0;
    ::_exit(said ? 0 : 1);
  }
  ::close(ends[1]);
  Failures failures;
  char part[512];
  for (ssize_t got; (got = ::read(ends[0], part, sizeof(part))) > 0;)
    failures.append(part, static_cast<size_t>(got));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!failures.ends_with("ran") || status != 0) return failures + "the child failed";
  return failures.substr(0, failures.size() - 3);
}

std::string why_not_here() {
  if (std::string why = why_bpf_cannot_run(); !why.empty()) return why;
  if ((effective_capabilities() >> CAP_SYS_ADMIN & 1) == 0)
    return "needs CAP_SYS_ADMIN for network namespaces";
  return "";
}

int load_classifier() {
  bpf_insn program[2]{};
  program[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
  program[0].imm = -1;  // TCX_NEXT
  program[1].code = BPF_JMP | BPF_EXIT;
  return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "privileges", "BSD", program, 2, nullptr);
}

void expect_gone(Failures& failures, Capabilities kept) {
  expect(failures, effective_capabilities() == kept, "effective set");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  expect(failures, ::syscall(SYS_capget, &header, data) == 0, "capget");
  expect(failures, (uint64_t{data[1].permitted} << 32 | data[0].permitted) == kept, "permitted");
  expect(failures, data[0].inheritable == 0 && data[1].inheritable == 0, "inheritable");
  expect(failures, ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, "no_new_privs");
  for (int capability = 0;; capability++) {
    const int bounding = ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (bounding < 0) break;
    const int wanted = (kept >> capability & 1) != 0;
    expect(failures, bounding == wanted, "bounding set " + std::to_string(capability));
    expect(failures, ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0) == 0,
           "ambient " + std::to_string(capability));
  }
  // Without these settings, uid 0 would regain all capabilities by an exec.
  FILE* child = ::popen("sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status", "r");
  char text[32] = "";
  expect(failures, child && std::fgets(text, sizeof(text), child), "exec");
  if (child) ::pclose(child);
  expect(failures, (std::strtoull(text, nullptr, 16) & ~kept) == 0,
         "regained by exec: " + std::string(text));
}

TEST(Privileges, NothingIsLeftAndTheMeterGoesOn) {
  if (const std::string why = why_not_here(); !why.empty()) GTEST_SKIP() << why;
  const Capabilities keep = capabilities_to_keep(Attachments::kStay);
  EXPECT_EQ(
      in_child([keep] {
        Failures failures;
        BpfDatapath::Config config;
        config.settings = fm_default_settings();
        config.max_entries = 64;
        config.max_fragments = 16;
        config.stream_bytes = 1 << 20;
        auto loaded = BpfDatapath::load(config, [](const void*, size_t) {});
        if (!loaded) return loaded.error().message();
        BpfDatapath& datapath = **loaded;
        auto interface = find_interface("lo");
        if (!interface) return interface.error().message();
        const int program = datapath.program_fd(*interface, FM_HOOK_INGRESS);
        const auto attach = [&] {
          return Attachment::tcx(program, *interface, Direction::kIngress, AttachOrder::kFirst);
        };
        expect(failures, static_cast<bool>(datapath.add_interface(*interface, DeviceMerging::kOff)),
               "add");
        {
          auto attachment = attach();
          expect(failures, static_cast<bool>(attachment), "attach");
        }
        if (Status dropped = drop_privileges(keep); !dropped) return dropped.error().message();
        expect_gone(failures, keep);

        datapath.drain(monotonic_ns(), 16);
        std::vector<fm_close_request> requests;
        expect(
            failures,
            static_cast<bool>(datapath.list_flows([](uint64_t) { return true; }, requests, [] {})),
            "walk");
        requests.resize(1);
        Status closed = datapath.close_flows(requests);
        expect(failures, static_cast<bool>(closed), "closing program");
        datapath.counters();
        expect(failures, static_cast<bool>(link_counters(interface->index)), "rtnetlink");
        auto again = attach();
        expect(failures, static_cast<bool>(again), "attach again by TCX");
        expect(failures, again->in_place(), "look at the link");

        const int another = load_classifier();
        expect(failures, another < 0 && errno == EPERM, "programs can still be loaded");
        auto attached = attached_programs(*interface);
        expect(failures, !attached && attached.error().os_error == EPERM,
               "TCX programs can still be asked for");
        return failures;
      }),
      "");
}

TEST(Privileges, MapsProgramsAndLinksAreUsedThroughTheirDescriptors) {
  if (const std::string why = why_not_here(); !why.empty()) GTEST_SKIP() << why;
  const Capabilities keep = capabilities_to_keep(Attachments::kStay);
  EXPECT_EQ(
      in_child([keep] {
        Failures failures;
        const int program = load_classifier(), other = load_classifier();
        const int map = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "privileges", 4, 8, 16, nullptr);
        expect(failures, program >= 0 && other >= 0 && map >= 0, "set-up");
        if (Status dropped = drop_privileges(keep); !dropped) return dropped.error().message();

        uint32_t key = 1;
        uint64_t value = 2;
        expect(failures, bpf_map_update_elem(map, &key, &value, BPF_ANY) == 0, "update");
        value = 0;
        expect(failures, bpf_map_lookup_elem(map, &key, &value) == 0 && value == 2, "look-up");
        expect(failures, bpf_map_get_next_key(map, nullptr, &key) == 0, "walk");
        expect(failures, bpf_map_delete_elem(map, &key) == 0, "delete");
        bpf_prog_info info{};
        __u32 size = sizeof(info);
        expect(failures, bpf_obj_get_info_by_fd(program, &info, &size) == 0, "object info");
        char packet[64]{};
        LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = 64, .repeat = 1);
        expect(failures, bpf_prog_test_run_opts(program, &run) == 0, "test run");
        const int link = bpf_link_create(program, 1, kTcxIngress, nullptr);
        expect(failures, link >= 0, "new TCX link");
        expect(failures, bpf_link_update(link, other, nullptr) == 0, "update of a link");
        expect(failures, bpf_link_detach(link) == 0, "detach of a link");
        return failures;
      }),
      "");
}

TEST(Privileges, NetAdminIsEnoughForFilters) {
  if (const std::string why = why_not_here(); !why.empty()) GTEST_SKIP() << why;
  for (const bool with_net_admin : {true, false}) {
    const Capabilities keep =
        capabilities_to_keep(with_net_admin ? Attachments::kChange : Attachments::kStay);
    EXPECT_EQ((keep & kNetAdmin) != 0, with_net_admin);
    EXPECT_EQ(in_child([keep, with_net_admin] {
                Failures failures;
                libbpf_set_print(nullptr);
                const int program = load_classifier();
                if (Status dropped = drop_privileges(keep); !dropped)
                  return dropped.error().message();
                expect_gone(failures, keep);
                LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = 1, .attach_point = BPF_TC_INGRESS);
                LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = program);
                int error = bpf_tc_hook_create(&hook);
                if (error == 0) error = bpf_tc_attach(&hook, &filter);
                expect(failures, error == (with_net_admin ? 0 : -EPERM),
                       "filter: " + std::to_string(error));
                auto interface = find_interface("lo");
                auto attached = attached_programs(*interface);
                expect(failures, static_cast<bool>(attached) == with_net_admin, "list of programs");
                expect(failures, !attached || attached->size() == 1, "the filter is found");
                return failures;
              }),
              "");
  }
}

TEST(Privileges, AreDroppedByAnOrdinaryUserWithoutSetpcap) {
  if (const std::string why = why_not_here(); !why.empty()) GTEST_SKIP() << why;
  EXPECT_EQ(in_child([] {
              Failures failures;
              // Capabilities of an ordinary user: kept over setuid, then CAP_NET_ADMIN only.
              expect(failures, ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0, "keepcaps");
              expect(failures, ::setgid(65534) == 0 && ::setuid(65534) == 0, "setuid");
              __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
              __user_cap_data_struct data[2]{};
              data[0].permitted = data[0].effective = data[0].inheritable =
                  static_cast<__u32>(kNetAdmin);
              expect(failures, ::syscall(SYS_capset, &header, data) == 0, "capset");
              expect(failures, effective_capabilities() == kNetAdmin, "set-up");
              const auto ambient = [](int what) {
                return ::prctl(PR_CAP_AMBIENT, what, CAP_NET_ADMIN, 0, 0);
              };
              expect(failures, ambient(PR_CAP_AMBIENT_RAISE) == 0, "ambient set-up");
              if (Status dropped = drop_privileges(0); !dropped) return dropped.error().message();
              expect(failures, effective_capabilities() == 0, "effective set");
              expect(failures, ambient(PR_CAP_AMBIENT_IS_SET) == 0, "ambient set");
              expect(failures, ::syscall(SYS_capget, &header, data) == 0, "capget");
              expect(failures, data[0].permitted == 0 && data[0].inheritable == 0, "other sets");
              expect(failures, ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, "no_new_privs");
              return failures;
            }),
            "");
}

TEST(Privileges, AreNotDroppedByHalfWhereThereAreThreads) {
  if (const std::string why = why_not_here(); !why.empty()) GTEST_SKIP() << why;
  EXPECT_EQ(in_child([] {
              Failures failures;
              const Capabilities before = effective_capabilities();
              int ends[2];
              expect(failures, ::pipe(ends) == 0, "pipe");
              std::thread other([&ends] {
                char byte;
                while (::read(ends[0], &byte, 1) < 0) {
                }
              });
              Status dropped = drop_privileges(0);
              ::close(ends[1]);
              other.join();
              expect(failures, !dropped, "dropped although another thread keeps all");
              expect(failures, effective_capabilities() == before, "something was dropped");
              expect(failures, ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0, "no_new_privs");
              return failures;
            }),
            "");
}

}  // namespace
}  // namespace flowmeter::testing
