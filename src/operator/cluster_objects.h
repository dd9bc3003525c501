// The objects of a cluster that do not depend on who is master: Services, PodDisruptionBudget and
// the agents' account with its rights.
//
// The Services that applications use have no selector: who is behind them is said by EndpointSlices
// (route_objects.h). Pure; equal inputs give byte-equal JSON; any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "operator/cluster.h"
#include "operator/names.h"

namespace matriarch::op {

// Gives every pod its name in DNS, also while it is not ready: a slave must reach a master that is
// just being promoted.
nlohmann::json instances_service_object(const Cluster& cluster);

// With the type, annotations and networks of spec.services; `short_name` is its key in nodePorts.
nlohmann::json outward_service(const Cluster& cluster, const std::string& name,
                               const std::string& short_name, const char* component,
                               const char* port_name, int port);
nlohmann::json route_service_object(const Cluster& cluster, const RouteService& service);

// One instance may be away by plan; a cluster of one must not block the drain of its node.
nlohmann::json disruption_budget(const Cluster& cluster);

// What a program of ours may do in the API, as an account: its ServiceAccount, Role and RoleBinding
// have the same name.
struct Account {
    std::string name, component;
    nlohmann::json rules;
};
// The authority record of this one cluster, and nothing else.
Account agents_account(const Cluster& cluster);
nlohmann::json service_account(const Cluster& cluster, const Account& account);
nlohmann::json role(const Cluster& cluster, const Account& account);
nlohmann::json role_binding(const Cluster& cluster, const Account& account);

}  // namespace matriarch::op
