// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/socket_owners.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/host.h"
#include "base/unique_fd.h"
#include "open_sockets.skel.h"
#include "socket_owners.skel.h"

namespace flowmeter {
namespace {

// The inode number that the kernel gives the initial PID namespace (PROC_PID_INIT_INO).
constexpr ino_t kInitialPidNamespace = 0xEFFFFFFC;

bool in_initial_pid_namespace() {
  struct stat own {};
  return ::stat("/proc/self/ns/pid", &own) != 0 || own.st_ino == kInitialPidNamespace;
}

// Runs the iterator over the open files of all processes.
Status visit_open_files(const bpf_program* program) {
  const std::unique_ptr<bpf_link, int (*)(bpf_link*)> link(
      bpf_program__attach_iter(program, nullptr), bpf_link__destroy);
  if (!link) return Error{"cannot attach the iterator", errno};
  const UniqueFd visit(bpf_iter_create(bpf_link__fd(link.get())));
  if (!visit) return Error{"cannot start the iterator", errno};
  char nothing[64];
  ssize_t size;
  do {  // the kernel interrupts a long visit with EAGAIN
    size = ::read(visit.get(), nothing, sizeof(nothing));
  } while (size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR)));
  return size < 0 ? Status(Error{"cannot run the iterator", errno}) : Done{};
}

Status note_open_sockets(int map_fd) {
  const std::unique_ptr<open_sockets_bpf, void (*)(open_sockets_bpf*)> skeleton(
      open_sockets_bpf__open(), open_sockets_bpf__destroy);
  if (!skeleton) return Error{"cannot open the embedded BPF object", errno};
  if (const int error = bpf_map__reuse_fd(skeleton->maps.socket_owners, map_fd); error != 0)
    return Error{"cannot share the map of socket owners", -error};
  if (const int error = open_sockets_bpf__load(skeleton.get()); error != 0)
    return Error{"cannot load the iterator", -error};
  return visit_open_files(skeleton->progs.fm_open_sockets);
}

}  // namespace

void SocketOwners::Deleter::operator()(socket_owners_bpf* skeleton) const {
  socket_owners_bpf__destroy(skeleton);
}

SocketOwners::~SocketOwners() = default;

Result<std::unique_ptr<SocketOwners>> SocketOwners::open(const std::string& cgroup_root, int map_fd,
                                                         Host& host) {
  const UniqueFd root(::open(cgroup_root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return Error{"cannot open " + cgroup_root, errno};
  std::unique_ptr<SocketOwners> owners(new SocketOwners);
  owners->skeleton_.reset(socket_owners_bpf__open());
  socket_owners_bpf* const skeleton = owners->skeleton_.get();
  if (!skeleton) return Error{"cannot open the embedded BPF object for socket owners", errno};
  if (const int error = bpf_map__reuse_fd(skeleton->maps.socket_owners, map_fd); error != 0)
    return Error{"cannot share the map of socket owners", -error};
  if (const int error = socket_owners_bpf__load(skeleton); error != 0)
    return Error{"cannot load the BPF programs that note socket owners", -error};
  const struct {
    const bpf_program* program;
    bpf_link** link;
  } hooks[] = {
      {skeleton->progs.fm_sock_create, &skeleton->links.fm_sock_create},
      {skeleton->progs.fm_bind4, &skeleton->links.fm_bind4},
      {skeleton->progs.fm_bind6, &skeleton->links.fm_bind6},
      {skeleton->progs.fm_connect4, &skeleton->links.fm_connect4},
      {skeleton->progs.fm_connect6, &skeleton->links.fm_connect6},
      {skeleton->progs.fm_sendmsg4, &skeleton->links.fm_sendmsg4},
      {skeleton->progs.fm_sendmsg6, &skeleton->links.fm_sendmsg6},
  };
  for (const auto& hook : hooks) {
    *hook.link = bpf_program__attach_cgroup(hook.program, root.get());
    if (!*hook.link)
      return Error{"cannot attach " + std::string(bpf_program__section_name(hook.program)) +
                       " to " + cgroup_root,
                   errno};
  }
  // Only now: every later socket is noted by the programs.
  const std::string unknown =
      "the processes of sockets that are older than the meter are unknown: ";
  if (Status noted = note_open_sockets(map_fd); !noted)
    host.log_warning(unknown + noted.error().message());
  else if (!in_initial_pid_namespace())
    host.log_warning(unknown +
                     "only processes in its own PID namespace are visible (in a container: use the "
                     "host's, hostPID)");
  return owners;
}

}  // namespace flowmeter
