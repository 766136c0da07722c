// SPDX-License-Identifier: BSD-3-Clause
#include "run/live_services.h"

#include <algorithm>

#include "base/clock.h"
#include "features/columns_owner.h"

namespace flowmeter {
namespace {

// Some 250 bytes each. Their flows have mostly ended long before they are forgotten.
constexpr size_t kMostConnections = 262'144;
// Of a large table takes a tenth of a second, in which nothing is drained.
constexpr uint64_t kListsApart = 10 * FM_SECOND_NS;
constexpr size_t kMessagesAtOnce = 4096;

struct Key {
  fm_flow_key key{};
  unsigned sender = 0;
};

Key key_of(const ConntrackEntry& entry, const ConntrackTuple& tuple) {
  Key result;
  result.key.address[0] = tuple.source;
  result.key.address[1] = tuple.destination;
  result.sender = fm_key_set_ports(&result.key, tuple.source_port, tuple.destination_port,
                                   entry.protocol, entry.ip_version);
  return result;
}

}  // namespace

bool LiveServices::wanted(const Config& config) {
  return names_service_column(config.fields) || names_service_column(config.extra);
}

std::unique_ptr<LiveServices> LiveServices::open(const Config& config, Host& host) {
  auto conntrack = Conntrack::open();
  Status begun = conntrack ? Status(Done{}) : conntrack.error();
  std::unique_ptr<LiveServices> self;
  if (begun) {
    const size_t most = std::min<size_t>(config.max_flows, kMostConnections);
    self.reset(new LiveServices(std::move(*conntrack), most, config.verbose, host));
    begun = self->list(monotonic_ns());
  }
  if (begun) return self;
  if (config.verbose) host.log_info("column service stays empty: " + begun.error().message());
  return nullptr;
}

void LiveServices::take(const ConntrackEntry& entry) {
  const Key client = key_of(entry, entry.original), server = key_of(entry, entry.reply);
  const bool is_service = !fm_address_equal(&entry.original.destination, &entry.reply.source) ||
                          entry.original.destination_port != entry.reply.source_port;
  if (is_service) {
    table_.add(client.key, 1 - client.sender, server.key, server.sender);
  } else {
    table_.forget(client.key);
    table_.forget(server.key);
  }
}

Status LiveServices::list(uint64_t now_ns) {
  must_list_ = false;
  next_list_ns_ = now_ns + kListsApart;
  return Conntrack::list([this](const ConntrackEntry& entry) { take(entry); });
}

void LiveServices::follow(uint64_t now_ns) {
  auto whole =
      conntrack_.receive([this](const ConntrackEntry& entry) { take(entry); }, kMessagesAtOnce);
  if (!whole) return note(whole.error());
  must_list_ = must_list_ || !*whole;
  if (!must_list_ || now_ns < next_list_ns_) return;
  if (Status listed = list(now_ns); !listed) note(listed.error());
}

// The column is empty for flows whose connections are not known.
void LiveServices::note(const Error& error) {
  if (!verbose_ || told_) return;
  told_ = true;
  host_.log_info("column service may be empty: " + error.message());
}

}  // namespace flowmeter
