// SPDX-License-Identifier: BSD-3-Clause
#include "flows/flow_state.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "flows/flow_applications.h"

namespace flowmeter {
namespace {

// Increased when the meaning of a copy changes, but no size does.
constexpr uint64_t kVersion = 5;

static_assert(sizeof(fm_flow_sizes) % alignof(LiveFlow) == 0, "copies with sizes are aligned, too");

// A different number for different numbers.
uint64_t mixed(uint64_t before, uint64_t next) {
  constexpr uint64_t kPrime = 0x100000001b3;  // that of FNV-1a
  return (before ^ next) * kPrime;
}

uint64_t layout_of(bool with_sizes) {
  uint64_t layout = FlowApplications::layout();
  for (const uint64_t part : {kVersion, uint64_t{FM_ABI_VERSION}, uint64_t{sizeof(LiveFlow)},
                              uint64_t{sizeof(EndTraces)}, uint64_t{with_sizes}})
    layout = mixed(layout, part);
  return layout;
}

// Finds damage. (Who could forge the file could also end the program that reads it.)
uint64_t check_of(std::span<const std::byte> bytes) {
  uint64_t check = bytes.size();
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(bytes.size(), sizeof(uint64_t)))) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), std::min(bytes.size(), sizeof(word)));
    check = mixed(check, word);
  }
  return check;
}

// A kill ends this thread between two instructions, so only the compiler has to keep the order.
void keep_order() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace

FlowState::FlowState(OwnedDirectory directory, std::string name, uint32_t capacity, bool with_sizes)
    : directory_(std::move(directory)),
      name_(std::move(name)),
      capacity_(capacity),
      with_sizes_(with_sizes),
      stride_(sizeof(LiveFlow) + (with_sizes ? sizeof(fm_flow_sizes) : 0)) {}

FlowState::~FlowState() {
  if (memory_) ::munmap(memory_, rest_at());
}

size_t FlowState::records_at() const {
  constexpr size_t kAligned = alignof(LiveFlow);
  return (kHeaderBytes + capacity_ * sizeof(uint64_t) + kAligned - 1) / kAligned * kAligned;
}

Result<std::unique_ptr<FlowState>> FlowState::open(OwnedDirectory directory,
                                                   const std::string& name, uint64_t journal,
                                                   uint32_t capacity, bool with_sizes) {
  auto file = directory.open_file(name, O_RDWR);
  if (!file && file.error().os_error == ENOENT) {
    if (auto created = directory.create_file(name); !created) return created.error();
    file = directory.open_file(name, O_RDWR);
  }
  if (!file) return file.error();
  auto state =
      std::unique_ptr<FlowState>(new FlowState(std::move(directory), name, capacity, with_sizes));
  state->fd_ = std::move(*file);
  if (::flock(state->fd_.get(), LOCK_EX | LOCK_NB) != 0)
    return Error{"the flows' state " + state->path() + " is in use by another flowmeter-ebpf"};
  if (Status mapped = state->map(journal); !mapped) return mapped.error();
  return state;
}

