// How the endpoints of an external topology are reached: from spec.external and the Secrets and
// ConfigMaps that it names.
//
// They belong to the user and bear no label of ours, so they are read live, now and then. What is
// missing or useless keeps one endpoint from being asked, and no other. Blocks.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "kube/client.h"
#include "operator/app_secret.h"
#include "operator/cluster.h"
#include "operator/endpoint_prober.h"

namespace matriarch::op {

struct EndpointProblem {
    std::string reason, text;  // UpperCamel, and for people
};

struct ExternalTargets {
    std::vector<ProbeTarget> targets;
    std::map<InstanceName, EndpointProblem> problems;
    ExternalLogin login;  // the topology's: of applications and poolers
};

// Unavailable: the API could not be asked, so nothing is known.
Result<ExternalTargets> read_targets(kube::Client& client, const Cluster& cluster, WallTime now);

}  // namespace matriarch::op
