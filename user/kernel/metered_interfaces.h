// SPDX-License-Identifier: BSD-3-Clause
// Keeps the programs attached to every interface that the -i arguments select, while interfaces
// appear, change and vanish.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/interface_names.h"
#include "base/result.h"
#include "kernel/attachment.h"
#include "kernel/bpf_datapath.h"
#include "kernel/interface_monitor.h"
#include "kernel/interface_selector.h"

namespace flowmeter {

class Host;

// One hook of one interface: the counts of the program, and those of the kernel since the program
// was attached.
struct HookAccount {
  std::string interface;
  fm_hook hook;
  fm_hook_counters counters;
  uint64_t link_packets;   // by the interface's own counters; 0 if it is gone
  uint64_t link_bytes;     // the same
  uint64_t before_attach;  // packets by the interface's own counters before that
};

class MeteredInterfaces final : public InterfaceNames {
 public:
  struct Options {
    std::vector<InterfaceSelector> selectors;
    Hook hook = Hook::kAuto;
    bool attribute = false;  // senders must be seen
    AttachOrder order = AttachOrder::kFirst;
    std::string pin_directory;  // empty: nothing is pinned
    bool verbose = false;

    // Whether interfaces that do not exist yet may be metered.
    bool has_pattern() const;
  };

  // Attaches to all selected interfaces that exist. If one cannot be metered, fails if it was
  // named, or skips it with a warning if it only matches a pattern. If that was for want of
  // descriptors or memory, update() tries again.
  static Result<std::unique_ptr<MeteredInterfaces>> open(const Options& options,
                                                         BpfDatapath& datapath, Host& host);

  // Attaches to interfaces that have appeared, and detaches from those that have vanished, whose
  // slots it appends to departed. What fails for want of descriptors or memory is tried again each
  // second; one warning begins such a shortage, and one ends it. Fails if no interface is left and
  // none can appear.
  //
  // What an interface that has appeared carried before its programs were attached, or before it
  // vanished, is counted in the account as before_attach: by the interface's own counters, less
  // what the programs had counted just before these were read. So no packet is missing in both, and
  // those that pass while both are read may be in both.
  //
  // Attaching takes long (a grace period of RCU for each program), so a call does only a part of
  // what there is to do, and the kernel's records can be drained in between: see is_behind(). The
  // programs at egress come last, when no interface waits for one at ingress.
  Status update(std::vector<unsigned>& departed);
  // A descriptor that is readable when update() has something to do; -1: there is no need to hurry,
  // because only the interfaces that exist are metered.
  int fd() const { return options_.has_pattern() ? monitor_->fd() : -1; }
  // Whether the last update() has left work to the next.
  bool is_behind() const { return !changes_.empty() || !late_.empty(); }
  // Warns, once per hook, if somebody has removed our program, if the kernel counts packets there
  // but our program counts none, or if it sends more than the program sees. Skips interfaces that
  // were attached less than grace_ns ago.
  // To be called once a second.
  void check(uint64_t grace_ns = kGraceNs) {
    follow_uplinks();
    check_places(grace_ns);
    check_sent(grace_ns);
  }
  // Says what was not metered because a shortage did not end.
  void report_shortage() const;
  // When a run ends: what the interfaces have carried to which update() would still have attached
  // is counted as before_attach.
  void give_up_unattached();

  // Detaches. No packet is seen after this, except through pinned links.
  void detach();
  // The same, and removes the pins.
  void detach_for_good();

  std::string_view name_of(unsigned ifindex) const override;
  // "eth0, eth1"
  std::string names() const;
  size_t count() const { return metered_.size(); }
  std::vector<HookAccount> accounts() const;
  // Of all interfaces, also those that have gone.
  fm_before_attach before_attach() const;