Status FlowState::map(uint64_t journal) {
  const auto failed = [this](int error) {
    return Error{"cannot keep the flows' state in " + path(), error};
  };
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return failed(errno);
  Header found{};
  const bool belongs = ::pread(fd_.get(), &found, sizeof(found), 0) == sizeof(found) &&
                       found.layout == layout_of(with_sizes_) && found.journal == journal &&
                       found.slots <= capacity_ && static_cast<size_t>(status.st_size) >= rest_at();
  const auto bytes = static_cast<off_t>(rest_at());
  if (!belongs && ::ftruncate(fd_.get(), 0) != 0) return failed(errno);
  if (!belongs && ::ftruncate(fd_.get(), bytes) != 0) return failed(errno);
  // A store to a page for which there is no room would end the process.
  if (const int error = ::posix_fallocate(fd_.get(), 0, static_cast<off_t>(records_at()));
      error != 0)
    return failed(error);
  void* memory = ::mmap(nullptr, rest_at(), PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  if (memory == MAP_FAILED) return failed(errno);
  memory_ = static_cast<std::byte*>(memory);
  header_ = reinterpret_cast<Header*>(memory_);
  ids_ = reinterpret_cast<uint64_t*>(memory_ + kHeaderBytes);
  if (!belongs) *header_ = {layout_of(with_sizes_), journal, 0, 0, 0, 0, 0};
  return Done{};
}

Result<std::vector<std::byte>> FlowState::rest() const {
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return Error{"cannot read " + path(), errno};
  if (header_->rest_bytes > static_cast<size_t>(status.st_size) - rest_at()) return damaged();
  std::vector<std::byte> rest(header_->rest_bytes);
  for (size_t done = 0; done < rest.size();) {  // a call moves at most 2 GiB
    const ssize_t size = ::pread(fd_.get(), rest.data() + done, rest.size() - done,
                                 static_cast<off_t>(rest_at() + done));
    if (size <= 0) return Error{"cannot read " + path(), errno};
    done += static_cast<size_t>(size);
  }
  if (check_of(rest) != header_->rest_check) return damaged();
  return rest;
}

Error FlowState::damaged() const {
  return Error{"the flows' state " + path() + " is damaged"};
}

Status FlowState::reserve(size_t at, size_t bytes) {
  const int error = ::posix_fallocate(fd_.get(), static_cast<off_t>(at), static_cast<off_t>(bytes));
  return error == 0 ? Status(Done{}) : Error{"cannot keep the flows' state in " + path(), error};
}

Status FlowState::begin(uint32_t slots, bool with_owners) {
  header_->commits = 0;
  keep_order();
  if (slots > reserved_) {
    constexpr uint32_t kAtOnce = 4096;
    const uint32_t wanted = std::min(capacity_, (slots / kAtOnce + 1) * kAtOnce);
    if (Status has = reserve(records_at(), wanted * stride_); !has) return has;
    if (with_owners)
      if (Status has = reserve(owners_at(), wanted * sizeof(EndTraces)); !has) return has;
    reserved_ = wanted;
  }
  // Older copies have none.
  if (with_owners && !has_owners()) std::fill_n(ids_, header_->slots, 0);
  header_->has_owners = with_owners;
  header_->slots = std::max(header_->slots, slots);
  return Done{};
}

void FlowState::put(uint32_t slot, const LiveFlow& flow, const fm_flow_sizes& sizes,
                    const EndTraces* owners) {
  ids_[slot] = 0;
  keep_order();
  std::byte* to = at(slot);
  std::memcpy(to, &flow, sizeof(flow));
  if (with_sizes_) std::memcpy(to + sizeof(flow), &sizes, sizeof(sizes));
  if (owners)
    std::memcpy(memory_ + owners_at() + slot * sizeof(EndTraces), owners, sizeof(*owners));
  keep_order();
  ids_[slot] = flow.id;
}

const EndTraces& FlowState::owners(uint32_t slot) const {
  static constexpr EndTraces kNone{};
  if (!has_owners()) return kNone;
  return *reinterpret_cast<const EndTraces*>(memory_ + owners_at() + slot * sizeof(EndTraces));
}

Status FlowState::end(std::span<const std::byte> rest, uint64_t commits) {
  for (size_t done = 0; done < rest.size();) {
    const ssize_t size = ::pwrite(fd_.get(), rest.data() + done, rest.size() - done,
                                  static_cast<off_t>(rest_at() + done));
    if (size <= 0) return Error{"cannot keep the flows' state in " + path(), errno};
    done += static_cast<size_t>(size);
  }
  // What an earlier daemon has kept at its end may be payload.
  if (::ftruncate(fd_.get(), static_cast<off_t>(rest_at() + rest.size())) != 0)
    return Error{"cannot keep the flows' state in " + path(), errno};
  header_->rest_bytes = rest.size();
  header_->rest_check = check_of(rest);
  keep_order();
  header_->commits = commits;
  return Done{};
}

Status FlowState::remove() {
  Status removed = directory_.unlink(name_);
  if (!removed && removed.error().os_error == ENOENT) return Done{};
  return removed;
}

}  // namespace flowmeter
