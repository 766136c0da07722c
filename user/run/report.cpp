// SPDX-License-Identifier: BSD-3-Clause
#include "run/report.h"

#include <algorithm>

#include "flows/account.h"

namespace flowmeter {
namespace {

void add_to(Account& account, const fm_hook_counters& hook) {
  account.seen += hook.seen;
  for (size_t i = 0; i < FM_PACKET_CLASS_COUNT; i++) account.by_class[i] += hook.by_class[i];
}

}  // namespace

void report_application(const Config& config, const FlowApplications& applications, Host& host) {
  if (!config.settings.with_application) return;
  const ApplicationLayer::Statistics& met = applications.statistics();
  if (config.verbose)
    host.log_account("malformed_tls_hellos=" + std::to_string(met.malformed_hellos) +
                     " malformed_dns=" + std::to_string(met.malformed_dns) +
                     " heads_dropped=" + std::to_string(met.heads_dropped));
  if (met.heads_dropped > 0)
    host.log_warning("not enough memory for the payload of " + std::to_string(met.heads_dropped) +
                     " flow directions; their HTTP, TLS and DNS columns are empty");
}

LiveReport::Totals LiveReport::count() const {
  Account account;
  Totals totals;
  each_hook([&](const fm_hook_counters& hook) {
    add_to(account, hook);
    totals.uncertain += hook.uncertain;
  });
  const uint64_t metered = account.metered();
  const uint64_t packets = rows.packets(flows, rows_before);
  totals.balanced = account.balanced() && rows.balanced() && packets <= metered;
  totals.kernel_only = metered - std::min(metered, packets);
  totals.text = account_text(account) + rows.account(flows, rows_before);
  const fm_before_attach before = interfaces.before_attach();
  if (const uint64_t packets_before =
          before.packets[FM_HOOK_INGRESS] + before.packets[FM_HOOK_EGRESS];
      packets_before > 0)
    totals.text += " before_attach=" + std::to_string(packets_before);
  return totals;
}

bool LiveReport::at_end() const {
  const Totals totals = count();
  const fm_cpu_counters counters = datapath.counters();
  if (!config.quiet) {
    rows.log_account(host);
    host.log_account(totals.text + (kernel_continues ? " kernel_only=" : " lost=") +
                     std::to_string(totals.kernel_only));
    if (config.verbose) log_hooks();
    if (config.print) summary(totals.kernel_only);
  }
  if (config.verbose)
    host.log_account("events_lost=" + std::to_string(counters.events_lost) +
                     " uncounted=" + std::to_string(counters.uncounted) +
                     " evicted=" + std::to_string(flows.evicted()) +
                     " recreated=" + std::to_string(flows.recreated()) +
                     " handover_lost=" + std::to_string(counters.handover_packets));
  if (totals.uncertain)
    host.log_warning(
        std::to_string(totals.uncertain) +
        " packets were merged by the device or before XDP, so their lengths and number "
        "on the wire are uncertain (ethtool -K IFACE lro off rx-gro-hw off)");
  rows.report(*this, totals.kernel_only);
  if (!totals.balanced) host.log_error("the account does not balance; please report this");
  return totals.balanced;
}

void LiveReport::so_far(const RecordSink& sink) const {
  const Totals totals = count();
  rows.log_account(host);
  host.log_account(totals.text + " kernel_only=" + std::to_string(totals.kernel_only));
  for (const OutputAccount& each : sink.accounts()) host.log_info(each.text());
  log_hooks();
}

void LiveReport::summary(uint64_t lost) const {
  uint64_t seen = 0, dropped = lost;
  each_hook([&](const fm_hook_counters& hook) {
    seen += hook.seen;
    dropped += hook.by_class[FM_UNRECORDED];
  });
  host.log_info("flows written " + std::to_string(flows.flows_written()) + ", open " +
                std::to_string(flows.open_flows()) + ", packets seen " + std::to_string(seen) +
                ", dropped " + std::to_string(dropped));
}

ViewCounters LiveReport::view(uint64_t now_ns) const {
  ViewCounters counters;
  counters.now_ns = now_ns;
  counters.flows_open = flows.open_flows();
  counters.flows_ended = flows.flows_written();
  for (const HookAccount& each : interfaces.accounts()) {
    add_to(counters.account, each.counters);
    if (counters.interfaces.empty() || counters.interfaces.back().name != each.interface)
      counters.interfaces.push_back({each.interface, {}});
    counters.interfaces.back().hook[each.hook] = {each.counters.seen, each.link_bytes};
  }
  const fm_cpu_counters kernel = datapath.counters();
  counters.losses = {{"events_lost", kernel.events_lost},
                     {"uncounted", kernel.uncounted},
                     {"handover_lost", kernel.handover_packets},
                     {"evicted", flows.evicted()},
                     {"forced_out", flows.forced_out()}};
  return counters;
}

uint64_t LiveReport::packets_seen() const {
  uint64_t seen = 0;
  each_hook([&](const fm_hook_counters& hook) { seen += hook.seen; });
  return seen;
}

void LiveReport::log_hooks() const {
  for (const HookAccount& each : interfaces.accounts()) {
    Account account;
    add_to(account, each.counters);
    host.log_account(account_text(account) + " buffers=" + std::to_string(each.counters.buffers) +
                         " uncertain=" + std::to_string(each.counters.uncertain) +
                         " link_packets=" + std::to_string(each.link_packets) +
                         " before_attach=" + std::to_string(each.before_attach),
                     each.interface + (each.hook == FM_HOOK_INGRESS ? " ingress" : " egress"));
  }
}

}  // namespace flowmeter
