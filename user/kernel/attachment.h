// SPDX-License-Identifier: BSD-3-Clause
// One program at one hook of one interface: attached by a named function, detached when the object
// is destroyed. What belongs to others at the same hook (programs, links, filters, qdiscs) is never
// removed, replaced or flushed.
//
// However the process ends, its programs are detached. The kernel closes BPF links (TCX, XDP)
// unless they are pinned on purpose; clsact.h removes filters on a clsact qdisc.
//
// Requires: the process stays in the network namespace in which it attached.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/interface.h"

namespace flowmeter {

class ClsactFilter;

enum class Hook { kAuto, kTcx, kTc, kXdp, kXdpGeneric };
enum class Direction { kIngress, kEgress };
// The place among the programs of other owners at the same hook, as they are when we attach.
enum class AttachOrder { kFirst, kLast };

class Attachment {
 public:
  static Result<Attachment> tcx(int program_fd, const Interface& interface, Direction direction,
                                AttachOrder order);
  // The first one in a process forks a small guardian (clsact.h).
  static Result<Attachment> clsact(int program_fd, const Interface& interface, Direction direction,
                                   AttachOrder order);
  // Received packets, in the driver or (generic) in the stack. An interface has room for one
  // program; the error names who holds it.
  static Result<Attachment> xdp(int program_fd, const Interface& interface, bool generic);
  // Opens a pinned link and puts the program in its place atomically: no packet passes unseen.
  // Fails with os_error ENOLINK if the link is detached, for instance because its interface is
  // gone. The pin may be removed then.
  static Result<Attachment> adopt(const std::string& path, int program_fd);

  Attachment(Attachment&& other) noexcept;
  Attachment& operator=(Attachment&& other) noexcept;
  ~Attachment();

  // Whether it is still in place: the interface exists, and nobody has deleted the filter or its
  // qdisc or force-detached the link.
  bool in_place() const;
  // Links only. The attachment then outlives this object and the process, on purpose, until the
  // file is removed.
  Status pin(const std::string& path);

  // "veth0 ingress (tcx)"
  const std::string& what() const { return what_; }
  unsigned interface_index() const { return interface_index_; }

 private:
  Attachment(std::string what, unsigned interface_index);

  std::string what_;
  unsigned interface_index_;
  UniqueFd link_;                         // TCX and XDP
  std::unique_ptr<ClsactFilter> filter_;  // clsact
};

// Asks the kernel whether it has TCX. Changes nothing.
bool kernel_has_tcx();

// A warning if native XDP does harm on this interface, else "".
std::string xdp_caution(const Interface& interface);

}  // namespace flowmeter
