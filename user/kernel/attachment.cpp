// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/attachment.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/utsname.h>

#include <cerrno>
#include <climits>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "kernel/attached_programs.h"
#include "kernel/clsact.h"
#include "kernel/offloads.h"

namespace flowmeter {
namespace {

// Values of Linux 6.6; older headers lack the names.
constexpr __u32 kLinkTypeTcx = 11;
constexpr __u32 kBefore = 1u << 3;  // BPF_F_BEFORE without another program: before all
constexpr __u32 kAfter = 1u << 4;   // BPF_F_AFTER

std::string describe_hook(const std::string& interface, Direction direction, const char* hook) {
  return interface + (direction == Direction::kIngress ? " ingress (" : " egress (") + hook + ")";
}

const char* name_of(XdpMode mode) {
  return mode == XdpMode::kGeneric ? "xdp-generic" : "xdp";
}

// "program 12 "cil_from_netdev", held by cilium-agent (pid 812)", and the others at these hooks.
std::string holders(const Interface& interface, std::initializer_list<std::string_view> hooks) {
  std::string text;
  auto programs = attached_programs(interface);
  if (!programs) return text;
  for (const AttachedProgram& program : *programs)
    for (const std::string_view hook : hooks)
      if (program.hook == hook)
        text += (text.empty() ? "" : "; ") + program.hook + ": " + describe(program);
  return text;
}

Error xdp_error(const Interface& interface, const std::string& what, XdpMode mode, int os_error) {
  const std::string cannot = "cannot attach to " + what + ": ";
  if (os_error == EBUSY || os_error == EEXIST) {
    const std::string taken = holders(interface, {"xdp", "xdp-generic", "xdp-offload"});
    return Error{
        cannot + "XDP takes only one program and is in use by " +
        (taken.empty() ? "one that is not visible here (on an upper or lower interface?)" : taken) +
        "; --hook tcx shares the interface"};
  }
  if (os_error == EOPNOTSUPP && mode == XdpMode::kNative)
    return Error{cannot + "its driver " + driver_of(interface.name) +
                 " has no native XDP; --hook xdp-generic or --hook tcx works"};
  if (mode == XdpMode::kNative)
    return Error{cannot + "the driver " + driver_of(interface.name) +
                     " refuses native XDP (MTU, queues or offloads?);"
                     " --hook xdp-generic or --hook tcx may work",
                 os_error};
  return Error{cannot + "kernel " + kernel_release() + " refuses; --hook tcx may work", os_error};
}

std::optional<bpf_link_info> link_info(int link) {
  bpf_link_info info{};
  __u32 size = sizeof(info);
  if (bpf_obj_get_info_by_fd(link, &info, &size) != 0) return std::nullopt;
  return info;
}

// The interface of a TCX or XDP link (both start with its index); 0 if the link is detached.
unsigned attached_to(const bpf_link_info& info) {
  return info.xdp.ifindex;
}

// A TCX link has the attach type where a netns link has it: after one 32-bit word.
Direction tcx_direction(const bpf_link_info& info) {
  return info.netns.attach_type == kTcxEgress ? Direction::kEgress : Direction::kIngress;
}

XdpMode xdp_mode(unsigned interface_index) {
  LIBBPF_OPTS(bpf_xdp_query_opts, found);
  const bool generic = bpf_xdp_query(static_cast<int>(interface_index), 0, &found) == 0 &&
                       found.attach_mode == XDP_ATTACHED_SKB;
  return generic ? XdpMode::kGeneric : XdpMode::kNative;
}

}  // namespace

Attachment::Attachment(std::string what, unsigned interface_index)
    : what_(std::move(what)), interface_index_(interface_index) {}
Attachment::Attachment(Attachment&&) noexcept = default;
Attachment& Attachment::operator=(Attachment&&) noexcept = default;
Attachment::~Attachment() = default;

Result<Attachment> Attachment::tcx(int program_fd, const Interface& interface, Direction direction,
                                   AttachOrder order) {
  Attachment self(describe_hook(interface.name, direction, "tcx"), interface.index);
  const bool ingress = direction == Direction::kIngress;
  LIBBPF_OPTS(bpf_link_create_opts, options,
              .flags = order == AttachOrder::kFirst ? kBefore : kAfter);
  const int link = bpf_link_create(program_fd, static_cast<int>(interface.index),
                                   ingress ? kTcxIngress : kTcxEgress, &options);
  if (link >= 0) {
    self.link_ = UniqueFd(link);
    return self;
  }
  const std::string cannot = "cannot attach to " + self.what_;
  if (link == -EINVAL && !kernel_has_tcx())
    return Error{cannot + ": kernel " + kernel_release() +
                 " has no TCX (Linux 6.6 and newer have it); use --hook tc"};
  if (link == -ERANGE)
    return Error{cannot + ": the kernel allows no more programs there (" +
                 holders(interface, {ingress ? "tcx/ingress" : "tcx/egress"}) +
                 "); --hook tc still works"};
  return Error{cannot, -link};
}

Result<Attachment> Attachment::clsact(int program_fd, const Interface& interface,
                                      Direction direction, AttachOrder order) {
  auto filter = ClsactFilter::attach(program_fd, interface, direction, order);
  if (!filter) return filter.error();
  Attachment self(describe_hook(interface.name, direction, "clsact"), interface.index);
  self.filter_ = std::move(*filter);
  return self;
}

Result<Attachment> Attachment::xdp(int program_fd, const Interface& interface, XdpMode mode) {
  Attachment self(describe_hook(interface.name, Direction::kIngress, name_of(mode)),
                  interface.index);
  LIBBPF_OPTS(bpf_link_create_opts, options,
              .flags = mode == XdpMode::kGeneric ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
  const int link =
      bpf_link_create(program_fd, static_cast<int>(interface.index), BPF_XDP, &options);
  if (link < 0) return xdp_error(interface, self.what_, mode, -link);
  self.link_ = UniqueFd(link);
  return self;
}

Result<Attachment> Attachment::adopt(const std::string& path, int program_fd) {
  UniqueFd link(bpf_obj_get(path.c_str()));
  if (!link) return Error{"cannot open the pinned link " + path, errno};
  const auto info = link_info(link.get());
  if (!info || (info->type != kLinkTypeTcx && info->type != BPF_LINK_TYPE_XDP))
    return Error{path + " is not a pinned TCX or XDP link"};
  const unsigned index = attached_to(*info);
  if (index == 0) return Error{"the pinned link " + path + " is detached", ENOLINK};
  if (const int error = bpf_link_update(link.get(), program_fd, nullptr); error != 0)
    return Error{"cannot update the pinned link " + path, -error};

  char name[IF_NAMESIZE];
  const std::string interface =
      ::if_indextoname(index, name) ? name : "interface " + std::to_string(index);
  Attachment self(info->type == kLinkTypeTcx
                      ? describe_hook(interface, tcx_direction(*info), "tcx")
                      : describe_hook(interface, Direction::kIngress, name_of(xdp_mode(index))),
                  index);
  self.link_ = std::move(link);
  return self;
}

bool Attachment::in_place() const {
  if (filter_) return filter_->in_place();
  const auto info = link_ ? link_info(link_.get()) : std::nullopt;
  return info && attached_to(*info) != 0;
}

Status Attachment::pin(const std::string& path) {
  if (!link_) return Error{"cannot pin " + what_ + ": only TCX and XDP links can be pinned"};
  const int error = bpf_obj_pin(link_.get(), path.c_str());
  if (error == -EEXIST) return Error{"cannot pin " + what_ + ": " + path + " exists already"};
  if (error != 0)
    return Error{"cannot pin " + what_ + " as " + path +
                     " (it must be on a BPF file system: mount -t bpf bpf DIR)",
                 -error};
  return Done{};
}

std::string kernel_release() {
  struct utsname name {};
  return ::uname(&name) == 0 ? name.release : "?";
}

bool kernel_has_tcx() {
  // No interface has this index. A kernel with TCX answers ENODEV (or EPERM); one without does not
  // know the attach type.
  __u32 count = 0;
  return bpf_prog_query(INT_MAX, kTcxIngress, 0, nullptr, nullptr, &count) != -EINVAL;
}

std::string xdp_caution(const Interface& interface) {
  if (driver_of(interface.name) != "veth") return "";
  return "native XDP on " + interface.name +
         ", a veth, turns off the segmentation offload of its peer: TCP lost 60 % of its "
         "throughput "
         "in a measurement; --hook tcx has almost no cost";
}

}  // namespace flowmeter
