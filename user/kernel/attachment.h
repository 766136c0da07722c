// SPDX-License-Identifier: BSD-3-Clause
// One program at one hook of one interface: attached by a named function, detached when the object
// is destroyed. Objects of others at the same hook (programs, links, filters, qdiscs) are never
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
enum class XdpMode { kNative, kGeneric };  // in the driver, or in the stack
// The place among the programs of other owners that are at the same hook at the time of attaching.
enum class AttachOrder { kFirst, kLast };

class Attachment {
 public:
  static Result<Attachment> tcx(int program_fd, const Interface& interface, Direction direction,
                                AttachOrder order);
  // The first one in a process forks a small guardian (clsact.h).
  static Result<Attachment> clsact(int program_fd, const Interface& interface, Direction direction,
                                   AttachOrder order);
  // Received packets. An interface has room for only one program; the error names the owner of
  // another one.
  static Result<Attachment> xdp(int program_fd, const Interface& interface, XdpMode mode);
  // Opens a pinned link and replaces its program atomically, so that no packet is missed. Fails
  // with os_error ENOLINK if the link is detached, for instance because its interface is gone. The
  // pin may then be removed.
  static Result<Attachment> adopt(const std::string& path, int program_fd);

  Attachment(Attachment&& other) noexcept;
  Attachment& operator=(Attachment&& other) noexcept;
  ~Attachment();

  // Whether the program is still in place: the interface exists, and nobody has deleted the filter
  // or its qdisc or force-detached the link.
  bool in_place() const;
  // Pins the attachment, which then outlives this object and the process until the file is removed.
  // Links only.
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

// As `uname -r` shows it.
std::string kernel_release();
// Asks the kernel whether it has TCX. Changes nothing.
bool kernel_has_tcx();

// A warning if native XDP has a disadvantage on this interface, else "".
std::string xdp_caution(const Interface& interface);

}  // namespace flowmeter
