// SPDX-License-Identifier: BSD-3-Clause
// The privileges of the process, and how it gives up those that it no longer needs once its
// programs are attached.
//
// What the running meter does, and the capability that it needs for that (tested on Linux 6.18 as
// root and as an ordinary user, with kernel.unprivileged_bpf_disabled 2 and 0, which made no
// difference; 1 is like 2 but cannot be undone, and was not tested):
//
//   drain the event streams, which are memory                                     none
//   look up, walk, update, delete in maps; run the closing program; object info   none *
//   attach by a new TCX or XDP link, replace its program, detach it               none *
//   pin, open and remove pins in a bpffs directory that the user owns             none *
//   read links and counters by rtnetlink, receive notices of new interfaces       none
//   add and remove filters (--hook tc)                                            CAP_NET_ADMIN
//   list other programs that are attached by TCX                                  CAP_NET_ADMIN *
//   write to files that are open; open files that the user's permissions allow    none
//
//   * and CAP_BPF before Linux 5.19 where kernel.unprivileged_bpf_disabled is not 0
//
// Without capabilities, root is an ordinary user with uid 0, who cannot open files of other users
// and cannot load programs or create maps.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace flowmeter {

// A set of capabilities: bit 1 << CAP_….
using Capabilities = uint64_t;

Capabilities effective_capabilities();

// Makes those effective that metering an interface needs and the process may have. File
// capabilities are best given as permitted only ("=p"): where a container forbids them, the kernel
// then runs the program without them, for a replay or --version; with "=ep" it refuses to run it at
// all.
void raise_capabilities();

// The capabilities that metering an interface needs and the process lacks, as "CAP_BPF,
// CAP_NET_ADMIN"; empty if it has them all.
std::string missing_capabilities();

// What happens to a meter's attachments while it runs. kChange: interfaces may come and go, or
// filters have to be removed at the end (unlike links, they do not vanish with the process).
enum class Attachments { kStay, kChange };

// The capabilities that the running meter still needs.
Capabilities capabilities_to_keep(Attachments attachments);

// What a replay keeps if it runs as root, which opens captures and makes files as it goes on. As
// another user it may only read captures that this user cannot read.
Capabilities capabilities_of_replay(bool as_other_user);

// Changes the user, the group and the supplementary groups of the process. user: NAME or
// NAME:GROUP, each a name or a number. The capabilities stay, but files that are created from now
// on belong to that user, who can go on with them when the capabilities are gone: nothing that
// exists changes its owner. Requires: this is the only thread.
Status change_user(const std::string& user);

// Gives up all other capabilities permanently: permitted, effective, inheritable, ambient and, if
// CAP_SETPCAP allows it, the bounding set; no_new_privs keeps an exec from restoring any. Fails if
// there are other threads, because the kernel keeps capabilities per thread.
Status drop_privileges(Capabilities keep);

}  // namespace flowmeter