 private:
  // Whether the program sees all that the kernel sends.
  struct Sent {
    uint64_t seen_before = 0;                    // by earlier daemons (--pin)
    std::optional<uint64_t> seen_in_grace = {};  // since then; nothing: it has not passed
    bool warned = false;
  };
  struct MeteredHook {
    fm_hook hook;
    Attachment attachment;
    bool moved = false;  // the program has counted packets
    bool warned = false;
    Sent sent = {};
  };
  struct Metered {
    Interface interface;
    std::vector<MeteredHook> hooks;
    bool is_late = false;               // its program at egress is not attached yet
    std::optional<LinkCounters> since;  // as of Unattached
    InterfaceCounters idle;             // what the programs had counted before they were attached
    // What was carried before that, and whether it is yet to be known.
    fm_before_attach before{};
    bool is_unread[FM_HOOK_COUNT]{};
    LinkCounters at_attach;
    uint64_t since_ns = 0;
    uint64_t sent_due_ns = 0;  // check_sent()
  };
  // An interface to which nothing is attached yet.
  struct Unattached {
    Interface interface;
    // What its counters showed when it should have been metered. Nothing: it was there at the
    // start, and that is not known, or a pinned link meters it.
    std::optional<LinkCounters> since;
  };
  // Each packet on loopback passes both hooks, so one is sufficient. Only before it is sent it
  // still has its socket.
  bool meters(const Interface& interface, fm_hook hook) const {
    return !interface.is_loopback || (hook == FM_HOOK_EGRESS) == options_.attribute;
  }
  static constexpr uint64_t kGraceNs = 2 * FM_SECOND_NS;
  // Of an update(), but for its last attachment.
  static constexpr uint64_t kLongestNs = FM_SECOND_NS / 200;

  MeteredInterfaces(const Options& options, BpfDatapath& datapath, Host& host)
      : options_(options), datapath_(datapath), host_(host) {}
  Status begin();
  // If they fail, they set since of what anew.
  Status attach(Unattached& what, bool whole);
  Status attach_program(Metered& metered, fm_hook hook);
  void attach_late(std::vector<unsigned>& departed);
  void tell_metering(const Interface& interface) const;
  enum class Outcome { kAttached, kWaits, kGone, kRefused };  // refused: logged
  Outcome attach_or_wait(Unattached& what, bool whole);
  void take_back(Unattached& what, Metered& metered);
  Outcome note_failure(const Unattached& what, const Error& why);
  void attach_or_hold(Unattached what);
  void wait(const Unattached& what, const Error& why);
  void attach_waiting(uint64_t until_ns);
  void lose(const InterfaceMonitor::Change& change, std::vector<unsigned>& departed);
  void take(const InterfaceMonitor::Change& change, std::vector<unsigned>& departed);
  Unattached appeared(const InterfaceMonitor::Change& change);
  fm_before_attach before_attach(unsigned index) const;
  fm_before_attach carried(const Interface& interface, const LinkCounters& since,
                           const LinkCounters& now) const;
  Status read_counters(Metered& metered, fm_hook hook);
  fm_before_attach missed(const Metered& metered, const LinkCounters& now,
                          const InterfaceCounters& counted) const;
  fm_before_attach missed(const Metered& metered, const LinkCounters& now) const;
  void settle(Metered& metered, const LinkCounters& now);
  void add_before_attach(const Unattached& what, const std::optional<LinkCounters>& now);
  void note_shortage(const Error& why);
  void give_up(unsigned index);
  void check_places(uint64_t grace_ns);
  void check_sent(uint64_t grace_ns);
  void check_sent(MeteredHook& hook, uint64_t sent, uint64_t seen);
  uint64_t seen_before(unsigned index, fm_hook hook) const;
  Result<Attachment> attach_hook(const Interface& interface, fm_hook hook);
  void let_go(unsigned index, std::vector<unsigned>& departed);
  void forget_names();
  bool wanted(const Interface& interface, bool* named) const;
  std::string pin_of(unsigned index, fm_hook hook) const;
  void remove_pin(unsigned index, fm_hook hook) const;
  void remove_pins(unsigned index) const;
  void set_ends(const Interface& interface) const;
  void follow_uplinks();

  const Options options_;
  BpfDatapath& datapath_;
  Host& host_;
  std::unique_ptr<InterfaceMonitor> monitor_;
  std::map<unsigned, Metered> metered_;     // by index
  std::map<unsigned, Unattached> waiting_;  // for descriptors or memory; none of them is metered
  // Need no program now: they are down with both ends of the pair here, as one will leave for a
  // container. Or they have just vanished, which update() has yet to be told.
  std::map<unsigned, Unattached> held_;
  std::map<unsigned, std::string> names_;          // also of interfaces that have gone
  std::vector<InterfaceMonitor::Change> changes_;  // not yet taken
  std::deque<unsigned> late_;  // their second programs are attached when there are no changes
  std::string last_gone_;
  std::vector<InterfaceCounters> before_;  // of earlier daemons (--pin)
  std::array<unsigned, 2> uplinks_{};      // by find_uplinks()
  unsigned next_checked_ = 0;              // the first index that check_sent() looks at next
  bool shortage_ = false;
  uint64_t next_attempt_ns_ = 0;
  uint64_t unmetered_ = 0;  // of before_attach: while their interfaces waited, in this shortage
};

}  // namespace flowmeter
