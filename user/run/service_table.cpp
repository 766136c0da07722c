// SPDX-License-Identifier: BSD-3-Clause
#include "run/service_table.h"

#include "features/identity.h"

namespace flowmeter {

void ServiceTable::add(const fm_flow_key& client_side, unsigned service_end,
                       const fm_flow_key& server_side) {
  forget(client_side);
  forget(server_side);
  if (connections_.size() >= most_) remove(std::prev(connections_.end()));
  connections_.push_front({client_side, server_side, service_end});
  by_key_.insert_or_assign(client_side, connections_.begin());
  by_key_.insert_or_assign(server_side, connections_.begin());
}

void ServiceTable::forget(const fm_flow_key& key) {
  if (const auto found = by_key_.find(key); found != by_key_.end()) remove(found->second);
}

void ServiceTable::remove(Connections::iterator connection) {
  by_key_.erase(connection->client_side);
  by_key_.erase(connection->server_side);
  connections_.erase(connection);
}

std::string_view ServiceTable::service_of(const fm_flow_key& key) {
  if (key.kind != FM_KEY_PORTS) return {};
  fm_flow_key everywhere = key;
  everywhere.interface = 0;
  const auto found = by_key_.find(everywhere);
  if (found == by_key_.end()) return {};
  connections_.splice(connections_.begin(), connections_, found->second);
  text_ = endpoint_text(connections_.front().client_side, connections_.front().service_end);
  return text_;
}

}  // namespace flowmeter
