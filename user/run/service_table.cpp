// SPDX-License-Identifier: BSD-3-Clause
#include "run/service_table.h"

#include "features/identity.h"

namespace flowmeter {

void ServiceTable::add(const fm_flow_key& client_side, unsigned service_end,
                       const fm_flow_key& server_side, unsigned server_end) {
  forget(client_side);
  forget(server_side);
  if (connections_.size() >= most_) remove(std::prev(connections_.end()));
  connections_.push_front({client_side, server_side, service_end, server_end});
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

// Null: it goes to no service.
const ServiceTable::Connection* ServiceTable::find(const fm_flow_key& key) {
  if (key.kind != FM_KEY_PORTS) return nullptr;
  fm_flow_key everywhere = key;
  everywhere.interface = 0;
  const auto found = by_key_.find(everywhere);
  if (found == by_key_.end()) return nullptr;
  connections_.splice(connections_.begin(), connections_, found->second);
  return &connections_.front();
}

std::string_view ServiceTable::service_of(const fm_flow_key& key) {
  const Connection* const connection = find(key);
  if (!connection) return {};
  text_ = endpoint_text(connection->client_side, connection->service_end);
  return text_;
}

std::optional<ServiceNames::OtherSide> ServiceTable::other_side(const fm_flow_key& key) {
  const Connection* const connection = key.interface == 0 ? find(key) : nullptr;
  if (!connection) return {};
  const bool is_client_side = fm_key_equal(&connection->client_side, &key);
  return OtherSide{is_client_side ? connection->server_side : connection->client_side,
                   connection->service_end != connection->server_end};
}

}  // namespace flowmeter
