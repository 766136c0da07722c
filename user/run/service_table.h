// SPDX-License-Identifier: BSD-3-Clause
// Which flows go to a service: connections whose destination was chosen by the kernel's address
// translation (a Service of Kubernetes, a published port). Such a connection is two flows, client
// to service and client to server; both are found here.
//
// Bounded: a new connection takes the place of the one that was added or asked for least recently.
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "flows/key_hash.h"
#include "flows/service_names.h"

namespace flowmeter {

class ServiceTable final : public ServiceNames {
 public:
  explicit ServiceTable(size_t most) : most_(most) {}

  // client_side: the flow from the client to the service, which is this end of the key;
  // server_side: the same packets on their way to the server, which is that end there.
  void add(const fm_flow_key& client_side, unsigned service_end, const fm_flow_key& server_side,
           unsigned server_end);
  // A connection of this key that goes to no service has begun.
  void forget(const fm_flow_key& key);
  std::string_view service_of(const fm_flow_key& key) override;
  // With --per-interface nothing, as a flow of the other side may be on any interface.
  std::optional<OtherSide> other_side(const fm_flow_key& key) override;
  size_t size() const { return connections_.size(); }

 private:
  struct Connection {
    fm_flow_key client_side;
    fm_flow_key server_side;
    unsigned service_end;
    unsigned server_end;
  };
  using Connections = std::list<Connection>;
  struct Hash : KeyHash {
    size_t operator()(const fm_flow_key& key) const { return KeyHash::operator()(key); }
  };
  struct Equal {
    bool operator()(const fm_flow_key& a, const fm_flow_key& b) const {
      return fm_key_equal(&a, &b);
    }
  };
  const Connection* find(const fm_flow_key& key);
  void remove(Connections::iterator connection);

  const size_t most_;
  Connections connections_;  // the most recent one first
  std::unordered_map<fm_flow_key, Connections::iterator, Hash, Equal> by_key_;
  std::string text_;
};

}  // namespace flowmeter
