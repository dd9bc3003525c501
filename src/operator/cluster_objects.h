// The objects of a cluster that do not depend on who is master: Services, PodDisruptionBudget and
// the agents' account with its rights.
//
// The Services that applications use have no selector: who is behind them is said by EndpointSlices
// (route_objects.h). Pure; equal inputs give byte-equal JSON; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "operator/cluster.h"
#include "operator/names.h"

namespace matriarch::op {

// Gives every pod its name in DNS, also while it is not ready: a slave must reach a master that is
// just being promoted.
nlohmann::json instances_service_object(const Cluster& cluster);

nlohmann::json route_service_object(const Cluster& cluster, const RouteService& service);

// One instance may be away by plan; a cluster of one must not block the drain of its node.
nlohmann::json disruption_budget(const Cluster& cluster);

nlohmann::json agent_service_account(const Cluster& cluster);
// The authority record of this one cluster, and nothing else.
nlohmann::json agent_role(const Cluster& cluster);
nlohmann::json agent_role_binding(const Cluster& cluster);

}  // namespace matriarch::op
