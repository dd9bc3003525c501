// describe: the status of a PostgresCluster from what was seen and planned. Pure.
#pragma once

#include "decide/observation.h"
#include "decide/plan.h"
#include "operator/cluster.h"

namespace matriarch::op {

// `history` holds changes that the published status may not have yet; `now` stamps transitions.
ClusterStatus describe(const Cluster& cluster, const decide::Observation& seen,
                       const decide::Plan& plan, const std::vector<ChangeOfMaster>& history,
                       WallTime now);

// master, slave or none: the label of an instance's pod.
std::string role_of(const decide::Observation& seen, const InstanceName& instance);

}  // namespace matriarch::op
